"""What people and programs read: tables that fit the terminal, or JSON; words go to stderr."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

_PIPED_WIDTH = 200
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_UNREACHABLE = 4
EXIT_CONFLICT = 5

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, for programs.")]


class CommandError(Exception):
    """A command could not do its work: one sentence, and the exit code that says what kind of trouble it was."""

    def __init__(self, sentence: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def say(sentence: str) -> None:
    """Say something to the person, on stderr."""
    print(sentence, file=sys.stderr)


def print_json(document: Any) -> None:
    """Print a document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_table(items: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print items as a table of the columns (dots reach into objects), or all of them as JSON."""
    if as_json:
        print_json(list(items))
        return
    if not items:
        say("Nothing there.")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, column in enumerate(columns):
        # The first says which one it is, and is to be copied: it stays in one piece.
        table.add_column(column.rsplit(".", 1)[-1].replace("_", " "), overflow="fold", no_wrap=place == 0)
    for item in items:
        table.add_row(*(_show(_reach(item, column)) for column in columns))
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    Console(no_color="NO_COLOR" in os.environ, width=width).print(table)


def print_fields(item: dict[str, Any], *, as_json: bool) -> None:
    """Print one resource, a field a line, or as JSON."""
    if as_json:
        print_json(item)
        return
    width = max(map(len, item), default=0)
    labels = {name: f"{name.replace('_', ' '):<{width}}  " for name in item}
    if not sys.stdout.isatty():
        for name, value in item.items():
            print(labels[name] + _describe(value))
        return
    from rich.console import Console

    console = Console(no_color="NO_COLOR" in os.environ, soft_wrap=True, highlight=False)
    for name, value in item.items():
        console.print(labels[name] + _show(value))


def _reach(item: Any, column: str) -> Any:
    for part in column.split("."):
        item = item.get(part) if isinstance(item, dict) else None
    return item


_COLOURS = {
    "active": "green", "ok": "green", "completed": "green", "resolved": "green", "success": "green", "fired": "red",
    "revoked": "red", "failed": "red", "failure": "red", "critical": "red", "stopped": "red", "denied": "yellow",
    "expired": "yellow", "rotating": "yellow", "high": "yellow", "pending": "yellow", "running": "cyan",
}  # fmt: skip


def _show(value: Any) -> str:
    """Return a value as rich's markup."""
    text = _describe(value)
    colour = _COLOURS.get(text)
    text = text.replace("[", r"\[")
    return f"[{colour}]{text}[/]" if colour else text


def _describe(value: Any) -> str:
    """Return a value as a person reads it; what is nested twice stays JSON."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict) and any(isinstance(part, (dict, list)) for part in value.values()):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return ", ".join(f"{name}={_describe(part)}" for name, part in value.items()) or "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_describe_item, value)) or "–"
    return str(value)


def _describe_item(item: Any) -> str:
    return " ".join(map(_describe, item.values())) if isinstance(item, dict) else _describe(item)

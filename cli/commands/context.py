"""gatehouse context: which gatehouse the command line talks to."""

import getpass
import os
import sys
from pathlib import Path

from cyclopts import App

from cli.client import config_file
from cli.output import CommandError, Json, print_table, say
from cli.stack.context import read_contexts, write_contexts

app = App(name="context", help="Which gatehouse to talk to.")


def _own_file() -> Path:
    return Path(os.environ.get("GATEHOUSE_CONFIG", "~/.config/gatehouse/contexts.toml")).expanduser()


@app.command
def add(name: str, api: str) -> None:
    """Add a context; its key is asked for, or read from stdin, never given as a flag.

    Example: gatehouse context add production https://gatehouse.example.org
    """
    key = getpass.getpass("API key: ") if sys.stdin.isatty() else sys.stdin.readline()
    document = read_contexts(_own_file())
    document["contexts"][name] = {"api": api.rstrip("/"), "api_key": key.strip()}
    document["current"] = document.get("current") or name
    write_contexts(_own_file(), {field: value for field, value in document.items() if value is not None})
    say(f"Added {name}; `gatehouse context use {name}` makes it the current one.")


@app.command(name="list")
def list_contexts(*, json: Json = False) -> None:
    """List the contexts; keys are not shown.

    Example: gatehouse context list
    """
    document = read_contexts(config_file())
    items = [
        {"name": name, "api": context["api"], "current": name == document.get("current")}
        for name, context in document["contexts"].items()
    ]
    print_table(items, ("name", "api", "current"), as_json=json)


@app.command
def use(name: str) -> None:
    """Make a context the current one.

    Example: gatehouse context use production
    """
    document = read_contexts(config_file())
    if name not in document["contexts"]:
        raise CommandError(f"There is no context {name}.")
    write_contexts(config_file(), document | {"current": name})


@app.command
def rm(name: str) -> None:
    """Remove a context.

    Example: gatehouse context rm production
    """
    document = read_contexts(_own_file())
    if document["contexts"].pop(name, None) is None:
        raise CommandError(f"There is no context {name}.")
    if document.get("current") == name:
        document["current"] = next(iter(document["contexts"]), "")
    write_contexts(_own_file(), document)

"""Contexts: which gatehouse the command line talks to, and with which key (0600)."""

import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from cli.stack.home import write_private


def write_context(path: Path, api: str, api_key: str) -> None:
    """Write a file with one context, the current one."""
    write_contexts(path, {"current": "local", "contexts": {"local": {"api": api, "api_key": api_key}}})


def write_contexts(path: Path, document: dict[str, Any]) -> None:
    """Write the contexts file, private to its owner."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, tomli_w.dumps(document))


def read_contexts(path: Path) -> dict[str, Any]:
    """Return the contexts file; an empty one when it misses. Raises ValueError when it is no TOML."""
    if not path.exists():
        return {"current": None, "contexts": {}}
    return tomllib.loads(path.read_text())

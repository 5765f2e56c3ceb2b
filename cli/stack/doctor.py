"""Checks of the surroundings: whether this machine can run the stack, each with what to do when it cannot."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from cli.stack.errors import StackError
from cli.stack.home import Home
from cli.stack.nats_server import find_binary
from cli.stack.ports import is_free
from cli.stack.postgres import find_account, find_install

_LEAST_FREE_BYTES = 1024**3
_DEFAULT_PORTS = {8644: "api", 8645: "proxy"}


def check_surroundings(folder: Path) -> list[dict[str, str]]:
    """Return the findings: {check, state: ok | warning | failed, detail}."""
    checks: dict[str, Callable[[Path], tuple[str, str]]] = {
        "python": _check_python,
        "nats server": _check_nats,
        "postgres": _check_postgres,
        "disk": _check_disk,
        "home": _check_home,
        "ports": _check_ports,
    }
    findings = []
    for name, check in checks.items():
        try:
            state, detail = check(folder)
        except StackError as error:
            state, detail = "failed", str(error)
        findings.append({"check": name, "state": state, "detail": detail})
    return findings


def _check_python(_: Path) -> tuple[str, str]:
    return "ok" if sys.version_info >= (3, 11) else "failed", sys.version.split()[0]


def _check_nats(_: Path) -> tuple[str, str]:
    return "ok", str(find_binary())


def _check_postgres(_: Path) -> tuple[str, str]:
    return "ok", str(find_install(find_account()))


def _check_disk(folder: Path) -> tuple[str, str]:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    state = "ok" if free > _LEAST_FREE_BYTES else "failed"
    return state, f"{free // 1024**2} MiB free; at least {_LEAST_FREE_BYTES // 1024**2} are needed"


def _check_home(folder: Path) -> tuple[str, str]:
    home = Home(folder)
    if not home.path.exists():
        return "ok", f"{folder} will be made"
    home.make()
    return "ok", str(folder)


def _check_ports(_: Path) -> tuple[str, str]:
    taken = [f"{port} ({name})" for port, name in _DEFAULT_PORTS.items() if not is_free(port)]
    if taken:
        return "warning", f"taken: {', '.join(taken)}; a running stack, or choose others with --port and --proxy-port"
    return "ok", "the default ports are free"

"""Failpoints: labelled moments at which a process can be made to die, stop, sleep or fail.

No-ops unless switched on by the setting FAILPOINTS, a list like ``projector.before_ack=kill@3;recorder.sent=stop``:
at the third hit the process kills itself. Each firing is noted in FAILPOINTS_LOG first, so that a test can prove it; what
stands there does not fire again in the process that is started next.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


class FailpointError(RuntimeError):
    """The failure that a failpoint was asked to cause."""


@dataclass(slots=True)
class _Failpoint:
    action: str
    at_hit: int
    hits: int = 0


_active: dict[str, _Failpoint] = {}
_log_file: list[Path] = []


def switch_on(text: str, log_file: Path | None) -> None:
    """Arm the failpoints of a setting. Raises ValueError when it cannot be read."""
    _active.clear()
    _log_file[:] = [log_file] if log_file else []
    fired = log_file.read_text().splitlines() if log_file and log_file.exists() else []
    for part in filter(None, text.split(";")):
        name, _, action = part.partition("=")
        action, _, at_hit = action.partition("@")
        if f"{name} {action}" in fired:
            continue
        if action.split(":")[0] not in {"kill", "stop", "sleep", "fail"}:
            raise ValueError(f"the failpoint {part!r} asks for an unknown action")
        _active[name] = _Failpoint(action, int(at_hit or 1))


def hit(name: str) -> None:
    """Pass a labelled moment; returns at once unless this failpoint is armed and its turn has come."""
    if not _active or name not in _active:
        return
    point = _active[name]
    point.hits += 1
    if point.hits != point.at_hit:
        return
    for path in _log_file:
        with path.open("a") as file:
            file.write(f"{name} {point.action}\n")
            file.flush()
            os.fsync(file.fileno())
    action, _, argument = point.action.partition(":")
    if action == "fail":
        raise FailpointError(name)
    if action == "sleep":
        time.sleep(float(argument))
        return
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)

"""Starting a peer as a child process and waiting for its port; it is stopped by its own pid."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_START_SECONDS = 15.0
_STOP_SECONDS = 10.0


def find_free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def run_server(command: Sequence[str], *, port: int, log_file: Path) -> Iterator[int]:
    """Run a server until the block ends; yields its pid once it listens. Raises RuntimeError when it does not."""
    with log_file.open("wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_for_port(port, child, log_file)
        yield child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _wait_for_port(port: int, child: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    lines = log_file.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise RuntimeError(f"{child.args[0]} does not listen on its port: {lines[-1]}")

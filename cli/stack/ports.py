"""Ports: chosen once a start, remembered in run.json, and probed with a plain bind before they are given out.

The probe matters: the web server binds with SO_REUSEPORT, so two servers on one port would both run.
"""

import socket
from collections.abc import Collection

from cli.stack.errors import PortTakenError


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether nobody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose_port(
    wanted: int, *, remembered: int | None, name: str, switch: str, given: Collection[int] = frozenset()
) -> int:
    """Return the port to use: `wanted`, or for 0 the remembered one while it is free, else any free one.

    Never one of those `given` out before in this start: nobody listens there yet, but somebody will. Raises
    PortTakenError when a wanted port is in use.
    """
    if wanted:
        if wanted in given or not is_free(wanted):
            raise PortTakenError(
                f"Port {wanted} for the {name} is taken; choose another with {switch} (0 = a free one)."
            )
        return wanted
    if remembered and remembered not in given and is_free(remembered):
        return remembered
    while (port := _find_free()) in given:
        pass
    return port


def _find_free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port

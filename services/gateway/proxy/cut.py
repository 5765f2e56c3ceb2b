"""Cutting a client off: the server has no abort, and an answer in chunks that merely ends looks like a whole one.

So the socket itself is shut down, found among the process's own by both of its ends; the server then cannot write the end.
"""

import os
import socket
import stat
from pathlib import Path


def cut_connection(client: str, server: str) -> bool:
    """Shut the connection from `client` to `server` down (``address:port``, IPv6 in brackets); False when there is none.

    Costs a few system calls a descriptor: for answers that broke off, not for every day.
    """
    peer, port = _split(client), _split(server)[1]
    for entry in Path("/dev/fd").iterdir():
        try:
            if _cut_if_between(int(entry.name), peer, port):
                return True
        except OSError:  # closed meanwhile, or not connected
            continue
    return False


def _cut_if_between(descriptor: int, peer: tuple[str, int], port: int) -> bool:
    """Work on a duplicate: whatever becomes of the number meanwhile, what was looked at is what is shut down."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    duplicate = os.dup(descriptor)
    try:
        connection = socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        raise
    with connection:
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        host, peer_port = connection.getpeername()[:2]
        if (_plain(host), peer_port) != peer or connection.getsockname()[1] != port:
            return False
        connection.shutdown(socket.SHUT_RDWR)
        return True


def _split(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return _plain(host.strip("[]")), int(port)


def _plain(host: str) -> str:
    """Return an IPv4 address as such, also where it is mapped into IPv6."""
    return host.removeprefix("::ffff:")

"""Cutting a client off: the server has no abort, and an answer in chunks that merely ends looks like a whole one.

So the socket itself is shut down, found among the process's own by both of its ends; the server then cannot write the end.
"""

import os
import socket
from pathlib import Path


def cut_connection(client: str, server: str) -> bool:
    """Shut the connection from `client` to `server` down (``address:port``, IPv6 in brackets); False when there is none.

    Costs a few system calls a descriptor: for answers that broke off, not for every day.
    """
    port = int(server.rpartition(":")[2])
    for entry in Path("/dev/fd").iterdir():
        try:
            if _cut_if_between(int(entry.name), client, port):
                return True
        except OSError:  # closed meanwhile, no socket, or none that is connected
            continue
    return False


def _cut_if_between(descriptor: int, client: str, port: int) -> bool:
    """Work on a duplicate: whatever becomes of the number meanwhile, what was looked at is what is shut down."""
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        host, peer_port = connection.getpeername()[:2]
        peer = f"[{host}]:{peer_port}" if connection.family == socket.AF_INET6 else f"{host}:{peer_port}"
        if peer != client or connection.getsockname()[1] != port:
            return False
        connection.shutdown(socket.SHUT_RDWR)
        return True

"""Cutting a client's connection: the right one, and nothing is left behind by looking for it."""

import os
import socket
from pathlib import Path

import pytest

from services.gateway.proxy.cut import cut_connection


def count_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


@pytest.fixture
def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    return client, accepted


def describe(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


@pytest.mark.parametrize("form", ["{}", "[::ffff:{}]"])
def test_the_connection_between_both_ends_is_cut(pair: tuple[socket.socket, socket.socket], form: str) -> None:
    client, accepted = pair
    host, port = client.getsockname()
    assert cut_connection(f"{form.format(host)}:{port}", describe(accepted.getsockname()))
    assert client.recv(1) == b""
    client.close()
    accepted.close()


def test_another_is_left_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = pair
    server = describe(accepted.getsockname())
    assert not cut_connection("127.0.0.1:1", server)
    assert not cut_connection(describe(client.getsockname()), "127.0.0.1:1")
    accepted.sendall(b"x")
    assert client.recv(1) == b"x"
    client.close()
    accepted.close()


def test_looking_leaves_no_descriptor_behind(pair: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    """Pipes and files are among a process's descriptors, and most clients that are cut off have left already."""
    client, accepted = pair
    reading, writing = os.pipe()
    with (tmp_path / "file").open("wb"):
        before = count_descriptors()
        for _ in range(5):
            assert not cut_connection("127.0.0.1:1", describe(accepted.getsockname()))
        assert cut_connection(describe(client.getsockname()), describe(accepted.getsockname()))
        assert count_descriptors() == before
    for descriptor in (reading, writing):
        os.close(descriptor)
    client.close()
    accepted.close()

"""An answer that its upstream breaks off never looks whole to the client, and its record says so."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.e2e.eventually import eventually
from tests.fixtures.stack import Stack

_HEAD = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _HEAD + b"transfer-encoding: chunked\r\n"
_PIECE = b"5\r\nhello\r\n"
_BROKEN = {
    "chunked": _CHUNKED + b"\r\n" + _PIECE * 2,
    "events": _CHUNKED + b"content-type: text/event-stream\r\n\r\n" + _PIECE,
    "length": _HEAD + b"content-length: 100000\r\n\r\n" + b"x" * 50_000,
}


@contextmanager
def breaking_upstream(said: bytes) -> Iterator[str]:
    """Answer every request with these bytes, and hang up."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                connection.sendall(said)
                time.sleep(0.1)  # what was said is on its way before the end is

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("kind", _BROKEN)
def test_a_broken_answer_is_broken_for_the_client_too(stack: Stack, kind: str) -> None:
    with breaking_upstream(_BROKEN[kind]) as url:
        assert stack.api.put(
            f"/api/routes/break-{kind}",
            json={"name": f"break-{kind}", "path_prefix": f"/break-{kind}", "upstream": url},
        ).is_success
        eventually(lambda: is_routed(stack, f"/break-{kind}"))
        with stack.proxy.stream("GET", f"/break-{kind}/x") as answer:
            request_id = answer.headers["x-request-id"]
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()
    query = {"request_id": request_id, "event_type": "request_completed"}
    entry = eventually(lambda: stack.api.get("/api/audit/logs", params=query).json()["items"])[0]
    assert entry["details"]["aborted"] is True
    assert stack.api.delete(f"/api/routes/break-{kind}").status_code == 204


def is_routed(stack: Stack, path: str) -> bool:
    try:
        return stack.proxy.get(path).status_code != 404
    except httpx.RemoteProtocolError:
        return True


def test_a_whole_chunked_answer_is_whole(stack: Stack) -> None:
    with breaking_upstream(_CHUNKED + b"\r\n" + _PIECE * 2 + b"0\r\n\r\n") as url:
        body = {"name": "unbroken", "path_prefix": "/unbroken", "upstream": url}
        assert stack.api.put("/api/routes/unbroken", json=body).is_success
        answer = eventually(lambda: (found := stack.proxy.get("/unbroken")).status_code != 404 and found)
        assert answer.content == b"hellohello"
        assert stack.api.delete("/api/routes/unbroken").status_code == 204

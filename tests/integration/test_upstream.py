"""The upstream client against upstreams that behave and upstreams that do not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.gateway.upstream import UpstreamClient, UpstreamFailedError, UpstreamRequest, UpstreamTimeoutError
from services.keys.contract.requests import Route

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Upstream:
    """A scripted upstream: each connection is handled by `behave`."""

    def __init__(self) -> None:
        self.connections = 0
        self.behave: Behave
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    scripted = Upstream()
    server = await asyncio.start_server(scripted.handle, "127.0.0.1", 0)
    scripted.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield scripted
    server.close()


def answers(*parts: bytes, pause: float = 0, close: bool = False) -> Behave:
    """Answer each request on the connection with the parts."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            if close:
                return

    return behave


def build_route(upstream: Upstream, **changes: object) -> Route:
    return Route(name="r", path_prefix="/r", upstream=[upstream.url], **({"timeout_seconds": 1} | changes))


def get(method: str = "GET") -> UpstreamRequest:
    return UpstreamRequest(method, f"{method} / HTTP/1.1\r\nhost: x\r\n\r\n".encode(), None)


async def fetch(
    upstream: Upstream, client: UpstreamClient | None = None, method: str = "GET", **changes: object
) -> tuple[int, bytes]:
    response = await (client or UpstreamClient()).send(build_route(upstream, **changes), get(method))
    return response.status, (await response.read() if response.length != 0 else b"")


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ((OK,), b"hello"),
        (tuple(bytes([byte]) for byte in OK), b"hello"),
        ((b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",), b"hello"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", OK), b"hello"),
        ((b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK,), b"hello"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",), b""),
    ],
)
async def test_answers_are_read_however_they_come(upstream: Upstream, parts: tuple[bytes, ...], body: bytes) -> None:
    upstream.behave = answers(*parts)
    assert (await fetch(upstream))[1] == body


async def test_connections_are_kept_and_used_again(upstream: Upstream) -> None:
    upstream.behave = answers(OK)
    client = UpstreamClient()
    for _ in range(5):
        assert await fetch(upstream, client) == (200, b"hello")
    assert upstream.connections == 1


async def test_side_by_side_requests_do_not_mix(upstream: Upstream) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1]
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(path), path))

    upstream.behave = echo
    client, route = UpstreamClient(), build_route(upstream)

    async def one(number: int) -> None:
        request = UpstreamRequest("GET", b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number, None)
        response = await client.send(route, request)
        await asyncio.sleep(0)
        assert await response.read() == b"/%d" % number

    for _ in range(3):
        await asyncio.gather(*(one(number) for number in range(100)))


async def test_a_body_until_close_ends_with_the_connection(upstream: Upstream) -> None:
    upstream.behave = answers(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello", close=True)
    assert await fetch(upstream) == (200, b"hello")


async def test_head_has_no_body_whatever_its_length_says(upstream: Upstream) -> None:
    upstream.behave = answers(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
    assert await fetch(upstream, method="HEAD") == (200, b"")


@pytest.mark.parametrize(
    "parts",
    [
        (b"SSH-2.0-OpenSSH\r\n",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhel",),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",),
        (b"HTTP/1.1 200",),
        (b"",),
    ],
)
async def test_what_is_no_answer_is_a_failure(upstream: Upstream, parts: tuple[bytes, ...]) -> None:
    upstream.behave = answers(*parts, close=True)
    with pytest.raises(UpstreamFailedError):
        await fetch(upstream, retries=0)


async def test_a_slow_head_times_out(upstream: Upstream) -> None:
    upstream.behave = answers(b"", pause=5)
    with pytest.raises(UpstreamTimeoutError):
        await fetch(upstream, timeout_seconds=0.2)


async def test_a_body_that_falls_silent_times_out(upstream: Upstream) -> None:
    upstream.behave = answers(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhel", pause=5)
    with pytest.raises(UpstreamTimeoutError):
        await fetch(upstream, timeout_seconds=0.2)


async def test_pipelined_garbage_never_reaches_the_next_exchange(upstream: Upstream) -> None:
    upstream.behave = answers(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL")
    client = UpstreamClient()
    for _ in range(3):
        assert await fetch(upstream, client) == (200, b"hello")


async def test_a_kept_connection_that_was_closed_is_replaced(upstream: Upstream) -> None:
    upstream.behave = answers(OK, close=True)
    client = UpstreamClient()
    for _ in range(3):
        assert await fetch(upstream, client) == (200, b"hello")
        await asyncio.sleep(0.01)
    assert upstream.connections == 3


async def test_nobody_listening_is_a_failure_and_opens_the_circuit() -> None:
    gone = Upstream()
    gone.url = "http://127.0.0.1:1"
    client = UpstreamClient()
    for _ in range(5):
        with pytest.raises(UpstreamFailedError, match="no connection"):
            await fetch(gone, client, retries=0)
    with pytest.raises(UpstreamFailedError, match="circuit"):
        await fetch(gone, client, retries=0)


async def test_the_next_upstream_is_tried_when_one_is_down(upstream: Upstream) -> None:
    upstream.behave = answers(OK)
    route = Route(name="r", path_prefix="/r", upstream=["http://127.0.0.1:1", upstream.url], retries=1)
    client = UpstreamClient()
    for _ in range(4):
        response = await client.send(route, get())
        assert await response.read() == b"hello"


async def test_a_streamed_body_arrives_framed(upstream: Upstream) -> None:
    received = bytearray()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        received.extend(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(OK)

    async def body() -> AsyncIterator[bytes]:
        for part in (b"ab", b"", b"cde"):
            yield part

    upstream.behave = collect
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    request = UpstreamRequest("POST", head, None, body(), is_chunked=True)
    response = await UpstreamClient().send(build_route(upstream), request)
    assert await response.read() == b"hello"
    assert bytes(received) == b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"


async def test_large_bodies_wait_for_their_reader(upstream: Upstream) -> None:
    size = 8 * 1024 * 1024
    upstream.behave = answers(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size, b"x" * size)
    response = await UpstreamClient().send(build_route(upstream, timeout_seconds=10), get())
    total = 0
    while (chunk := await response.next_chunk()) is not None:
        total += len(chunk)
        assert response._connection._buffered < 4 * 1024 * 1024
    assert total == size


async def test_an_answer_before_the_body_was_sent_ends_the_connection(upstream: Upstream) -> None:
    """What comes next on it would be read as the rest of that body: somebody else's request, credentials and all."""
    seen = bytearray()

    async def answer_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        seen.extend(await reader.read())

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    upstream.behave = answer_early
    client, route = UpstreamClient(), build_route(upstream)
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    assert (await client.send(route, UpstreamRequest("POST", head, None, endless(), is_chunked=True))).status == 204
    upstream.behave = answers(OK)
    assert await fetch(upstream, client) == (200, b"hello")
    assert upstream.connections == 2
    assert b"GET" not in seen


async def test_a_body_that_breaks_off_ends_the_exchange_at_once(upstream: Upstream) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ValueError("the client left")

    upstream.behave = answers(b"", pause=30)
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    request = UpstreamRequest("POST", head, None, broken(), is_chunked=True)
    sending = UpstreamClient().send(build_route(upstream, timeout_seconds=60), request)
    with pytest.raises(ValueError, match="left"):
        await asyncio.wait_for(sending, 10)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"x-large: %b\r\n" % (b"y" * 300_000),
    ],
    ids=["switched", "coded", "endless head"],
)
async def test_what_cannot_be_passed_on_is_a_failure(upstream: Upstream, answer: bytes) -> None:
    upstream.behave = answers(answer, pause=0.1, close=True)
    with pytest.raises(UpstreamFailedError):
        await fetch(upstream)


@pytest.mark.parametrize(
    "head", [b"204 No Content\r\ncontent-length: 5", b"204 No Content\r\ntransfer-encoding: chunked"]
)
async def test_what_is_announced_and_may_not_be_is_nobodys_next_answer(upstream: Upstream, head: bytes) -> None:
    upstream.behave = answers(b"HTTP/1.1 " + head + b"\r\n\r\n")
    client = UpstreamClient()
    for _ in range(2):
        assert (await fetch(upstream, client))[0] == 204
    assert upstream.connections == 2


async def test_trailers_are_no_headers_of_the_next_answer(upstream: Upstream) -> None:
    upstream.behave = answers(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nset-cookie: a\r\n\r\n")
    client = UpstreamClient()
    for _ in range(2):
        response = await client.send(build_route(upstream), get())
        assert await response.read() == b""
        assert response.headers == [("transfer-encoding", "chunked")]
    assert upstream.connections == 1

"""One HTTP/1.1 connection to an upstream (RFC 9112): one exchange at a time, bodies streamed with back pressure.

Anything an upstream sends outside of an exchange closes the connection: it cannot become part of another's answer.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import cast

import httptools

from services.gateway.upstream.deadline import Deadline
from services.gateway.upstream.messages import (
    KNOWN_NAMES,
    UpstreamFailedError,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTimeoutError,
    learn_name,
)

_HIGH_WATER_BYTES = 256 * 1024
_LARGEST_HEAD_BYTES = 256 * 1024


class UpstreamConnection(asyncio.Protocol):
    """The protocol of one connection; httptools calls back the `on_…` methods as bytes are parsed.

    `is_closed` says that the connection is of no more use, `is_reusable` that it may serve another exchange.
    """

    def __init__(self, *, idle_seconds: float, give_back: Callable[["UpstreamConnection"], None]) -> None:
        self.is_reusable = False
        self.was_used = False
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._idle_seconds = idle_seconds
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._head_waiter: asyncio.Future[UpstreamResponse] | None = None
        self._data_waiter: asyncio.Future[None] | None = None
        self._drain_waiter: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._is_complete = True
        self._is_head = False
        self.is_closed = False
        self._error: str | None = None
        self._has_bytes = False
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._has_end = False
        self._give_back = give_back
        self._deadline = Deadline(self._loop, lambda: self._fail("timeout"))

    # Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse; outside of an exchange nothing may come."""
        if self._is_complete:
            self._fail("the upstream sent what nobody asked for")
            return
        self._has_bytes = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("the upstream switched protocols unasked")
        except httptools.HttpParserError as error:
            if not self._is_complete:
                self._fail(f"the upstream's answer is malformed: {error}")
            else:
                self.close()
        if self._head_waiter is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _LARGEST_HEAD_BYTES:
                self._fail("the head of the upstream's answer is too large")

    def eof_received(self) -> bool:
        """An answer without a length ends here; anything else is broken off."""
        if not self._is_complete and not self._has_end and self._head_waiter is None:
            self._complete()
        return False

    def connection_lost(self, _: Exception | None) -> None:
        """Note the end."""
        self.is_closed = True
        self._deadline.close()
        self.is_reusable = False
        if not self._is_complete:
            self._fail("the upstream closed the connection")
        self.resume_writing()

    def pause_writing(self) -> None:
        """The upstream reads slowly."""
        self._drain_waiter = self._loop.create_future()

    def resume_writing(self) -> None:
        """The upstream reads again."""
        if self._drain_waiter and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)
        self._drain_waiter = None

    # Parser

    def on_message_begin(self) -> None:
        """A second answer behind the one that is whole was asked for by nobody: the connection ends here."""
        if self._is_complete:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header of a head; trailers are nobody's."""
        if self._head_waiter is not None:
            self._headers.append((KNOWN_NAMES.get(name) or learn_name(name), value.decode("utf-8", "replace")))

    def on_headers_complete(self) -> None:
        """Hand the head over; interim answers (1xx) are passed by."""
        headers, self._headers = self._headers, []
        status = self._parser.get_status_code()
        if self._is_complete or status < 200:  # noqa: PLR2004  (RFC 9110, section 15.2; a switch is the parser's to refuse)
            return
        response = UpstreamResponse(self, status, headers, is_head=self._is_head)
        if response.length is None and response.coding not in (None, "chunked"):
            self._fail(f"the upstream's answer has the transfer coding {response.coding}")
            return
        self._has_end = response.coding is not None or response.length is not None
        self.is_reusable = self._has_end and response.is_bare and self._parser.should_keep_alive()
        if self._head_waiter and not self._head_waiter.done():
            self._head_waiter.set_result(response)
            self._deadline.clear()
        self._head_waiter = None
        if self._is_head:
            self._complete()

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body; stop reading when too much waits."""
        if self._is_complete:
            return
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > _HIGH_WATER_BYTES and self._transport:
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """The answer is whole (an interim one is not the answer)."""
        if self._head_waiter is None and not self._is_complete:
            self._complete()

    # Exchange

    def exchange(self, request: UpstreamRequest, *, timeout_seconds: float) -> Awaitable[UpstreamResponse]:
        """Send a request; what is returned is to be awaited for the response, which comes once its head is there.

        Raises UpstreamFailedError (`nothing_sent` when a used connection turned out to be closed), UpstreamTimeoutError.
        """
        if self.is_closed or self._transport is None:
            raise UpstreamFailedError("the connection was closed", nothing_sent=True)
        self._head_waiter = waiter = self._loop.create_future()
        self._is_complete = self._has_bytes = self._has_end = self.is_reusable = False
        self._is_head = request.method == "HEAD"
        self._headers.clear()
        self._head_bytes = 0
        self._deadline.set(timeout_seconds)
        self._transport.write(request.head + request.body if request.body else request.head)
        if request.stream is None:
            return waiter
        sending = self._send_body(request.stream, is_chunked=request.is_chunked, idle_seconds=timeout_seconds)
        return self._exchange_streamed(waiter, sending)

    async def _exchange_streamed(
        self, waiter: asyncio.Future[UpstreamResponse], sending: Coroutine[None, None, None]
    ) -> UpstreamResponse:
        sender = self._loop.create_task(sending)
        sender.add_done_callback(self._note_sender)
        try:
            return await waiter
        finally:
            self._deadline.clear()
            await self._settle_sender(sender)

    def _note_sender(self, sender: asyncio.Task[None]) -> None:
        """A body that broke off ends the exchange at once, not at its deadline."""
        if not sender.cancelled() and sender.exception() is not None:
            self._fail("the request's body broke off")

    async def _settle_sender(self, sender: asyncio.Task[None]) -> None:
        """A body still being sent when the answer came is not worth finishing.

        The connection is never used again: what comes next on it would be read as the rest of this body.
        """
        if not sender.done():
            sender.cancel()
            self.is_reusable = False
            if self._is_complete:
                self.close()
        error = (await asyncio.gather(sender, return_exceptions=True))[0]
        if error is not None and not isinstance(error, asyncio.CancelledError):
            self.close()
            raise error

    async def _send_body(self, stream: AsyncIterator[bytes], *, is_chunked: bool, idle_seconds: float) -> None:
        async for chunk in stream:
            if self.is_closed or self._transport is None:
                return
            self._deadline.set(idle_seconds)  # an upload that moves is not late
            if chunk:
                self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if is_chunked else chunk)
            if self._drain_waiter:
                await self._drain_waiter
        if is_chunked and self._transport:
            self._transport.write(b"0\r\n\r\n")

    async def next_chunk(self) -> bytes | None:
        """Return the next piece of the body, None after the last."""
        while not self._chunks:
            if self._error:
                raise self._build_error()
            if self._is_complete:
                self._release()
                return None
            await self._wait_for_data()
        data = self._chunks.popleft()
        self._buffered -= len(data)
        if self._buffered < _HIGH_WATER_BYTES // 2 and self._transport and not self.is_closed:
            self._transport.resume_reading()
        return data

    async def read_all(self) -> bytes:
        """Return the rest of the body."""
        while not self._is_complete and not self._error:
            await self._wait_for_data()
        if self._error:
            raise self._build_error()
        return self.take()

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete, and no error stands against it."""
        return self._is_complete and self._error is None

    def take(self) -> bytes:
        """Return the rest of the body of a whole answer, and give the connection back."""
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        self._release()
        return body

    async def _wait_for_data(self) -> None:
        self._data_waiter = self._loop.create_future()
        self._deadline.set(self._idle_seconds)
        try:
            await self._data_waiter
        finally:
            self._deadline.clear()

    def close(self) -> None:
        """Close the connection."""
        self.is_reusable = False
        self.is_closed = True
        self._deadline.close()
        if self._transport:
            self._transport.close()

    def _complete(self) -> None:
        """The answer is whole; the connection goes back only when its reader has taken the last of it."""
        self._is_complete = True
        self._wake()
        if not self.is_reusable:
            self.close()

    def _release(self) -> None:
        """Give the connection back for the next exchange; once an exchange."""
        self.was_used = True
        if self.is_reusable and not self.is_closed:
            self.is_reusable = False
            self._give_back(self)

    def _wake(self) -> None:
        if self._data_waiter and not self._data_waiter.done():
            self._data_waiter.set_result(None)

    def _fail(self, reason: str) -> None:
        self._error = self._error or reason
        if self._head_waiter and not self._head_waiter.done():
            self._head_waiter.set_exception(self._build_error())
        self._head_waiter = None
        self._wake()
        self.close()

    def _build_error(self) -> Exception:
        if self._error == "timeout":
            return UpstreamTimeoutError()
        return UpstreamFailedError(self._error or "closed", nothing_sent=self.was_used and not self._has_bytes)

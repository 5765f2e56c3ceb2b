"""Forwarding and recording: the upstream's answer, held back at its end until the record is durable.

Strict routes hold the whole answer when it is small, else its last byte (Content-Length) or its end (chunked); event
streams and `strict_before` routes write a durable `request_started` first. Buffered routes do not wait.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any

import structlog
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from services.gateway.authenticate import RefusedError
from services.gateway.problems import build_problem
from services.gateway.proxy.cut import cut_connection
from services.gateway.proxy.headers import build_request_head, filter_response_headers
from services.gateway.proxy.paths import encode_target
from services.gateway.recording import Admission
from services.gateway.records import build_record
from services.gateway.upstream import (
    UpstreamClient,
    UpstreamFailedError,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTimeoutError,
)
from services.keys.contract.requests import Route
from shared.recorder import NotDurableError, Recorder

if TYPE_CHECKING:
    from services.gateway.proxy.server import Exchange

log = structlog.get_logger(__name__)
_HELD_BYTES = 64 * 1024
_TIMING = "auth;dur=%.3f, limit;dur=%.3f, upstream;dur=%.3f"  # formatted in one go: an f-string costs a third more
_TIMING_HELD = f"{_TIMING}, record;dur=%.3f"
_BODYLESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})


class AnswerCutOffError(Exception):
    """The record of an answer that is under way is not durable: its last byte stays here, the connection ends."""


class BodyTooLargeError(Exception):
    """The request's body grew over the route's bound."""


class BodyLateError(Exception):
    """The client did not send its body in time."""


class BodyBrokenOffError(Exception):
    """The client did not send what it announced."""


class Forwarder:
    """Sends a decided exchange to its upstream and its answer to the client; uses up the exchange's reservation."""

    def __init__(self, client: UpstreamClient, recorder: Recorder, admission: Admission) -> None:
        self._client = client
        self._recorder = recorder
        self._admission = admission
        self._nothing = asyncio.get_running_loop().create_future()
        self._nothing.set_result(None)

    async def forward(self, exchange: "Exchange") -> None:
        """Forward, answer, record. Raises RefusedError, after giving the reservation back, when there is no answer."""
        assert exchange.route is not None  # noqa: S101  (decided before)
        route = exchange.route.route
        began = time.perf_counter()
        try:
            if route.audit == "strict_before":
                await self._record_start(exchange)
            response = await self._client.send(route, await self._build_request(exchange, route))
        except (
            UpstreamFailedError,
            UpstreamTimeoutError,
            BodyTooLargeError,
            BodyBrokenOffError,
            BodyLateError,
        ) as error:
            self._recorder.release()
            raise _explain(error) from error
        except BaseException:
            self._recorder.release()
            raise
        exchange.trail.status = response.status
        timing = (exchange.auth_ms, exchange.limit_ms, (time.perf_counter() - began) * 1000)
        headers = [*filter_response_headers(response), *exchange.headers]
        if response.length is not None and response.length <= _HELD_BYTES:
            await self._answer_held(exchange, route, response, headers, timing)
        else:
            headers.append(("server-timing", _TIMING % timing))
            await self._answer_streamed(exchange, route, response, headers)

    async def _record_start(self, exchange: "Exchange") -> None:
        self._admission.reserve()
        await self._recorder.record(build_record(exchange.trail, event_type="request_started")).settled

    async def _build_request(self, exchange: "Exchange", route: Route) -> UpstreamRequest:
        scope, fields = exchange.scope, exchange.fields
        length_text = fields.get("content-length")
        is_chunked = "transfer-encoding" in fields
        body: bytes | None = None
        stream: AsyncIterator[bytes] | None = None
        framing = ""
        if is_chunked:
            stream = self._read_body(exchange, route, None)
            framing = "transfer-encoding: chunked\r\n"
        elif length_text is not None:
            length = int(length_text)
            if length > route.max_body_bytes:
                raise BodyTooLargeError
            framing = f"content-length: {length}\r\n"
            if length > _HELD_BYTES:
                stream = self._read_body(exchange, route, length)
            elif length:
                body = await _read_whole(exchange, route.timeout_seconds)
        elif exchange.trail.method not in _BODYLESS:
            framing = "content-length: 0\r\n"
        target = encode_target(exchange.trail.path, route.path_prefix if route.strip_prefix else "")
        query = scope.query_string
        head = build_request_head(
            exchange,
            target=f"{target}?{query}" if query else target,
            host=exchange.host or "localhost",
            scheme=scope.scheme,
            drop_credential=not route.pass_credential,
            framing=framing,
        )
        return UpstreamRequest(exchange.trail.method, head, body, stream, is_chunked)

    async def _read_body(self, exchange: "Exchange", route: Route, length: int | None) -> AsyncIterator[bytes]:
        """Yield the request's body as it arrives, bounded. Raises BodyTooLargeError, BodyBrokenOffError.

        The server ends a whole body with one empty piece and a broken one with two: the contract suite watches that.
        """
        ended = False
        async for chunk in exchange.protocol:
            if ended:
                raise BodyBrokenOffError
            ended = not chunk
            exchange.trail.bytes_in += len(chunk)
            if exchange.trail.bytes_in > route.max_body_bytes:
                raise BodyTooLargeError
            yield chunk
        if length is not None and exchange.trail.bytes_in != length:
            raise BodyBrokenOffError

    async def _answer_held(
        self,
        exchange: "Exchange",
        route: Route,
        response: UpstreamResponse,
        headers: list[tuple[str, str]],
        timing: tuple[float, float, float],
    ) -> None:
        """Take the whole answer, record, then send it."""
        try:
            body = response.take() if response.is_whole else await response.read()
        except (UpstreamFailedError, UpstreamTimeoutError) as error:
            self._recorder.release()
            raise _explain(error) from error
        exchange.trail.bytes_out = len(body)
        began = time.perf_counter()
        await self._record(exchange, route)
        headers.append(("server-timing", _TIMING_HELD % (*timing, (time.perf_counter() - began) * 1000)))
        if body:
            exchange.protocol.response_bytes(response.status, headers, body)
        else:
            exchange.protocol.response_empty(response.status, headers)

    async def _answer_streamed(
        self, exchange: "Exchange", route: Route, response: UpstreamResponse, headers: list[tuple[str, str]]
    ) -> None:
        """Pass the answer on as it comes, one piece behind; the last byte, or the end, waits for the record."""
        if _is_event_stream(response):
            await self._answer_events(exchange, route, response, headers)
            return
        out = exchange.protocol.response_stream(response.status, headers)
        held = b""
        try:
            while (chunk := await response.next_chunk()) is not None:
                if held:
                    await out.send_bytes(held)
                exchange.trail.bytes_out += len(chunk)
                held = chunk
            if response.length is not None and len(held) > 1:
                await out.send_bytes(held[:-1])
                held = held[-1:]
        except Exception as error:  # the client left, or the upstream broke off: either way the answer ends here
            _cut_off(exchange, response, error)
            exchange.trail.bytes_out -= len(held)
            await self._record_broken(exchange, route, response, error)
            raise
        try:
            await self._record(exchange, route)
        except NotDurableError as error:
            _cut_off(exchange, response, error)
            raise AnswerCutOffError from error
        if held:
            await _send_last(out, held)

    async def _answer_events(
        self, exchange: "Exchange", route: Route, response: UpstreamResponse, headers: list[tuple[str, str]]
    ) -> None:
        """Record the start of a stream of events, pass it on, record its end; nothing waits for the latter."""
        try:
            await self._record_start(exchange)
        except BaseException:
            response.abort()
            self._recorder.release()
            raise
        await self._pass_events(exchange, response, headers)
        with contextlib.suppress(NotDurableError):
            await self._record(exchange, route)

    async def _pass_events(
        self, exchange: "Exchange", response: UpstreamResponse, headers: list[tuple[str, str]]
    ) -> None:
        """Pass server-sent events on at once: holding one back would delay it until the next."""
        out = exchange.protocol.response_stream(response.status, headers)
        try:
            while (chunk := await response.next_chunk()) is not None:
                await out.send_bytes(chunk)
                exchange.trail.bytes_out += len(chunk)
        except Exception as error:  # noqa: BLE001  (the client left, or the upstream broke off: both end the stream)
            _cut_off(exchange, response, error)
            exchange.trail.aborted = True
            exchange.trail.reason = str(error)[:200]
            response.abort()

    async def _record_broken(
        self, exchange: "Exchange", route: Route, response: UpstreamResponse, error: Exception
    ) -> None:
        exchange.trail.aborted = True
        exchange.trail.reason = str(error)[:200] or type(error).__name__
        response.abort()
        with contextlib.suppress(NotDurableError):  # the answer is cut off in any case
            await self._record(exchange, route)

    def _record(self, exchange: "Exchange", route: Route) -> Awaitable[None]:
        """Record the request; what is returned is to be awaited before the answer ends, and may raise NotDurableError."""
        ticket = self._recorder.record(build_record(exchange.trail))
        return self._nothing if route.audit == "buffered" else ticket.settled


def _cut_off(exchange: "Exchange", response: UpstreamResponse, error: Exception) -> None:
    """End the client's connection before the server can end an answer of unknown length as if it were whole.

    A client that has left is not looked for: that would cost the loop a system call a descriptor, at anybody's wish.
    """
    if response.length is None and not isinstance(error, ProtocolClosed):
        cut_connection(exchange.scope.client, exchange.scope.server)


async def _send_last(out: Any, held: bytes) -> None:
    try:
        await out.send_bytes(held)
    except Exception as error:  # noqa: BLE001  (the record stands; a client that left cannot be told)
        log.debug("the client left before the last byte", reason=repr(error))


async def _read_whole(exchange: "Exchange", timeout_seconds: float) -> bytes:
    try:
        async with asyncio.timeout(timeout_seconds):
            body: bytes = await exchange.protocol()
    except TimeoutError as error:
        raise BodyLateError from error
    except Exception as error:
        raise BodyBrokenOffError from error
    exchange.trail.bytes_in = len(body)
    return body


def _is_event_stream(response: UpstreamResponse) -> bool:
    return response.fields.get("content-type", "").startswith("text/event-stream")


def _explain(error: Exception) -> RefusedError:
    """Return the refusal that tells the client, and the record, why there is no answer."""
    if isinstance(error, BodyTooLargeError):
        return _refusal("too_large", "The body is larger than this route takes.", "body too large")
    if isinstance(error, BodyBrokenOffError):
        return _refusal("malformed", "The body broke off or was malformed.", "body broken off")
    if isinstance(error, BodyLateError):
        return _refusal("request_timeout", "The body did not come in time.", "body late")
    if isinstance(error, UpstreamTimeoutError):
        return _refusal("upstream_timeout", "The upstream did not answer in time.", "upstream timeout")
    return _refusal("upstream_failed", "The upstream could not be reached or broke off.", str(error))


def _refusal(code: str, detail: str, reason: str) -> RefusedError:
    return RefusedError(build_problem(code, detail), reason=reason, event_type="request_completed")

"""Around every request of the api: second names, ids, credential, limit, record.

The answer is held until its record is durable; an event stream's start is recorded before its first byte.
"""

import asyncio
import time
from dataclasses import dataclass

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.api.aliases import resolve_alias
from services.gateway.api.tools import Tools
from services.gateway.authenticate import ANONYMOUS, Principal, RefusedError, pick_credential, unauthenticated
from services.gateway.identity import AddressFinder, continue_trace, pick_request_id
from services.gateway.limits import Decision
from services.gateway.problems import CONTENT_TYPE, Problem, build_problem
from services.gateway.proxy.headers import build_grace_headers
from services.gateway.proxy.server import refuse_over_limit
from services.gateway.recording import refuse_unrecorded
from services.gateway.records import Trail, build_record, note_span
from shared.recorder import NotDurableError
from shared.telemetry import tracing

log = structlog.get_logger(__name__)
_OPEN_PATHS = ("/health", "/ready", "/metrics", "/docs", "/redoc", "/openapi.json", "/tlog", "/.gatehouse")
_EVENT_BY_STATUS = {401: "auth_failed", 403: "policy_denied", 429: "rate_limit_exceeded"}


class BodyTooLargeError(Exception):
    """The request's body grew over the api's bound."""


@dataclass(slots=True)
class _Held:
    """The answer so far: its head, kept until the record is durable, and its body."""

    start: Message | None = None
    body: bytes = b""
    is_streaming: bool = False


class GatehouseMiddleware:
    """Pure ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp, *, owner: FastAPI, addresses: AddressFinder) -> None:
        self._app = app
        self._owner = owner
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        tools: Tools = self._owner.state.tools
        scope["method"], scope["path"], scope["query_string"] = resolve_alias(
            scope["method"], scope["path"], scope["query_string"]
        )
        scope["raw_path"] = scope["path"].encode()
        scope.get("extensions", {}).pop("http.response.pathsend", None)  # files, too, pass through the held answer
        headers = Headers(scope=scope)
        trail = self._begin(scope, headers)
        is_open = scope["path"].startswith(_OPEN_PATHS)
        state = scope.setdefault("state", {})
        state |= {"request_id": trail.request_id, "ip_address": trail.ip_address, "traceparent": trail.traceparent}
        state["principal"] = ANONYMOUS
        exchange = _ApiExchange(tools, trail, send, is_recorded=not is_open)
        try:
            if not is_open or headers.get("authorization") or headers.get("x-api-key"):
                state["principal"] = exchange.decide(headers, is_limited=not is_open)
            bounded = _bound_body(receive, headers, tools.settings.max_body_bytes, trail)
            await self._app(scope, bounded, exchange.send)
        except RefusedError as refusal:
            await exchange.refuse(refusal)
        except BodyTooLargeError:
            problem = build_problem("too_large", f"The body is larger than {tools.settings.max_body_bytes} bytes.")
            await exchange.send_problem(problem)
        except Exception:  # an edge that must not die: a bug is answered, and its answer recorded, like anything else
            log.exception("unforeseen error")
            await exchange.send_problem(build_problem("internal", "Something went wrong here."))
        finally:
            exchange.close()
            if tracing.is_exporting() and not is_open:
                note_span(trail)

    def _begin(self, scope: Scope, headers: Headers) -> Trail:
        host, port = scope.get("client") or ("", 0)
        return Trail(
            method=scope["method"],
            path=scope["path"],
            ip_address=self._addresses.find(f"{host}:{port}", ",".join(headers.getlist("x-forwarded-for")) or None),
            user_agent=headers.get("user-agent"),
            request_id=pick_request_id(headers.get("x-request-id")),
            asked_id=headers.get("x-request-id"),
            traceparent=continue_trace(headers.get("traceparent")),
            caller_traceparent=headers.get("traceparent"),
            started=time.perf_counter(),
        )


def _bound_body(receive: Receive, headers: Headers, most: int, trail: Trail) -> Receive:
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > most:
        problem = build_problem("too_large", f"The body is larger than {most} bytes.")
        raise RefusedError(problem, reason="too_large", event_type="request_completed")

    async def receive_bounded() -> Message:
        message = await receive()
        trail.bytes_in += len(message.get("body", b""))
        if trail.bytes_in > most:
            raise BodyTooLargeError
        return message

    return receive_bounded


class _ApiExchange:
    """One request of the api under way."""

    def __init__(self, tools: Tools, trail: Trail, send: Send, *, is_recorded: bool) -> None:
        self._tools = tools
        self._trail = trail
        self._send = send
        self._is_recorded = is_recorded
        self._held = _Held()
        self._headers: list[tuple[str, str]] = [("x-request-id", trail.request_id)]
        self._has_answered = False
        self._has_room = False

    def decide(self, headers: Headers, *, is_limited: bool) -> Principal:
        """Return the principal, admitted and with room for its record. Raises RefusedError."""
        view = self._tools.feed.view
        stale = self._tools.feed.age_seconds > self._tools.settings.view_max_age_seconds
        api_key, authorization = headers.get("x-api-key"), headers.get("authorization")
        principal = ANONYMOUS
        if api_key is not None or authorization is not None:
            if view is None or stale:
                raise _refusal("view_stale", "The gateway does not know the keys well enough to decide.")
            credential, _ = pick_credential(api_key, authorization)
            bearer, _ = pick_credential(None, authorization)
            if api_key is not None and bearer is not None and api_key != bearer:
                raise _refusal("two_credentials", "Two different credentials were given.")
            if credential is None:
                raise unauthenticated("malformed")
            principal = self._tools.authenticator.authenticate(view, credential, self._trail.ip_address)
            self._trail.principal = principal
            if principal.sunset is not None:
                self._headers += build_grace_headers(principal.sunset)
        if is_limited:
            self._limit(principal)
        self._reserve()
        return principal

    def _limit(self, principal: Principal) -> None:
        limiter, settings = self._tools.limiter, self._tools.settings
        decision: Decision
        if principal.key_id is not None:
            decision = limiter.take("per-key", principal.key_id, principal.rate_limit)
        else:
            decision = limiter.take("per-address", f"ip:{self._trail.ip_address}", settings.anonymous_rate_limit)
        self._headers += decision.headers()
        if not decision.admitted:
            raise refuse_over_limit(decision, principal)

    def _reserve(self) -> None:
        if self._is_recorded and not self._has_room:
            self._tools.admission.reserve()
            self._has_room = True

    async def send(self, message: Message) -> None:
        """Hold the answer until it is whole and recorded; pass a stream on once its start is recorded."""
        if message["type"] == "http.response.start":
            self._held.start = message
            self._held.body = b""
            self._trail.status = message["status"]
            if _is_stream(message):
                await self._record("request_started")
                self._reserve()
                self._held.is_streaming = True
                await self._send_start()
            return
        self._trail.bytes_out += len(message.get("body", b""))
        if self._held.is_streaming:
            await self._send(message)
            return
        self._held.body += message.get("body", b"")
        if not message.get("more_body"):
            await self._finish()

    async def refuse(self, refusal: RefusedError) -> None:
        """Answer a refusal, with its record."""
        self._trail.reason = refusal.reason
        if refusal.principal is not ANONYMOUS:
            self._trail.principal = refusal.principal
        problem = refusal.problem
        if refusal.event_type:
            self._trail.event_type = refusal.event_type
            try:
                self._reserve()
            except RefusedError as full:
                problem, self._is_recorded = full.problem, False
        else:
            self._is_recorded = False
        await self.send_problem(problem)

    async def send_problem(self, problem: Problem) -> None:
        """Answer a problem found before the application answered; nothing when it has answered already."""
        if self._held.is_streaming or self._has_answered:
            return
        try:
            await self._send_whole(problem)
        except RefusedError as unrecorded:
            self._is_recorded = False
            await self._send_whole(unrecorded.problem)

    async def _send_whole(self, problem: Problem) -> None:
        headers = [(b"content-type", CONTENT_TYPE.encode())]
        headers += [(name.encode(), value.encode()) for name, value in problem.headers]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": problem.encode(self._trail.request_id)})

    async def _finish(self) -> None:
        await self._record(None)
        self._has_answered = True
        await self._send_start()
        await self._send({"type": "http.response.body", "body": self._held.body})

    async def _send_start(self) -> None:
        assert self._held.start is not None  # noqa: S101  (ASGI sends the start first)
        headers = MutableHeaders(raw=self._held.start["headers"])
        for name, value in self._headers:
            headers[name] = value
        await self._send(self._held.start)

    async def _record(self, event_type: str | None) -> None:
        """Record, and wait until the record is durable. Raises RefusedError when it cannot be made durable."""
        if not (self._is_recorded and self._has_room):
            return
        self._has_room = False
        if event_type is None and self._trail.event_type == "request_completed":
            self._trail.event_type = _EVENT_BY_STATUS.get(self._trail.status, "request_completed")
            if self._trail.event_type != "request_completed" and self._trail.reason is None:
                self._trail.reason = "absent" if self._trail.principal is ANONYMOUS else "lacks the permission"
        ticket = self._tools.recorder.record(build_record(self._trail, event_type=event_type))
        try:
            await asyncio.shield(ticket.settled)  # others wait for it too: one who leaves must not take it with them
        except NotDurableError as error:
            raise refuse_unrecorded() from error

    def close(self) -> None:
        """End: a stream gets its record now, room that was not used goes back."""
        if self._has_room and self._held.is_streaming:
            self._has_room = False
            self._tools.recorder.record(build_record(self._trail))
        elif self._has_room:
            self._tools.recorder.release()


def _is_stream(start: Message) -> bool:
    headers: list[tuple[bytes, bytes]] = start["headers"]
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)


def _refusal(code: str, detail: str) -> RefusedError:
    return RefusedError(build_problem(code, detail), reason=code, event_type="request_completed")

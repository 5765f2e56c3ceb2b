"""The path of a request: authenticate → authorise → limit → reserve → forward → record; each step may end it."""

import asyncio
import time
from typing import Any

import orjson
import structlog

from services.gateway.authenticate import (
    ANONYMOUS,
    Authenticator,
    Principal,
    RefusedError,
    pick_credential,
    unauthenticated,
)
from services.gateway.identity import AddressFinder, continue_trace, is_host, pick_request_id
from services.gateway.limits import Decision, Limiter
from services.gateway.problems import CONTENT_TYPE, Problem, build_problem
from services.gateway.proxy.forward import Forwarder
from services.gateway.proxy.headers import build_grace_headers
from services.gateway.proxy.metrics import ProxyMetrics
from services.gateway.proxy.paths import normalise_path
from services.gateway.recording import Admission, refuse_unrecorded
from services.gateway.records import Trail, build_record, note_span
from services.gateway.settings import ProxySettings
from services.gateway.view import RouteView, View
from services.gateway.view_feed import ViewFeed
from services.keys.contract.credentials import PREFIX
from shared.recorder import NotDurableError, Recorder
from shared.telemetry import tracing

log = structlog.get_logger(__name__)
_RESERVED = "/.gatehouse/"
_FINISH_SECONDS = 30.0


class Exchange:
    """One request under way: what the steps know of it, and the answer's own headers.

    `items` are the request's headers as they came, `fields` the first of each name; `host` is the Host header, or the
    authority of an absolute target without one.
    """

    __slots__ = (
        "auth_ms", "credential_header", "fields", "headers", "host", "items", "limit_ms", "protocol", "route", "scope",
        "trail",
    )  # fmt: skip

    def __init__(
        self, scope: Any, protocol: Any, items: list[tuple[str, str]], fields: dict[str, str], trail: Trail
    ) -> None:
        self.scope = scope
        self.protocol = protocol
        self.items = items
        self.fields = fields
        self.host: str | None = fields.get("host") or scope.authority
        self.trail = trail
        self.route: RouteView | None = None
        self.credential_header: str | None = None
        self.headers: list[tuple[str, str]] = [("x-request-id", trail.request_id)]
        self.auth_ms = 0.0
        self.limit_ms = 0.0


class Proxy:
    """The RSGI application."""

    def __init__(
        self,
        *,
        feed: ViewFeed,
        authenticator: Authenticator,
        addresses: AddressFinder,
        limiter: Limiter,
        admission: Admission,
        recorder: Recorder,
        forwarder: Forwarder,
        metrics: ProxyMetrics,
        settings: ProxySettings,
    ) -> None:
        self._feed = feed
        self._authenticator = authenticator
        self._addresses = addresses
        self._limiter = limiter
        self._admission = admission
        self._recorder = recorder
        self._forwarder = forwarder
        self._metrics = metrics
        self._settings = settings
        self._under_way = 0

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Serve one request."""
        path = normalise_path(scope.path)
        if path.startswith(_RESERVED):
            self._answer_reserved(path, protocol)
            return
        self._under_way += 1
        items = scope.headers.items()
        fields = dict(reversed(items))
        trail = self._begin(scope, path, items, fields)
        exchange = Exchange(scope, protocol, items, fields, trail)
        try:
            self._decide(exchange)
            self._admission.reserve()
            await self._forwarder.forward(exchange)
        except RefusedError as refusal:
            await self._refuse(exchange, refusal)
        except NotDurableError:
            self._send_problem(exchange, refuse_unrecorded().problem)
        finally:
            self._under_way -= 1
            self._metrics.observe(trail.route, trail.status, time.perf_counter() - trail.started)
            if tracing.is_exporting():
                note_span(trail)

    async def finish(self) -> None:
        """Wait until the requests under way have their answers and records."""
        deadline = time.monotonic() + _FINISH_SECONDS
        while self._under_way and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

    def _begin(self, scope: Any, path: str, items: list[tuple[str, str]], fields: dict[str, str]) -> Trail:
        forwarded = self._addresses.is_configured and ",".join(
            value for name, value in items if name == "x-forwarded-for"
        )
        return Trail(
            method=scope.method,
            path=path,
            ip_address=self._addresses.find(scope.client, forwarded or None),
            user_agent=fields.get("user-agent"),
            request_id=pick_request_id(fields.get("x-request-id")),
            asked_id=fields.get("x-request-id"),
            traceparent=continue_trace(fields.get("traceparent")),
            caller_traceparent=fields.get("traceparent"),
            started=time.perf_counter(),
        )

    def _decide(self, exchange: Exchange) -> None:
        """Find the route, the principal, their right and their limit. Raises RefusedError."""
        trail = exchange.trail
        if not is_host(exchange.host):
            raise _refuse_with("malformed", "The Host header is malformed.", reason="malformed host")
        view = self._require_view()
        route = view.find_route(trail.path)
        if route is None:
            raise _refuse_with("no_route", "No route leads here.", reason="no_route")
        exchange.route = route
        trail.route = route.route.name
        if route.methods and trail.method not in route.methods:
            allow = ("allow", ", ".join(sorted(route.methods)))
            raise _refuse_with("method_not_allowed", "This route does not take that method.", allow, reason="method")
        principal = self._find_principal(exchange, view, route)
        trail.principal = principal
        exchange.auth_ms = (time.perf_counter() - trail.started) * 1000
        if route.route.auth == "required" or principal is not ANONYMOUS:
            self._authorise(principal, route)
        self._limit(exchange, principal)
        exchange.limit_ms = (time.perf_counter() - trail.started) * 1000 - exchange.auth_ms

    def _require_view(self) -> View:
        view = self._feed.view
        if view is None or self._feed.age_seconds > self._settings.view_max_age_seconds:
            raise _refuse_with(
                "view_stale", "The gateway does not know the keys well enough to decide.", reason="view_stale"
            )
        return view

    def _find_principal(self, exchange: Exchange, view: View, route: RouteView) -> Principal:
        get = exchange.fields.get
        credential, header = pick_credential(get("x-api-key"), get("authorization"))
        if route.route.auth == "none":
            exchange.credential_header = header if credential and credential.startswith(PREFIX) else None
            return ANONYMOUS
        exchange.credential_header = header
        if credential is None:
            if route.route.auth == "optional":
                return ANONYMOUS
            raise unauthenticated("absent")
        principal = self._authenticator.authenticate(view, credential, exchange.trail.ip_address)
        if principal.sunset is not None:
            exchange.headers += build_grace_headers(principal.sunset)
        return principal

    @staticmethod
    def _authorise(principal: Principal, route: RouteView) -> None:
        for needed in route.needed:
            if not principal.may(needed):
                problem = build_problem("forbidden", f"This credential lacks {needed}.")
                raise RefusedError(problem, reason=f"lacks {needed}", event_type="policy_denied", principal=principal)

    def _limit(self, exchange: Exchange, principal: Principal) -> None:
        if principal.key_id is not None:
            decision = self._limiter.take("per-key", principal.key_id, principal.rate_limit)
        else:
            address = exchange.trail.ip_address
            decision = self._limiter.take("per-address", f"ip:{address}", self._settings.anonymous_rate_limit)
        exchange.headers += decision.headers()
        if not decision.admitted:
            raise refuse_over_limit(decision, principal)

    async def _refuse(self, exchange: Exchange, refusal: RefusedError) -> None:
        """Record the refusal, then answer it; without room for the record it is 503 and counted."""
        trail, problem = exchange.trail, refusal.problem
        trail.reason = refusal.reason
        trail.event_type = refusal.event_type
        if refusal.principal is not ANONYMOUS:
            trail.principal = refusal.principal
        if refusal.event_type:
            trail.status = problem.status
            try:
                self._admission.reserve()
                await self._recorder.record(build_record(trail)).settled
            except RefusedError as full:
                problem = full.problem
            except NotDurableError:
                problem = refuse_unrecorded().problem
        self._send_problem(exchange, problem)

    @staticmethod
    def _send_problem(exchange: Exchange, problem: Problem) -> None:
        exchange.trail.status = problem.status
        body = problem.encode(exchange.trail.request_id)
        headers = [("content-type", CONTENT_TYPE), *exchange.headers, *problem.headers]
        if exchange.scope.method == "HEAD":
            exchange.protocol.response_empty(problem.status, headers)
        else:
            exchange.protocol.response_bytes(problem.status, headers, body)

    def _answer_reserved(self, path: str, protocol: Any) -> None:
        """Answer /.gatehouse/ready and /.gatehouse/health; not recorded, not limited."""
        if path == "/.gatehouse/health":
            status, document = 200, {"status": "ok"}
        elif path == "/.gatehouse/ready":
            parts = self.check_parts()
            status = 200 if all(state == "ok" for state in parts.values()) else 503
            document = {"status": "ready" if status == 200 else "not ready", "parts": parts}  # type: ignore[dict-item]  # noqa: PLR2004
        else:
            status, document = 404, {"status": "not found"}
        protocol.response_bytes(status, [("content-type", "application/json")], orjson.dumps(document))

    def check_parts(self) -> dict[str, str]:
        """Return the state of what the proxy needs: the view whole and in bound, room in the recorder."""
        stale = self._feed.age_seconds > self._settings.view_max_age_seconds
        return {
            "view": "too old, or not loaded" if stale else "ok",
            "recorder": "ok" if self._recorder.has_room else "full",
        }


def refuse_over_limit(decision: Decision, principal: Principal) -> RefusedError:
    """Return the refusal of a request over its limit."""
    retry = ("retry-after", str(decision.reset_seconds))
    problem = build_problem(
        "rate_limited",
        f"The limit of {decision.limit} requests a minute is used up.",
        retry,
        violated=(decision.policy,),
    )
    return RefusedError(problem, reason=decision.policy, event_type="rate_limit_exceeded", principal=principal)


def _refuse_with(code: str, detail: str, *headers: tuple[str, str], reason: str) -> RefusedError:
    return RefusedError(build_problem(code, detail, *headers), reason=reason, event_type="request_completed")

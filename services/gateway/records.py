"""Building the record of a request: one CloudEvents document, cheap enough for the hot path."""

import time
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import UNSET, Struct, UnsetType

from services.gateway.authenticate import ANONYMOUS, Principal
from services.gateway.contract.events import CATALOGUE
from services.gateway.endpoints import EndpointNames
from shared.clock import format_time
from shared.recorder import Record
from shared.telemetry.tracing import note_request

_LONGEST_PATH = 2048
_LONGEST_USER_AGENT = 512
_SEVERITIES = {entry.name: entry.severity for entry in CATALOGUE.types}
_names = EndpointNames()


class Trail(Struct, gc=False, kw_only=True):
    """What is known of a request while it is served; `build_record` turns it into its record.

    `asked_id` is the X-Request-Id that came with it, which need not be the one that it has.
    """

    method: str
    path: str
    ip_address: str
    user_agent: str | None
    request_id: str
    asked_id: str | None
    traceparent: str
    caller_traceparent: str | None
    started: float
    route: str | None = None
    principal: Principal = ANONYMOUS
    event_type: str = "request_completed"
    reason: str | None = None
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    aborted: bool = False


class _Data(Struct, gc=False, kw_only=True):
    """The contract's RequestRecord, as the hot path writes it: `reason` and `aborted` only when there is any."""

    method: str
    path: str
    endpoint: str
    status_code: int
    duration_ms: float
    bytes_in: int
    bytes_out: int
    route: str | None
    key_id: str | None
    ip_address: str
    user_agent: str | None
    reason: str | UnsetType
    aborted: bool | UnsetType


def build_record(trail: Trail, *, event_type: str | None = None) -> Record:
    """Return the record of a request; with `event_type` one besides.

    A request that came without an id of its own and its record have one id: making one costs as much as routing.
    """
    is_own_id = event_type is None and trail.request_id != trail.asked_id
    kind = event_type or trail.event_type
    route, principal = trail.route, trail.principal
    return Record(
        id=trail.request_id if is_own_id else "",
        type=kind,
        time=_format_now(),
        subject=f"route/{route}" if route else "gateway/api",
        actor=principal.name,
        tenant=principal.tenant,
        severity=_SEVERITIES[kind],
        requestid=trail.request_id,
        traceparent=trail.traceparent,
        data=_Data(
            method=trail.method,
            path=_storable(trail.path[:_LONGEST_PATH]),
            endpoint=_storable(_names.name(route, trail.method, trail.path)),
            status_code=trail.status,
            duration_ms=round((time.perf_counter() - trail.started) * 1000, 3),
            bytes_in=trail.bytes_in,
            bytes_out=trail.bytes_out,
            route=route,
            key_id=principal.key_id,
            ip_address=trail.ip_address,
            user_agent=_storable(trail.user_agent[:_LONGEST_USER_AGENT]) if trail.user_agent else None,
            reason=trail.reason or UNSET,
            aborted=trail.aborted or UNSET,
        ),
    )


def _format_now() -> str:
    """Return the time as `format_time` does; records of one millisecond share its text."""
    return _format_millisecond(time.time_ns() // 1_000_000)


@lru_cache(maxsize=2)
def _format_millisecond(milliseconds: int) -> str:
    second, rest = divmod(milliseconds, 1000)
    return f"{_format_second(second)}.{rest:03d}Z"


@lru_cache(maxsize=2)
def _format_second(second: int) -> str:
    return format_time(datetime.fromtimestamp(second, UTC)).removesuffix(".000Z")


def _storable(text: str) -> str:
    """Return text that every store takes: Postgres knows no zero byte, so it is shown as the replacement character."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def note_span(trail: Trail) -> None:
    """Export the request's span, by OpenTelemetry's HTTP conventions; to be asked only when spans are exported."""
    attributes: dict[str, str | int] = {
        "http.request.method": trail.method,
        "url.path": trail.path[:_LONGEST_PATH],
        "client.address": trail.ip_address,
        "http.response.status_code": trail.status,
        "gatehouse.request_id": trail.request_id,
    }
    if trail.route:
        attributes["http.route"] = trail.route
    if trail.reason:
        attributes["error.type"] = trail.reason
    name = f"{trail.method} {trail.route}" if trail.route else trail.method
    seconds = time.perf_counter() - trail.started
    note_request(name, trail.traceparent, trail.caller_traceparent, seconds=seconds, attributes=attributes)


def build_summary(count: int, reason: str, status: int) -> Record:
    """Return the record of answers that could not be recorded one by one."""
    return Record(
        type="requests_summarised",
        time=format_time(datetime.now(UTC)),
        subject="gateway/recorder",
        actor="service:gateway",
        tenant="default",
        severity="low",
        data={"count": count, "reason": reason, "status_code": status},
    )

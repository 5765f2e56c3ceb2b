"""How an event becomes an entry: pure. Nothing here trusts what an event from outside says of itself."""

import contextlib
import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec.structs import fields

from services.audit.contract.catalogue import HOUSE_NAMES, find_house_category
from services.audit.contract.external import MAX_EVENT_BYTES, SEVERITIES, check_external
from services.audit.contract.streams import API_SOURCE
from shared.clock import parse_time
from shared.envelope import EnvelopeError, Event, decode_event
from shared.projector import Received

_ACTIONS = {"GET": "read", "HEAD": "read", "POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
_SUFFIXES = {
    "created": "create", "generated": "create", "registered": "create", "started": "create", "opened": "create",
    "updated": "update", "changed": "update", "rotated": "update", "modified": "update",
    "deleted": "delete", "revoked": "delete", "erased": "delete", "released": "delete",
}  # fmt: skip
_DENIED = frozenset({401, 403, 429})
_FIRST_ERROR = 400
_RECORD_FIELDS = frozenset(
    {
        "method",
        "path",
        "endpoint",
        "status_code",
        "duration_ms",
        "bytes_in",
        "bytes_out",
        "route",
        "ip_address",
        "user_agent",
    }
)
_ZERO = "\\u0000"
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An entry before it has its index and id, in the order of the table's columns after those two."""

    timestamp: datetime
    received_at: datetime
    event_type: str
    severity: str
    category: str
    actor: str
    tenant: str
    ip_address: str | None
    user_agent: str | None
    endpoint: str | None
    path: str | None
    method: str | None
    status_code: int | None
    duration_ms: float | None
    bytes_in: int | None
    bytes_out: int | None
    route: str | None
    action: str
    resource: str | None
    status: str
    details: dict[str, Any]
    changes: dict[str, Any] | None
    request_id: str | None
    trace_id: str | None
    session_id: str | None
    source: str
    source_id: str
    origin: str | None
    onbehalfof: str | None


class _Columns(msgspec.Struct, gc=False):
    """The members of an event's data that have a column of their own."""

    ip_address: str | None = None
    user_agent: str | None = None
    endpoint: str | None = None
    path: str | None = None
    method: str | None = None
    status_code: int | None = None
    duration_ms: float | None = None
    bytes_in: _Count | None = None
    bytes_out: _Count | None = None
    route: str | None = None
    session_id: str | None = None


COLUMNS = ("index", "id", *Row.__struct_fields__)


def build_row(received: Received) -> Row:
    """Return the entry of an event. Raises EnvelopeError for a time that is none."""
    event = received.event
    said = _read_columns(event.data)
    trace = (event.traceparent or "").split("-")
    return Row(
        timestamp=_read_time(event, received.stored_at),
        received_at=received.stored_at,
        event_type=event.type,
        severity=event.severity if event.severity in SEVERITIES else "low",
        category=find_house_category(event.type),
        actor=event.actor or "anonymous",
        tenant=event.tenant or "default",
        ip_address=said.ip_address,
        user_agent=said.user_agent,
        endpoint=said.endpoint,
        path=said.path,
        method=said.method,
        status_code=said.status_code if event.sourceseq else None,
        duration_ms=said.duration_ms,
        bytes_in=said.bytes_in,
        bytes_out=said.bytes_out,
        route=said.route,
        action=find_action(event),
        resource=event.subject,
        status=find_status(event),
        details=_build_details(event),
        changes=_build_changes(event),
        request_id=event.requestid,
        trace_id=trace[1] if len(trace) == 4 else None,  # noqa: PLR2004  (the parts of a traceparent)
        session_id=said.session_id,
        source=event.source,
        source_id=event.id,
        origin=event.origin,
        onbehalfof=event.onbehalfof,
    )


def find_action(event: Event) -> str:
    """Return the action: of a request by its method, as given, or by the type's last word."""
    if event.sourceseq:
        return _ACTIONS.get(str(event.data.get("method")), "other")
    given = event.data.get("action")
    if isinstance(given, str) and given:
        return given
    return _SUFFIXES.get(event.type.rpartition("_")[2], "other")


def find_status(event: Event) -> str:
    """Return success (< 400), denied (401, 403, 429) or failure (the rest)."""
    code = event.data.get("status_code")
    if event.sourceseq and isinstance(code, int):
        return "denied" if code in _DENIED else "failure" if code >= _FIRST_ERROR else "success"
    given = event.data.get("status")
    if given in ("success", "denied", "failure"):
        return str(given)
    return "failure" if event.type.endswith("_failed") or event.data.get("success") is False else "success"


def _read_time(event: Event, stored_at: datetime) -> datetime:
    if not event.time:
        return stored_at
    try:
        return parse_time(event.time)
    except ValueError as error:
        raise EnvelopeError(f"time: {error}") from error


def _read_columns(data: dict[str, Any]) -> _Columns:
    """Return what has a column; a member of another kind than its column's is as good as absent."""
    try:
        return msgspec.convert(data, _Columns)
    except msgspec.ValidationError:
        fitting = {}
        for column in fields(_Columns):
            with contextlib.suppress(msgspec.ValidationError):
                fitting[column.name] = msgspec.convert(data.get(column.name), column.type)
        return _Columns(**fitting)


def _build_details(event: Event) -> dict[str, Any]:
    """Everything of the data that has no column; a verifier only as its hash."""
    if event.sourceseq:
        return {name: value for name, value in event.data.items() if name not in _RECORD_FIELDS and value is not None}
    given = event.data.get("details")
    rest = {name: value for name, value in event.data.items() if name not in ("details", "changes")}
    if "secret" in rest and event.source == "/gatehouse/keys":
        digest = hashlib.sha256(repr(sorted(rest["secret"].items())).encode()).hexdigest()
        rest["secret"] = {"sha256": digest}
    return {**given, **rest} if isinstance(given, dict) else rest


def _build_changes(event: Event) -> dict[str, Any] | None:
    changes = event.data.get("changes")
    if not isinstance(changes, dict):
        return None
    return {"before": None, "after": changes} if event.source == "/gatehouse/keys" else changes


def read_external(subject: str, payload: bytes, *, tenant: str) -> Event:
    """Return the event of a message on `ext.>`, with the identity that its subject (its credential) gives it.

    Raises EnvelopeError: no CloudEvent, too large, a broken schema, a type of the house.
    """
    if len(payload) > MAX_EVENT_BYTES:
        raise EnvelopeError(f"larger than {MAX_EVENT_BYTES} bytes")
    if _ZERO.encode() in payload:
        raise EnvelopeError("holds a zero byte")
    event = decode_event(payload)
    check_external(event.type, event.data, event.severity, ours=HOUSE_NAMES)
    tokens = subject.split(".")
    is_ours = tokens[1] == API_SOURCE
    source = f"/ext/{tokens[2] if is_ours else tokens[1]}"
    changes: dict[str, Any] = {name: getattr(event, name) for name in Event.__struct_fields__}
    changes |= {"source": source, "sourceseq": None, "replaces": None}
    if not is_ours:
        actor = f"service:{tokens[1]}"
        claimed = event.actor if event.actor != actor else None
        changes |= {"tenant": tenant, "actor": actor, "onbehalfof": claimed}
        changes["origin"] = event.source if event.source != source else None
    checked = Event(**changes)
    if checked.time:
        _read_time(checked, datetime.max.replace(tzinfo=UTC))
    return checked

"""What a rule sees of an event: the entry that audit will make of it, as far as the event itself says. Pure.

Every field is there, null when the event does not say, so that a comparison with one is false and no error.
"""

from typing import Any

from shared.clock import format_time
from shared.projector import Received

_DENIED = frozenset({401, 403, 429})
_ERROR_STATUS = 400
_TRACE_ID = slice(3, 35)
_ACTIONS = {"GET": "read", "HEAD": "read", "POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
_RECORD_FIELDS = (
    "endpoint", "path", "method", "status_code", "duration_ms", "bytes_in", "bytes_out", "route", "key_id", "ip_address",
    "user_agent",
)  # fmt: skip
_CATEGORIES = {
    "login": "auth", "logout": "auth", "resource_usage_reported": "quota", "file_created": "file",
    "file_modified": "file", "file_deleted": "file", "memory_created": "data", "memory_updated": "data",
    "memory_deleted": "data", "commit": "code", "push": "code", "pull_request_opened": "code",
    "pull_request_merged": "code", "clone": "code", "fetch": "code", "merge": "code", "comment_added": "code",
}  # fmt: skip


def build_entry(item: Received) -> dict[str, Any]:
    """Return an event as rules see it."""
    event, data = item.event, item.event.data
    is_record = item.subject.startswith("traffic.")
    entry: dict[str, Any] = {name: data.get(name) for name in _RECORD_FIELDS}
    details = data.get("details")
    entry |= {
        "id": event.id,
        "timestamp": event.time or format_time(item.stored_at),
        "event_type": event.type,
        "severity": event.severity or "low",
        "category": _find_category(item),
        "actor": event.actor,
        "user_id": event.actor,
        "actor_type": event.actor.partition(":")[0] if event.actor else None,
        "tenant": event.tenant or "default",
        "action": _ACTIONS.get(str(data.get("method"))) if is_record else data.get("action"),
        "resource": event.subject,
        "status": find_status(data),
        "details": details if isinstance(details, dict) else _strip(data) if is_record else data,
        "request_id": event.requestid,
        "trace_id": event.traceparent[_TRACE_ID] if event.traceparent else None,
        "source": event.source,
        "source_id": event.id,
        "origin": event.origin,
        "onbehalfof": event.onbehalfof,
    }
    return entry


def _strip(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in _RECORD_FIELDS}


def find_status(data: dict[str, Any]) -> str:
    """Return success, denied (401, 403, 429) or failure, by what the event's data say; success when they say nothing."""
    said = data.get("status")
    if said in {"success", "denied", "failure"}:
        return str(said)
    code = data.get("status_code", said)
    if isinstance(code, int) and not isinstance(code, bool):
        return "denied" if code in _DENIED else "failure" if code >= _ERROR_STATUS else "success"
    if said in {"failed", "error"} or data.get("success") is False:
        return "failure"
    return "success"


def _find_category(item: Received) -> str:
    if item.subject.startswith("traffic."):
        return "traffic"
    if item.subject.startswith("evt.audit."):
        return "audit"
    said = item.event.data.get("category")
    return said if isinstance(said, str) else _CATEGORIES.get(item.event.type, "system")


def reach(entry: dict[str, Any], path: str) -> Any:
    """Return what stands at a dotted path of an entry; None when nothing does."""
    value: Any = entry
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value

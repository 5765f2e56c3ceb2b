"""What leaves the service is rendered here, once, and frozen in its outbox row: pure.

Each change of an alert makes one row for EVENTS, and, when anybody is to be told, one for `alerts.>` and one a channel.
"""

from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel

from services.alerts.alerts import SERVICE, AlertRecord, derive_id, derive_uuid7, present_alert
from services.alerts.contract.events import (
    ACKNOWLEDGED,
    FIRED,
    NOTIFICATION_FAILED,
    RESOLVED,
    SOURCE,
    AlertAcknowledged,
    AlertFired,
    AlertResolved,
    NotificationFailed,
)
from shared.bus import build_subject
from shared.clock import format_time, parse_time
from shared.envelope import Event, EventType

EVENTS_CHANNEL = "events"
NATS_CHANNEL = "nats"
_TYPES = {"fired": FIRED, "acknowledged": ACKNOWLEDGED, "resolved": RESOLVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One thing to send: to the event stream, to `alerts.>`, or to a channel (kind webhook)."""

    delivery_id: str
    transition_id: str
    alert_id: str
    tenant: str
    kind: str
    channel: str
    transition: str
    subject: str
    payload: str
    created_at: str


def render_transition(alert: AlertRecord, transition: str, *, at: str, by: str) -> list[OutboxRow]:
    """Return the rows of a change of state, already applied to the alert."""
    moment_ms = _to_ms(at)
    transition_id = derive_uuid7(moment_ms, alert.alert_id, transition, at, by)
    kind = _TYPES[transition]
    subject = build_subject("evt.alerts.alert", alert.alert_id, kind.name)
    fact = _event(
        kind, alert, derive_uuid7(moment_ms, transition_id, "events"), at=at, by=by, data=_fact(alert, transition)
    )
    rows = [
        _row(alert, transition, transition_id, at=at, kind="events", to=EVENTS_CHANNEL, sent=(subject, fact.encode()))
    ]
    if not alert.notified:
        return rows
    data = present_alert(alert).model_dump(mode="json")
    copy = _event(kind, alert, transition_id, at=at, by=by, data=data)
    topic = build_subject("alerts", transition, alert.severity, alert.rule)
    rows.append(
        _row(alert, transition, transition_id, at=at, kind="nats", to=NATS_CHANNEL, sent=(topic, copy.encode()))
    )
    return rows + render_webhooks(alert, transition, transition_id, at=at, event_type=kind.name)


def render_webhooks(
    alert: AlertRecord, transition: str, transition_id: str, *, at: str, event_type: str
) -> list[OutboxRow]:
    """Return one row a channel, all with the same body."""
    body = orjson.dumps({"type": event_type, "timestamp": at, "data": present_alert(alert).model_dump(mode="json")})
    return [
        _row(alert, transition, transition_id, at=at, kind="webhook", to=channel, sent=("", body))
        for channel in alert.channels
    ]


def render_failure(row: OutboxRow, *, attempts: int, status: int | None, reason: str, at: str) -> OutboxRow:
    """Return the row that tells the event stream that a delivery was given up."""
    data = NotificationFailed(
        delivery_id=row.delivery_id, alert_id=row.alert_id, channel=row.channel, transition=row.transition,
        attempts=attempts, last_status=status, reason=reason[:500],
    )  # fmt: skip
    event_id = derive_uuid7(_to_ms(at), row.delivery_id, attempts, at)
    event = Event(
        id=event_id, source=SOURCE, type=NOTIFICATION_FAILED.name, time=at, subject=f"delivery/{row.delivery_id}",
        severity=NOTIFICATION_FAILED.severity, actor=SERVICE, tenant=row.tenant, causationid=row.transition_id,
        data=data.model_dump(mode="json"),
    )  # fmt: skip
    return OutboxRow(
        delivery_id=derive_id("dlv_", event_id), transition_id=event_id, alert_id=row.alert_id, tenant=row.tenant,
        kind="events", channel=EVENTS_CHANNEL, transition="failed", created_at=at, payload=event.encode().decode(),
        subject=build_subject("evt.alerts.delivery", row.delivery_id, NOTIFICATION_FAILED.name),
    )  # fmt: skip


def _to_ms(at: str) -> int:
    return int(parse_time(at).timestamp() * 1000)


def _fact(alert: AlertRecord, transition: str) -> BaseModel:
    known: dict[str, Any] = {"alert_id": alert.alert_id, "rule": alert.rule, "severity": alert.severity}
    if transition == "fired":
        return AlertFired(
            **known, value=alert.value, threshold=alert.threshold, started_at=alert.started_at, notified=alert.notified
        )
    if transition == "acknowledged":
        return AlertAcknowledged(**known, until=alert.acknowledged_until)
    return AlertResolved(**known, resolved_by=alert.resolved_by or SERVICE, reason=alert.reason)


def _event(
    kind: EventType, alert: AlertRecord, event_id: str, *, at: str, by: str, data: BaseModel | dict[str, Any]
) -> Event:
    return Event(
        id=event_id,
        source=SOURCE,
        type=kind.name,
        schemaversion=kind.version,
        time=format_time(parse_time(at)),
        subject=f"alert/{alert.alert_id}",
        severity=alert.severity,
        actor=by,
        tenant=alert.tenant,
        data=data.model_dump(mode="json") if isinstance(data, BaseModel) else data,
    )


def _row(
    alert: AlertRecord, transition: str, transition_id: str, *, at: str, kind: str, to: str, sent: tuple[str, bytes]
) -> OutboxRow:
    return OutboxRow(
        delivery_id=derive_id("dlv_", transition_id, kind, to),
        transition_id=transition_id,
        alert_id=alert.alert_id,
        tenant=alert.tenant,
        kind=kind,
        channel=to,
        transition=transition,
        subject=sent[0],
        payload=sent[1].decode(),
        created_at=at,
    )

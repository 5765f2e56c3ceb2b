"""What an alert is and how its state changes: pure. Times are RFC 3339, every one of them event time or an argument.

Ids are made of what they stand for, so that a transaction that is tried again makes the same ones.
"""

import hashlib
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from services.alerts.contract.requests import Alert, AlertState
from services.alerts.contract.rules import Severity
from services.alerts.evaluation import CompiledRule
from services.alerts.windows import Ring, Turn
from shared.clock import format_time
from shared.errors import conflict
from shared.ids import encode_base62

SERVICE = "service:alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """One alert with all that is kept of it; `notified` whether anybody is told, `reason` why or why not."""

    alert_id: str
    rule: str
    tenant: str
    group_id: str
    group_values: dict[str, Any] = field(hash=False)
    state: AlertState
    severity: Severity
    value: float
    threshold: float
    summary: str
    labels: dict[str, str] = field(hash=False)
    runbook: str | None
    channels: list[str] = field(hash=False)
    notified: bool
    reason: str
    explanation: dict[str, Any] = field(hash=False)
    started_at: str
    fired_at: str | None = None
    acknowledged_at: str | None = None
    acknowledged_until: str | None = None
    acknowledged_by: str | None = None
    note: str | None = None
    resolved_at: str | None = None
    resolved_by: str | None = None


def format_ms(moment_ms: int) -> str:
    """Return RFC 3339 of milliseconds since the epoch."""
    return format_time(datetime.fromtimestamp(moment_ms / 1000, UTC))


def derive_id(prefix: str, *parts: object) -> str:
    """Return an id made of what it stands for."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return f"{prefix}{encode_base62(int.from_bytes(digest[:12]), length=17)}"


def derive_uuid7(moment_ms: int, *parts: object) -> str:
    """Return a UUIDv7 of a moment whose random part is made of what it stands for (RFC 9562, section 5.7)."""
    digest = int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:10])
    high = (moment_ms & (2**48 - 1)) << 80 | 0x7 << 76 | (digest >> 68) << 64
    return str(uuid.UUID(int=high | 0b10 << 62 | digest & (2**62 - 1)))


def open_alert(
    rule: CompiledRule, identity: tuple[str, int], group: dict[str, Any], *, turn: Turn, ring: Ring
) -> AlertRecord:
    """Return the alert that a rule's series begins, pending; `fire` makes it known.

    `identity` is the series' group, and how many alerts it has begun.
    """
    started_at = format_ms(turn.at_ms)
    return AlertRecord(
        alert_id=derive_id("alr_", rule.rule.name, rule.created_at, *identity, turn.at_ms),
        rule=rule.rule.name,
        tenant=rule.tenant,
        group_id=identity[0],
        group_values=group,
        state="pending",
        severity=rule.rule.severity,
        value=rule.bounds.measure(turn.counts),
        threshold=rule.rule.threshold,
        summary=_summarise(rule, group, rule.bounds.measure(turn.counts)),
        labels=rule.rule.labels,
        runbook=rule.rule.runbook,
        channels=rule.rule.channels,
        notified=False,
        reason=f"the threshold was reached; it has to hold for {rule.rule.for_seconds} s",
        explanation=_explain(rule, turn, ring),
        started_at=started_at,
    )


def fire(alert: AlertRecord, rule: CompiledRule, *, turn: Turn, ring: Ring, notified_ms: int | None) -> AlertRecord:
    """Return the alert fired; it is told unless the series told one within the rule's cooldown."""
    value = rule.bounds.measure(turn.counts)
    cooldown_ms = rule.rule.cooldown_seconds * 1000
    is_cooling = notified_ms is not None and turn.at_ms - notified_ms < cooldown_ms
    reason = "the threshold was reached"
    if is_cooling and notified_ms is not None:
        reason = f"within the cooldown of the notification of {format_ms(notified_ms)}: recorded, not sent"
    return replace(
        alert,
        state="fired",
        value=value,
        summary=_summarise(rule, alert.group_values, value),
        notified=not is_cooling,
        reason=reason,
        explanation=_explain(rule, turn, ring),
        fired_at=format_ms(turn.at_ms),
    )


def acknowledge(alert: AlertRecord, *, by: str, at: str, until: str | None, note: str) -> AlertRecord:
    """Return the alert acknowledged, anew when it was already. Raises conflict when it is pending or resolved."""
    if alert.state not in {"fired", "acknowledged"}:
        raise conflict(f"The alert is {alert.state}; only a fired one can be acknowledged.")
    return replace(
        alert, state="acknowledged", acknowledged_at=at, acknowledged_until=until, acknowledged_by=by, note=note or None
    )


def resolve(alert: AlertRecord, *, by: str, at: str) -> AlertRecord:
    """Return the alert resolved; as it is when it was already."""
    return alert if alert.state == "resolved" else replace(alert, state="resolved", resolved_at=at, resolved_by=by)


def present_alert(alert: AlertRecord) -> Alert:
    """Return the alert as callers and subscribers see it."""
    return Alert(
        group=alert.group_values,
        **{name: getattr(alert, name) for name in Alert.model_fields if name != "group"},
    )


def _summarise(rule: CompiledRule, group: dict[str, Any], value: float) -> str:
    shown = f"{value:.4g}" if rule.bounds.is_share else f"{value:.0f}"
    where = " for " + ", ".join(f"{name}={text}" for name, text in group.items()) if group else ""
    what = f"{rule.rule.type} {shown} over {rule.rule.window_seconds} s (threshold {rule.rule.threshold:g})"
    return f"{rule.rule.name}: {what}{where}"


def _explain(rule: CompiledRule, turn: Turn, ring: Ring) -> dict[str, Any]:
    width, first = rule.shape.width_ms, turn.end - rule.shape.buckets + 1
    inside = sorted((number, *counts) for number, counts in ring.buckets.items() if first <= number <= turn.end)
    return {
        "window": {"from": format_ms(first * width), "to": format_ms((turn.end + 1) * width)},
        "counts": {"total": turn.counts.total, "matching": turn.counts.matching},
        "buckets": inside,
        "bucket_seconds": width // 1000,
        "samples": [event_id for bucket, event_id in ring.samples if first <= bucket <= turn.end],
    }

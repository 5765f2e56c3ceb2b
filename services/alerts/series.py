"""A series: what one rule counts for one group, with its alert's phase, and how it moves: pure.

It is read from and written to one row; `move` returns what changed, and nothing of it is kept in memory between batches.
"""

from dataclasses import dataclass, field
from typing import Any

from services.alerts.alerts import SERVICE, AlertRecord, fire, format_ms, open_alert, resolve
from services.alerts.evaluation import CompiledRule, Delta
from services.alerts.outbox import OutboxRow, render_transition
from services.alerts.windows import LATENESS_SECONDS, Phase, Ring, Standing, Turn, find_due, walk


@dataclass(slots=True)
class Series:
    """One row: the ring, the standing, and when it last told anybody that an alert fired."""

    rule: str
    group_id: str
    group: dict[str, Any]
    shape_id: str
    ring: Ring = field(default_factory=Ring)
    standing: Standing = field(default_factory=Standing)
    newest_ms: int = 0
    notified_ms: int | None = None
    begun: int = 0
    alert_id: str | None = None
    due_ms: int | None = None

    @classmethod
    def thaw(cls, row: Any) -> "Series":
        """Return the series of a row."""
        state = row["state"]
        series = cls(row["rule"], row["group_id"], row["group_values"], row["shape_id"], alert_id=row["alert_id"])
        if state:
            series.ring.buckets = {number: (total, matching) for number, total, matching in state["buckets"]}
            series.ring.samples = [(bucket, event_id) for bucket, event_id in state["samples"]]
            series.standing = Standing(Phase(state["phase"]), state["since_ms"], state["evaluated_ms"], state["floor"])
            series.newest_ms, series.notified_ms = state["newest_ms"], state["notified_ms"]
            series.begun = state["begun"]
        return series

    def freeze(self, rule: CompiledRule) -> dict[str, Any]:
        """Return the row; `kept_until_ms` is when nothing in it can matter any more."""
        self.due_ms = find_due(self.ring, rule.shape, rule.bounds, self.standing)
        kept = max(self.newest_ms, self.standing.evaluated_ms) + rule.shape.width_ms * rule.shape.buckets
        cooling = (self.notified_ms or 0) + rule.rule.cooldown_seconds * 1000
        return {
            "rule": self.rule,
            "group_id": self.group_id,
            "shape_id": self.shape_id,
            "alert_id": self.alert_id,
            "due_ms": self.due_ms,
            "kept_until_ms": max(kept + LATENESS_SECONDS * 1000, cooling),
            "state": self.freeze_state(),
        }

    def freeze_state(self) -> dict[str, Any]:
        """Return the part of the row that only this module reads."""
        return {
            "buckets": [(number, *counts) for number, counts in sorted(self.ring.buckets.items())],
            "samples": self.ring.samples,
            "phase": self.standing.phase.value,
            "since_ms": self.standing.since_ms,
            "evaluated_ms": self.standing.evaluated_ms,
            "floor": self.standing.floor,
            "newest_ms": self.newest_ms,
            "notified_ms": self.notified_ms,
            "begun": self.begun,
        }

    def close(self, *, at_ms: int) -> dict[str, Any]:
        """Return the state after its alert was closed by hand, or with its rule: the counts start anew."""
        standing = Standing(evaluated_ms=max(at_ms, self.standing.evaluated_ms), floor=self.standing.floor)
        closed = Series(self.rule, self.group_id, self.group, self.shape_id, standing=standing)
        closed.newest_ms, closed.notified_ms, closed.begun = self.newest_ms, self.notified_ms, self.begun
        return closed.freeze_state()


@dataclass(slots=True)
class Moved:
    """What moving a series changed: alerts by id (None: it never fired and is gone), and what is to be sent."""

    alerts: dict[str, AlertRecord | None] = field(default_factory=dict)
    outbox: list[OutboxRow] = field(default_factory=list)


def move(
    series: Series, rule: CompiledRule, alert: AlertRecord | None, *, delta: Delta | None = None, until_ms: int = 0
) -> Moved:
    """Count a batch into a series and move it to the batch's newest moment, or only to `until_ms`."""
    moved = Moved()
    if series.shape_id != rule.shape_id:
        alert = _change_shape(series, rule, alert, moved)
    changed = _add(series, delta) if delta else None
    until_ms = max(until_ms, delta.newest_ms if delta else 0)
    turns = walk(series.ring, rule.shape, rule.bounds, series.standing, until_ms=until_ms, changed=changed)
    for turn in turns:
        alert = _apply(series, rule, alert, turn, moved)
    series.alert_id = alert.alert_id if alert else None
    lateness = -(-LATENESS_SECONDS * 1000 // rule.shape.width_ms)
    newest = rule.shape.find_bucket(max(series.newest_ms, series.standing.evaluated_ms))
    series.ring.forget_before(newest - rule.shape.buckets - lateness)
    return moved


def _change_shape(series: Series, rule: CompiledRule, alert: AlertRecord | None, moved: Moved) -> AlertRecord | None:
    """Forget counts of something else; an alert that fired stays open until the new windows are clear."""
    is_firing = series.standing.phase is Phase.FIRING
    series.shape_id, series.ring = rule.shape_id, Ring()
    series.standing = Standing(Phase.FIRING if is_firing else Phase.IDLE)
    if alert and not is_firing:
        moved.alerts[alert.alert_id] = None
    return alert if is_firing else None


def _add(series: Series, delta: Delta) -> tuple[int, int]:
    for bucket, (total, matching) in delta.buckets.items():
        series.ring.add(bucket, total, matching)
    series.ring.add_samples(delta.samples)
    series.newest_ms = max(series.newest_ms, delta.newest_ms)
    return min(delta.buckets), max(delta.buckets)


def _apply(
    series: Series, rule: CompiledRule, alert: AlertRecord | None, turn: Turn, moved: Moved
) -> AlertRecord | None:
    """Apply one turn to the alert; return the one that is open afterwards."""
    if turn.before is Phase.IDLE:
        series.begun += 1
        identity = (series.group_id, series.begun)
        alert = open_alert(rule, identity, series.group, turn=turn, ring=series.ring)
    if alert is None:
        return None
    if turn.phase is Phase.FIRING:
        alert = fire(alert, rule, turn=turn, ring=series.ring, notified_ms=series.notified_ms)
        if alert.notified:
            series.notified_ms = turn.at_ms
        moved.outbox += render_transition(alert, "fired", at=alert.fired_at or alert.started_at, by=SERVICE)
    elif turn.phase is Phase.IDLE and turn.before is Phase.PENDING:
        moved.alerts[alert.alert_id] = None
        return None
    elif turn.phase is Phase.IDLE:
        at = format_ms(turn.at_ms)
        alert = resolve(alert, by=SERVICE, at=at)
        moved.outbox += render_transition(alert, "resolved", at=at, by=SERVICE)
    moved.alerts[alert.alert_id] = alert
    return None if alert.state == "resolved" else alert

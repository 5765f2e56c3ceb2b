"""The evaluator's transactions: lock the series, move them, write what changed. No decision is made here.

Nothing of a series is kept in memory between two transactions; rules are, until their version differs.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from services.alerts import metrics
from services.alerts.alerts import SERVICE, format_ms, resolve
from services.alerts.contract.rules import Rule
from services.alerts.domain import OwnedRule
from services.alerts.evaluation import CompiledRule, Delta, RuleSet, SeriesKey, Tally, count_batch
from services.alerts.outbox import render_transition
from services.alerts.series import Moved, Series, move
from services.alerts.store import SQL, add_to_outbox, lock_alerts, save_alerts, save_moved
from shared.clock import format_time
from shared.db import Connection
from shared.projector import Delivery

_EVENTS_AT_ONCE = 500
_SERIES_AT_ONCE = 200
_DUE_AT_ONCE = 500


def read_rule(row: Any) -> OwnedRule:
    """Return the rule of a row."""
    rule = Rule.model_validate(row["body"])
    times = format_time(row["created_at"]), format_time(row["updated_at"])
    return OwnedRule(rule, row["tenant"], row["every_tenant"], *times)


class Evaluator:
    """Evaluates the rules on batches of events, and on the passing of time."""

    def __init__(self) -> None:
        self._rules = RuleSet([])
        self._version: tuple[int, int] | None = None

    async def apply(self, connection: Connection, delivery: Delivery, *, projection: str) -> None:
        """Count a batch: changed series, alerts and the outbox, in the projector's transaction."""
        rules = await self._load_rules(connection)
        tally = Tally()
        for first in range(0, len(delivery.received), _EVENTS_AT_ONCE):
            count_batch(rules, delivery.received[first : first + _EVENTS_AT_ONCE], tally)
            await asyncio.sleep(0)  # a large batch must not keep the lease from being renewed
        if tally.newest:
            await connection.execute(SQL["watermark_advance"], projection, tally.newest)
        if tally.deltas:
            await self._apply_deltas(connection, rules, tally.deltas)
        metrics.late_events.labels(projection).inc(tally.late)
        for rule_type, count in tally.filter_errors.items():
            metrics.filter_errors.labels(rule_type).inc(count)

    async def _load_rules(self, connection: Connection) -> RuleSet:
        row = await connection.fetchrow(SQL["rule_find_version"])
        version = (row["rules"], row["newest"]) if row else (0, 0)
        if version != self._version:
            rows = await connection.fetch(SQL["rule_list_all"])
            self._rules, self._version = RuleSet(map(read_rule, rows)), version
        return self._rules

    async def _apply_deltas(self, connection: Connection, rules: RuleSet, deltas: dict[SeriesKey, Delta]) -> None:
        fresh = [
            {"rule": name, "group_id": group_id, "group_values": delta.group, "kept_until_ms": 0,
             "shape_id": rules.by_name[name].shape_id}
            for (name, group_id), delta in deltas.items()
        ]  # fmt: skip
        await connection.execute(SQL["series_add_missing"], fresh)
        names, groups = [name for name, _ in deltas], [group_id for _, group_id in deltas]
        rows = await connection.fetch(SQL["series_lock"], names, groups)
        await self._move(connection, rules, [Series.thaw(row) for row in rows], deltas=deltas)

    async def _move(
        self,
        connection: Connection,
        rules: RuleSet,
        series: Sequence[Series],
        *,
        deltas: dict[SeriesKey, Delta] | None = None,
        until_ms: int = 0,
    ) -> None:
        alerts = await lock_alerts(connection, series)
        moved: list[Moved] = []
        frozen = []
        for place, item in enumerate(series):
            rule: CompiledRule = rules.by_name[item.rule]
            delta = (deltas or {}).get((item.rule, item.group_id))
            moved.append(move(item, rule, alerts.get(item.alert_id or ""), delta=delta, until_ms=until_ms))
            frozen.append(item.freeze(rule))
            if place % _SERIES_AT_ONCE == 0:
                await asyncio.sleep(0)
        await save_moved(connection, frozen, moved)
        _count_transitions(moved)

    async def move_due(self, connection: Connection, until_ms: int) -> int:
        """Move the series whose alert may change although no event came; return how many there were."""
        rules = await self._load_rules(connection)
        rows = await connection.fetch(SQL["series_lock_due"], until_ms, _DUE_AT_ONCE)
        series = [Series.thaw(row) for row in rows]
        for item in series:
            if item.rule not in rules.by_name and not item.alert_id:
                await connection.execute(SQL["series_close"], item.rule, item.group_id, item.close(at_ms=until_ms))
        due = [item for item in series if item.rule in rules.by_name]
        if due:
            await self._move(connection, rules, due, until_ms=until_ms)
        return len(due)

    async def close_orphans(self, connection: Connection, until_ms: int) -> int:
        """Resolve the alerts of rules that are gone or switched off; return how many there were."""
        rows = await connection.fetch(SQL["series_lock_orphaned"], _DUE_AT_ONCE)
        series = [Series.thaw(row) for row in rows]
        alerts = await lock_alerts(connection, series)
        at = format_ms(until_ms)
        for item in series:
            alert = alerts.get(item.alert_id or "")
            if alert and alert.state == "pending":
                await connection.execute(SQL["alert_delete"], [alert.alert_id])
            elif alert:
                resolved = resolve(alert, by=SERVICE, at=at)
                await save_alerts(connection, [resolved])
                await add_to_outbox(connection, render_transition(resolved, "resolved", at=at, by=SERVICE))
            await connection.execute(SQL["series_close"], item.rule, item.group_id, item.close(at_ms=until_ms))
        return len(series)


def _count_transitions(moved: Sequence[Moved]) -> None:
    for item in moved:
        for row in item.outbox:
            if row.kind == "events":
                alert = item.alerts.get(row.alert_id)
                if alert:
                    metrics.transitions.labels(row.transition, alert.severity, str(alert.notified).lower()).inc()

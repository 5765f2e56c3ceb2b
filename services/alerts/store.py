"""The only place with Postgres and event append in alerts."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from services.alerts.alerts import AlertRecord
from services.alerts.contract.events import CATALOGUE, SOURCE
from services.alerts.domain import Dated
from services.alerts.outbox import OutboxRow
from services.alerts.series import Moved, Series
from shared.bus import (
    Append,
    Caller,
    EventLog,
    Expectation,
    Stored,
    WrongExpectationError,
    build_event,
    build_subject,
)
from shared.clock import format_time
from shared.db import Connection, Pool, load_statements
from shared.envelope import decode_event

SQL = load_statements(__file__)
TYPE_OF = {entry.model: entry for entry in CATALOGUE.types}
_TIMES = ("started_at", "fired_at", "acknowledged_at", "acknowledged_until", "resolved_at")


class AlertStore:
    """Rules as their events, and the primary tables."""

    def __init__(self, pool: Pool, log: EventLog) -> None:
        self.pool = pool
        self._log = log

    async def load_rule(self, name: str) -> list[Dated]:
        """Return a rule's events from the event stream, never from the read table: (data, time, sequence)."""
        return _date(await self._log.read(f"{build_subject('evt.alerts.rule', name)}.>"))

    async def load_made_rule(self, name: str, caller: Caller) -> list[Dated]:
        """Return a rule's events up to the one that a try before this one stored (Idempotency-Key); else none."""
        return _date(await self._log.find_made(f"{build_subject('evt.alerts.rule', name)}.>", caller))

    async def append_rule(self, name: str, data: BaseModel, caller: Caller, *, now: datetime, after: int) -> int:
        """Store a rule's event only if its last sequence is still `after`. Raises WrongExpectationError."""
        kind = TYPE_OF[type(data)]
        event = build_event(kind, data, source=SOURCE, subject=f"rule/{name}", caller=caller, now=now)
        subject = build_subject("evt.alerts.rule", name, kind.name)
        return await self._log.append([Append(subject, event, Expectation(f"evt.alerts.rule.{name}.>", after))])

    async def append_once(self, subject: str, payload: bytes) -> None:
        """Store a frozen event of a subject that only the outbox writes, exactly once, however often it is asked.

        The stream forgets the ids that it saw after minutes; what stands on the subject is the lasting guard.
        """
        event = decode_event(payload)
        last = 0
        while True:
            try:
                await self._log.append([Append(subject, event, Expectation(subject, last))])
            except WrongExpectationError:
                stored = await self._log.read(subject)
                if any(item.event.id == event.id for item in stored):
                    return
                last = stored[-1].sequence if stored else 0
            else:
                return

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Return the rows of a query by its file's name."""
        return await self.pool.fetch(SQL[statement], *arguments)


def _date(stored: Sequence[Stored]) -> list[Dated]:
    return [(CATALOGUE.read(item.event), item.event.time, item.sequence) for item in stored]


def freeze_alert(alert: AlertRecord) -> dict[str, Any]:
    """Return an alert as a row."""
    return {name: getattr(alert, name) for name in AlertRecord.__slots__}


def thaw_alert(row: Any) -> AlertRecord:
    """Return the alert of a row."""
    known = dict(row)
    times = {name: format_time(known[name]) if known[name] else None for name in _TIMES}
    return AlertRecord(**{name: known[name] for name in AlertRecord.__slots__} | times)


async def lock_alerts(connection: Connection, series: Iterable[Series]) -> dict[str, AlertRecord]:
    """Return the open alerts of series that are locked already, by id, under their own lock."""
    ids = sorted({item.alert_id for item in series if item.alert_id})
    rows = await connection.fetch(SQL["alert_lock"], ids) if ids else []
    return {row["alert_id"]: thaw_alert(row) for row in rows}


async def save_moved(connection: Connection, frozen: Sequence[dict[str, Any]], moved: Sequence[Moved]) -> None:
    """Write what moving some series changed: the series, their alerts and the outbox, in the caller's transaction."""
    await connection.execute(SQL["series_save"], list(frozen))
    alerts = {alert_id: alert for item in moved for alert_id, alert in item.alerts.items()}
    gone = [alert_id for alert_id, alert in alerts.items() if alert is None]
    if gone:
        await connection.execute(SQL["alert_delete"], gone)
    await save_alerts(connection, [alert for alert in alerts.values() if alert])
    await add_to_outbox(connection, [row for item in moved for row in item.outbox])


async def save_alerts(connection: Connection, alerts: Sequence[AlertRecord]) -> None:
    """Write alerts as they are now."""
    if alerts:
        await connection.execute(SQL["alert_save"], [freeze_alert(alert) for alert in alerts])


async def add_to_outbox(connection: Connection, rows: Sequence[OutboxRow]) -> None:
    """Write outbox rows, and wake the deliverer at the commit."""
    if rows:
        await connection.execute(SQL["delivery_insert"], [asdict(row) for row in rows])
        await connection.execute(SQL["delivery_notify"])

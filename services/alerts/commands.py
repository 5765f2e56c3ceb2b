"""What can be done to alerts, channels and deliveries: each one transaction in Postgres, under the lock of what it decides.

What is to be sent leaves by the outbox, written in the same transaction.
"""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from services.alerts.alerts import (
    AlertRecord,
    acknowledge,
    derive_id,
    derive_uuid7,
    format_ms,
    present_alert,
    resolve,
)
from services.alerts.channels.addresses import Network, RefusedAddressError, check_literal
from services.alerts.contract import requests
from services.alerts.errors import name_taken, unsupported_channel
from services.alerts.evaluator import read_rule
from services.alerts.outbox import render_transition, render_webhooks
from services.alerts.queries import find_alert, find_scope, may_see, present_channel, present_delivery
from services.alerts.series import Series
from services.alerts.store import SQL, AlertStore, add_to_outbox, save_alerts, thaw_alert
from shared.bus import Caller
from shared.clock import Clock, format_time
from shared.db import Connection
from shared.errors import conflict, invalid, not_found
from shared.ids import new_uuid7


class AlertCommands:
    """The commands of alerts."""

    def __init__(self, store: AlertStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def acknowledge(self, body: requests.AcknowledgeAlert, caller: Caller) -> requests.Alert:
        """Take an alert on, until a moment or for good. Raises not_found, conflict, invalid."""
        now = self._clock.now()
        if body.body.until and body.body.until <= now:
            raise invalid("until must lie in the future", field="until")
        until = format_time(body.body.until) if body.body.until else None
        await find_alert(self._store, body.alert_id, caller)
        async with self._store.pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(SQL["alert_lock"], [body.alert_id])
            if not rows:
                raise not_found("alert")
            at = format_time(now)
            alert = acknowledge(thaw_alert(rows[0]), by=caller.principal, at=at, until=until, note=body.body.note)
            await _save(connection, alert, "acknowledged", at=at, by=caller.principal)
        return present_alert(alert)

    async def resolve(self, body: requests.AlertId, caller: Caller) -> requests.Alert:
        """Resolve an alert by hand; its counts start anew. As it is when it was resolved. Raises not_found, conflict."""
        found = await find_alert(self._store, body.alert_id, caller)
        now = self._clock.now()
        at = format_time(now)
        async with self._store.pool.acquire() as connection, connection.transaction():
            # The series first: whoever decides about an alert takes the locks in this order.
            rows = await connection.fetch(SQL["series_lock"], [found.rule], [found.group_id])
            alert = thaw_alert((await connection.fetch(SQL["alert_lock"], [body.alert_id]))[0])
            if alert.state == "resolved":
                return present_alert(alert)
            if alert.state == "pending":
                raise conflict("The alert is pending; only one that fired can be resolved.")
            for series in map(Series.thaw, rows):
                if series.alert_id == alert.alert_id:
                    closed = series.close(at_ms=int(now.timestamp() * 1000))
                    await connection.execute(SQL["series_close"], series.rule, series.group_id, closed)
            alert = resolve(alert, by=caller.principal, at=at)
            await _save(connection, alert, "resolved", at=at, by=caller.principal)
        return present_alert(alert)

    async def test_rule(self, body: requests.RuleName, caller: Caller) -> requests.Deliveries:
        """Send a test notification to each channel of a rule, and to nobody else. Raises not_found."""
        rows = await self._store.fetch("rule_find", body.name)
        if not rows or not may_see(rows[0]["tenant"], caller):
            raise not_found("alert rule")
        owned = read_rule(rows[0])
        now_ms = int(self._clock.now().timestamp() * 1000)
        at = format_ms(now_ms)
        alert = AlertRecord(
            alert_id=derive_id("alr_", "test", new_uuid7()), rule=owned.rule.name, tenant=owned.tenant, group_id="",
            group_values={}, state="fired", severity=owned.rule.severity, value=0.0, threshold=owned.rule.threshold,
            summary=f"{owned.rule.name}: a test notification; nothing is wrong", labels=owned.rule.labels,
            runbook=owned.rule.runbook, channels=owned.rule.channels, notified=True, reason="a test", explanation={},
            started_at=at, fired_at=at,
        )  # fmt: skip
        transition_id = derive_uuid7(now_ms, alert.alert_id)
        async with self._store.pool.acquire() as connection, connection.transaction():
            await add_to_outbox(
                connection, render_webhooks(alert, "test", transition_id, at=at, event_type="alert_test")
            )
            made = await connection.fetch(SQL["delivery_list_transition"], transition_id)
        return requests.Deliveries(items=[present_delivery(row) for row in made])

    async def replay(self, body: requests.DeliveryId, caller: Caller) -> requests.Delivery:
        """Queue a delivery again, the same body under the same webhook-id. Raises not_found."""
        async with self._store.pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(SQL["delivery_replay"], body.delivery_id, find_scope(caller))
            if row is None:
                raise not_found("delivery")
            await connection.execute(SQL["delivery_notify"])
        return present_delivery(row)


async def _save(connection: Connection, alert: AlertRecord, transition: str, *, at: str, by: str) -> None:
    await save_alerts(connection, [alert])
    await add_to_outbox(connection, render_transition(alert, transition, at=at, by=by))


class ChannelCommands:
    """The commands of channels."""

    def __init__(self, store: AlertStore, clock: Clock, allowed: Sequence[Network]) -> None:
        self._store = store
        self._clock = clock
        self._allowed = allowed

    async def create(self, body: requests.Channel, caller: Caller) -> requests.ChannelResource:
        """Create a channel. Raises conflict when the name is taken, invalid for a type or an address that cannot be."""
        if body.type != "webhook":
            raise unsupported_channel(body.type)
        self._check_address(body.url)
        rows = await self._store.fetch(
            "channel_insert", body.name, caller.tenant, body.type, body.url, body.secrets, body.enabled, self._now(),
            caller.cause,
        )  # fmt: skip
        if not rows:
            raise name_taken()
        return present_channel(rows[0])

    async def update(self, body: requests.PatchChannel, caller: Caller) -> requests.ChannelResource:
        """Change what is given; switching it on lets it be sent to again. Raises not_found, invalid."""
        update = body.update
        if update.url is not None:
            self._check_address(update.url)
        rows = await self._store.fetch(
            "channel_update", body.name, find_scope(caller), update.url, update.secrets, update.enabled, self._now()
        )
        if not rows:
            raise not_found("channel")
        return present_channel(rows[0])

    async def delete(self, body: requests.ChannelName, caller: Caller) -> requests.Done:
        """Delete a channel; what was on its way to it fails visibly. Raises not_found."""
        if not await self._store.fetch("channel_delete", body.name, find_scope(caller)):
            raise not_found("channel")
        return requests.Done()

    def _now(self) -> datetime:
        return self._clock.now()

    def _check_address(self, url: str) -> None:
        try:
            check_literal(urlsplit(url).hostname or "", self._allowed)
        except RefusedAddressError as error:
            raise invalid(str(error), field="url") from error

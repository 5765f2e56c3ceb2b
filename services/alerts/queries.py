"""What alerts can be asked: pages by keyset, never a count. A caller sees what belongs to their tenant."""

from typing import Any

from services.alerts.alerts import AlertRecord, present_alert
from services.alerts.contract import requests
from services.alerts.contract.rules import RuleResource
from services.alerts.cursors import read_cursor, read_number, write_cursor
from services.alerts.domain import OwnedRule
from services.alerts.evaluator import read_rule
from services.alerts.store import AlertStore, thaw_alert
from services.keys.contract.permissions import allows
from shared.bus import Caller
from shared.clock import format_time
from shared.errors import not_found


def find_scope(caller: Caller) -> str | None:
    """Return the tenant whose resources a caller may know of; None for all."""
    return None if allows(caller.permissions, "tenants:all") else caller.tenant


def may_see(tenant: str, caller: Caller) -> bool:
    """Say whether a resource of a tenant is the caller's to know of."""
    return find_scope(caller) in {None, tenant}


async def present_rule(store: AlertStore, owned: OwnedRule, *, applied: bool = True) -> RuleResource:
    """Return a rule as callers see it, with the channels that it names in vain."""
    named = owned.rule.channels
    usable = {row["name"] for row in await store.fetch("channel_list_usable", named, owned.tenant)} if named else set()
    return RuleResource(
        **owned.rule.model_dump(),
        tenant=owned.tenant,
        created_at=owned.created_at,
        updated_at=owned.updated_at,
        missing_channels=[name for name in named if name not in usable],
        applied=applied,
    )


def present_delivery(row: Any) -> requests.Delivery:
    """Return the delivery of a row."""
    times = {name: format_time(row[name]) if row[name] else None for name in ("next_attempt_at", "created_at")}
    names = requests.Delivery.model_fields.keys() - times.keys()
    return requests.Delivery.model_validate({name: row[name] for name in names} | times)


def present_channel(row: Any) -> requests.ChannelResource:
    """Return the channel of a row, without its secrets."""
    times = {name: format_time(row[name]) for name in ("created_at", "updated_at")}
    names = requests.ChannelResource.model_fields.keys() - times.keys()
    return requests.ChannelResource.model_validate({name: row[name] for name in names} | times)


class AlertQueries:
    """The queries of rules, alerts, channels and deliveries."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    async def list_rules(self, body: requests.ListRules, caller: Caller) -> requests.RulePage:
        """Return a page of rules, newest first unless `order` is asc."""
        rows = await self._store.fetch(
            f"rule_list_{body.order}",
            body.limit + 1,
            read_number(body.cursor),
            find_scope(caller),
            body.type,
            body.enabled,
        )
        items = [await present_rule(self._store, read_rule(row)) for row in rows[: body.limit]]
        more = len(rows) > body.limit
        return requests.RulePage(
            items=items, next_cursor=str(rows[body.limit - 1]["created_sequence"]) if more else None
        )

    async def find_rule(self, body: requests.RuleName, caller: Caller) -> RuleResource:
        """Return a rule. Raises not_found."""
        rows = await self._store.fetch("rule_find", body.name)
        if not rows or not may_see(rows[0]["tenant"], caller):
            raise not_found("alert rule")
        return await present_rule(self._store, read_rule(rows[0]))

    async def list_alerts(self, body: requests.ListAlerts, caller: Caller) -> requests.AlertPage:
        """Return a page of alerts, newest first unless `order` is asc."""
        after_time, after_id = read_cursor(body.cursor)
        rows = await self._store.fetch(
            f"alert_list_{body.order}", body.limit + 1, after_time, after_id, find_scope(caller), body.rule,
            body.severity, body.state, body.active, body.since, body.until,
        )  # fmt: skip
        items = [present_alert(thaw_alert(row)) for row in rows[: body.limit]]
        last = rows[body.limit - 1] if len(rows) > body.limit else None
        return requests.AlertPage(
            items=items, next_cursor=write_cursor(last["started_at"], last["alert_id"]) if last else None
        )

    async def find_alert(self, body: requests.AlertId, caller: Caller) -> requests.ExplainedAlert:
        """Return an alert, why it fired, and whom it told. Raises not_found."""
        alert = await find_alert(self._store, body.alert_id, caller)
        rows = await self._store.fetch("delivery_list_of", body.alert_id)
        notifications = [
            requests.Notification(
                channel=row["channel"], transition=row["transition"], state=row["state"], reason=row["last_error"]
            )
            for row in rows
        ]
        if not alert.notified and alert.state != "pending":
            suppressed = [
                requests.Notification(channel=name, transition="fired", state="suppressed", reason=alert.reason)
                for name in ("nats", *alert.channels)
            ]
            notifications = suppressed + notifications
        explanation = requests.Explanation.model_validate(
            alert.explanation | {"notified": alert.notified, "reason": alert.reason, "notifications": notifications}
        )
        return requests.ExplainedAlert(**present_alert(alert).model_dump(), explanation=explanation)

    async def list_channels(self, body: requests.ListChannels, caller: Caller) -> requests.ChannelPage:
        """Return a page of channels, newest first unless `order` is asc; never their secrets."""
        after_time, after_name = read_cursor(body.cursor)
        rows = await self._store.fetch(
            f"channel_list_{body.order}", body.limit + 1, after_time, after_name, find_scope(caller)
        )
        items = [present_channel(row) for row in rows[: body.limit]]
        last = rows[body.limit - 1] if len(rows) > body.limit else None
        return requests.ChannelPage(
            items=items, next_cursor=write_cursor(last["created_at"], last["name"]) if last else None
        )

    async def list_deliveries(self, body: requests.ListDeliveries, caller: Caller) -> requests.DeliveryPage:
        """Return a page of deliveries to channels, newest first unless `order` is asc."""
        rows = await self._store.fetch(
            f"delivery_list_{body.order}", body.limit + 1, read_number(body.cursor), find_scope(caller), body.channel,
            body.state, body.alert_id,
        )  # fmt: skip
        items = [present_delivery(row) for row in rows[: body.limit]]
        more = len(rows) > body.limit
        return requests.DeliveryPage(items=items, next_cursor=str(rows[body.limit - 1]["place"]) if more else None)


async def find_alert(store: AlertStore, alert_id: str, caller: Caller) -> AlertRecord:
    """Return an alert that is the caller's to know of. Raises not_found."""
    rows = await store.fetch("alert_find", alert_id)
    if not rows or not may_see(rows[0]["tenant"], caller):
        raise not_found("alert")
    return thaw_alert(rows[0])

"""The domain events of alerts. A published class never changes; a new version gets an upcaster.

Events of an alert carry no group: it may hold personal data (an address), and EVENTS is kept for ever. The alert's id
leads to its row; subscribers of `alerts.>` get the whole alert.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.envelope import Catalogue, EventType

SOURCE = "/gatehouse/alerts"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class AlertRuleCreated(_Data):
    """Data of `alert_rule_created`; `every_tenant` says whether the rule sees the events of all tenants."""

    name: str
    tenant: str
    every_tenant: bool
    rule: dict[str, Any]


class AlertRuleUpdated(_Data):
    """Data of `alert_rule_updated`: the whole rule as it is now."""

    name: str
    rule: dict[str, Any]


class AlertRuleDeleted(_Data):
    """Data of `alert_rule_deleted`."""

    name: str


class AlertFired(_Data):
    """Data of `alert_fired`; `notified` is false when its cooldown kept it from being sent."""

    alert_id: str
    rule: str
    severity: str
    value: float
    threshold: float
    started_at: str
    notified: bool


class AlertAcknowledged(_Data):
    """Data of `alert_acknowledged`; `until` when the acknowledgement expires."""

    alert_id: str
    rule: str
    severity: str
    until: str | None = None


class AlertResolved(_Data):
    """Data of `alert_resolved`; `resolved_by` is a principal, or the service itself."""

    alert_id: str
    rule: str
    severity: str
    resolved_by: str
    reason: str


class NotificationFailed(_Data):
    """Data of `notification_failed`: a delivery was given up."""

    delivery_id: str
    alert_id: str
    channel: str
    transition: str
    attempts: int
    last_status: int | None = None
    reason: str


def _type(name: str, model: type[BaseModel], description: str, severity: str = "low") -> EventType:
    return EventType(name=name, model=model, category="system", severity=severity, description=description)


RULE_CREATED = _type("alert_rule_created", AlertRuleCreated, "An alert rule was created.")
RULE_UPDATED = _type("alert_rule_updated", AlertRuleUpdated, "An alert rule was changed.")
RULE_DELETED = _type("alert_rule_deleted", AlertRuleDeleted, "An alert rule was deleted.")
# Fired, acknowledged and resolved have their rule's severity; this one is what the catalogue lists.
FIRED = _type("alert_fired", AlertFired, "An alert fired.", "high")
ACKNOWLEDGED = _type("alert_acknowledged", AlertAcknowledged, "Somebody took an alert on.")
RESOLVED = _type("alert_resolved", AlertResolved, "An alert is over.")
NOTIFICATION_FAILED = _type("notification_failed", NotificationFailed, "A notification was given up.", "high")

EVENTS = (RULE_CREATED, RULE_UPDATED, RULE_DELETED, FIRED, ACKNOWLEDGED, RESOLVED, NOTIFICATION_FAILED)
CATALOGUE = Catalogue(EVENTS)

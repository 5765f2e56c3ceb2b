"""What alerts can be asked to do, and what it answers (http-api.md, http-examples.md)."""

import base64
import binascii
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from services.alerts.contract.rules import Rule, RuleResource, RuleType, Severity, Slug, Text, UpdateRule, check_text
from shared.bus import Operation

AlertState = Literal["pending", "fired", "acknowledged", "resolved"]
DeliveryState = Literal["queued", "delivered", "failed"]
ChannelType = Literal["webhook", "email", "slack", "pagerduty", "alertmanager"]
_FEWEST_SECRET_BYTES = 16
_MOST_SECRET_BYTES = 128


def _check_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http or https address")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("must have no credentials and no fragment")
    if any(ord(letter) <= 0x20 or ord(letter) > 0x7E for letter in value):  # noqa: PLR2004  (printable ASCII)
        raise ValueError("must be printable ASCII without spaces")
    _ = parts.port
    return value


def _check_secret(value: str) -> str:
    try:
        secret = base64.b64decode(value.removeprefix("whsec_").rstrip("=") + "==", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be whsec_ and base64") from error
    if not value.startswith("whsec_") or not _FEWEST_SECRET_BYTES <= len(secret) <= _MOST_SECRET_BYTES:
        raise ValueError("must be whsec_ and the base64 of 16 to 128 bytes")
    return value


Url = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_check_url)]
Secret = Annotated[str, StringConstraints(max_length=300), AfterValidator(_check_secret)]
Secrets = Annotated[list[Secret], Field(min_length=1, max_length=5)]
Id = Annotated[str, StringConstraints(max_length=100), AfterValidator(check_text)]
Name = Annotated[str, StringConstraints(max_length=100), AfterValidator(check_text)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _List(_Body):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = None
    order: Literal["asc", "desc"] = "desc"


class Done(BaseModel):
    """It is done; `applied` says whether every replica can read it already."""

    applied: bool = True


class RuleName(_Body):
    """One rule by name."""

    name: Name


class PatchRule(RuleName):
    """A change of one rule."""

    update: UpdateRule


class ListRules(_List):
    """GET /api/alerts/configs."""

    type: RuleType | None = None
    enabled: bool | None = None


class RulePage(BaseModel):
    """A page of rules."""

    items: list[RuleResource]
    next_cursor: str | None


class Alert(BaseModel):
    """An alert as callers and subscribers see it; times are RFC 3339, `group` the values that it stands for."""

    alert_id: str
    rule: str
    group: dict[str, Any]
    state: AlertState
    severity: Severity
    value: float
    threshold: float
    started_at: str
    fired_at: str | None = None
    acknowledged_at: str | None = None
    acknowledged_by: str | None = None
    acknowledged_until: str | None = None
    note: str | None = None
    resolved_at: str | None = None
    resolved_by: str | None = None
    summary: str
    tenant: str
    labels: dict[str, str] = {}
    runbook: str | None = None


class Notification(BaseModel):
    """What became of one notification of an alert."""

    channel: str
    transition: str
    state: str
    reason: str | None = None


class ExplainedWindow(BaseModel):
    """The window that an alert fired on, to the bucket."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    from_: str = Field(alias="from")
    to: str


class Explanation(BaseModel):
    """Why an alert fired, and whom it told."""

    window: ExplainedWindow
    counts: dict[str, int]
    buckets: list[list[int]] = []
    bucket_seconds: int
    samples: list[str]
    notified: bool
    reason: str
    notifications: list[Notification]


class ExplainedAlert(Alert):
    """GET /api/alerts/{id}."""

    explanation: Explanation


class AlertId(_Body):
    """One alert by id."""

    alert_id: Id


class Acknowledge(_Body):
    """POST /api/alerts/{id}/acknowledge: `until` when it counts as fired again if nothing changed."""

    until: AwareDatetime | None = None
    note: Text = ""


class AcknowledgeAlert(AlertId):
    """An acknowledgement of one alert."""

    body: Acknowledge = Acknowledge()


class ListActive(_List):
    """GET /api/alerts/active."""

    rule: Name | None = None
    severity: Severity | None = None


class ListHistory(ListActive):
    """GET /api/alerts/history; times are those that alerts started at."""

    state: AlertState | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class ListAlerts(ListHistory):
    """Either list; `active` alone leaves out what is resolved."""

    active: bool = False


class AlertPage(BaseModel):
    """A page of alerts."""

    items: list[Alert]
    next_cursor: str | None


class Channel(_Body):
    """Where notifications go; `secrets` sign them (Standard Webhooks) and are never shown again."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "ops-hook", "type": "webhook", "url": "https://ops.example.org/hook",
                 "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}
            ]
        },
    )  # fmt: skip
    name: Slug
    type: ChannelType = "webhook"
    url: Url
    secrets: Secrets
    enabled: bool = True


class UpdateChannel(_Body):
    """PATCH /api/alerts/channels/{name}: only what is given changes."""

    url: Url | None = None
    secrets: Secrets | None = None
    enabled: bool | None = None


class PatchChannel(_Body):
    """A change of one channel."""

    name: Name
    update: UpdateChannel


class ChannelName(_Body):
    """One channel by name."""

    name: Name


class ChannelResource(BaseModel):
    """A channel as callers see it; `disabled_reason` when it was switched off by itself."""

    name: str
    type: ChannelType
    url: str
    enabled: bool
    disabled_reason: str | None = None
    created_at: str
    updated_at: str


class ListChannels(_List):
    """GET /api/alerts/channels."""


class ChannelPage(BaseModel):
    """A page of channels."""

    items: list[ChannelResource]
    next_cursor: str | None


class Delivery(BaseModel):
    """One notification on its way to one channel; `transition_id` is its webhook-id."""

    delivery_id: str
    alert_id: str
    channel: str
    transition: str
    transition_id: str
    state: DeliveryState
    attempts: int
    last_status: int | None
    last_error: str | None
    next_attempt_at: str | None
    created_at: str


class ListDeliveries(_List):
    """GET /api/alerts/deliveries."""

    channel: Name | None = None
    state: DeliveryState | None = None
    alert_id: Id | None = None


class DeliveryPage(BaseModel):
    """A page of deliveries."""

    items: list[Delivery]
    next_cursor: str | None


class DeliveryId(_Body):
    """One delivery by id."""

    delivery_id: Id


class Deliveries(BaseModel):
    """The deliveries that a test notification made, one a channel."""

    items: list[Delivery]


CREATE_RULE = Operation("rpc.alerts.create_rule", Rule, RuleResource, creates=True)
UPDATE_RULE = Operation("rpc.alerts.update_rule", PatchRule, RuleResource)
DELETE_RULE = Operation("rpc.alerts.delete_rule", RuleName, Done)
FIND_RULE = Operation("rpc.alerts.find_rule", RuleName, RuleResource)
LIST_RULES = Operation("rpc.alerts.list_rules", ListRules, RulePage)
TEST_RULE = Operation("rpc.alerts.test_rule", RuleName, Deliveries)
LIST_ALERTS = Operation("rpc.alerts.list", ListAlerts, AlertPage)
FIND_ALERT = Operation("rpc.alerts.find", AlertId, ExplainedAlert)
ACKNOWLEDGE = Operation("rpc.alerts.acknowledge", AcknowledgeAlert, Alert)
RESOLVE = Operation("rpc.alerts.resolve", AlertId, Alert)
CREATE_CHANNEL = Operation("rpc.alerts.create_channel", Channel, ChannelResource, creates=True)
UPDATE_CHANNEL = Operation("rpc.alerts.update_channel", PatchChannel, ChannelResource)
DELETE_CHANNEL = Operation("rpc.alerts.delete_channel", ChannelName, Done)
LIST_CHANNELS = Operation("rpc.alerts.list_channels", ListChannels, ChannelPage)
LIST_DELIVERIES = Operation("rpc.alerts.list_deliveries", ListDeliveries, DeliveryPage)
REPLAY = Operation("rpc.alerts.replay", DeliveryId, Delivery)

"""What an alert rule is, on the wire (http-examples.md); bounds on every field."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

RuleType = Literal[
    "error_rate", "budget_exceeded", "policy_denials", "memory_usage", "rate_limit", "auth_failures", "frequency",
    "spike", "flatline", "new_term", "cardinality", "latency", "slo_burn", "anomaly",
]  # fmt: skip
Severity = Literal["critical", "high", "medium", "low"]
ENTRY_FIELDS = frozenset(
    {
        "id", "timestamp", "event_type", "severity", "category", "actor", "user_id", "actor_type", "tenant", "ip_address",
        "user_agent", "endpoint", "path", "method", "status_code", "duration_ms", "bytes_in", "bytes_out", "route",
        "key_id", "action", "resource", "status", "details", "request_id", "trace_id", "source", "source_id", "origin",
        "onbehalfof",
    }
)  # fmt: skip


def check_text(value: str) -> str:
    """Refuse what no store takes: a zero byte, or half of a surrogate pair."""
    if "\x00" in value:
        raise ValueError("must not hold a zero byte")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode") from error
    return value


def _check_field(value: str) -> str:
    if value.partition(".")[0] not in ENTRY_FIELDS:
        raise ValueError("is no field of an entry")
    return value


def _check_distinct(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("must not name anything twice")
    return values


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Text = Annotated[str, StringConstraints(max_length=500), AfterValidator(check_text)]
Filter = Annotated[str, StringConstraints(max_length=4000), AfterValidator(check_text)]
FieldPath = Annotated[
    str, StringConstraints(pattern=r"^[a-z_]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,4}$"), AfterValidator(_check_field)
]
GroupBy = Annotated[list[FieldPath], Field(max_length=5), AfterValidator(_check_distinct)]
Channels = Annotated[list[Slug], Field(max_length=20), AfterValidator(_check_distinct)]
LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_.-]{0,62}$")]
Labels = Annotated[
    dict[LabelName, Annotated[str, StringConstraints(max_length=200), AfterValidator(check_text)]], Field(max_length=50)
]
Window = Annotated[int, Field(ge=1, le=30 * 86400)]
Level = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Minimum = Annotated[int, Field(ge=0, le=10**12)]
Duration = Annotated[int, Field(ge=0, le=30 * 86400)]
_EXAMPLE: dict[str, Any] = {
    "name": "many-errors", "type": "error_rate", "severity": "high", "filter": "event.route == 'orders'",
    "group_by": ["route"], "window_seconds": 300, "threshold": 0.05, "minimum": 20, "clear_threshold": 0.02,
}  # fmt: skip


class Rule(BaseModel):
    """When to alert: over a window of the matching entries, by group.

    `filter` is CEL over `event`, an entry; without one every entry counts. `minimum` entries must stand in the window.
    An alert fires when the threshold has been reached for `for_seconds`; it resolves when the level is under the
    threshold (at most `clear_threshold`, when that is given), or, with `no_data` "ok", when the window is empty.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    name: Slug
    type: RuleType
    enabled: bool = True
    severity: Severity
    filter: Filter | None = None
    group_by: GroupBy = []
    window_seconds: Window
    threshold: Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)]
    minimum: Minimum = 1
    for_seconds: Duration = 0
    clear_threshold: Level | None = None
    cooldown_seconds: Duration = 3600
    channels: Channels = []
    labels: Labels = {}
    runbook: Annotated[str, StringConstraints(max_length=2000), AfterValidator(check_text)] | None = None
    no_data: Literal["ok", "keep"] = "ok"
    field: FieldPath | None = None

    @model_validator(mode="after")
    def check_levels(self) -> Self:
        """Refuse levels that could never be reached, or left."""
        if self.type == "error_rate" and self.threshold > 1:
            raise ValueError("threshold of an error_rate is a share: at most 1")
        if self.clear_threshold is not None and self.clear_threshold > self.threshold:
            raise ValueError("clear_threshold must be at most threshold")
        return self


class UpdateRule(BaseModel):
    """PATCH /api/alerts/configs/{name}: only what is given changes; null takes an optional field away."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"threshold": 0.1, "enabled": False}]})

    enabled: bool | None = None
    severity: Severity | None = None
    filter: Filter | None = None
    group_by: GroupBy | None = None
    window_seconds: Window | None = None
    threshold: Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)] | None = None
    minimum: Minimum | None = None
    for_seconds: Duration | None = None
    clear_threshold: Level | None = None
    cooldown_seconds: Duration | None = None
    channels: Channels | None = None
    labels: Labels | None = None
    runbook: Annotated[str, StringConstraints(max_length=2000), AfterValidator(check_text)] | None = None
    no_data: Literal["ok", "keep"] | None = None

    def merge_into(self, rule: Rule) -> dict[str, Any]:
        """Return the rule's fields as they would be."""
        return rule.model_dump(mode="json") | self.model_dump(mode="json", exclude_unset=True)


class RuleResource(Rule):
    """A rule as callers see it; `missing_channels` are those it names that do not exist, or are switched off."""

    tenant: str
    created_at: str
    updated_at: str
    missing_channels: list[str] = []
    applied: bool = True

"""The records: exactly one a request, all with the same data."""

from pydantic import BaseModel, ConfigDict

from shared.envelope import Catalogue, EventType

SOURCE_PREFIX = "/gatehouse/gateway/"


class RequestRecord(BaseModel):
    """Data of a record; sizes in bytes, `reason` why it was refused, `endpoint` with id-like segments as {id}."""

    model_config = ConfigDict(frozen=True)

    method: str
    path: str
    endpoint: str
    status_code: int
    duration_ms: float
    bytes_in: int = 0
    bytes_out: int = 0
    route: str | None = None
    key_id: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    reason: str | None = None
    aborted: bool = False


class RequestsSummarised(BaseModel):
    """Data of `requests_summarised`: answers that could not be recorded one by one."""

    model_config = ConfigDict(frozen=True)

    count: int
    reason: str
    status_code: int


def _record(name: str, description: str, severity: str = "low") -> EventType:
    return EventType(name=name, model=RequestRecord, category="traffic", severity=severity, description=description)


EVENTS = (
    _record("request_completed", "A request was answered."),
    _record("request_started", "A stream, an upgrade, or a request recorded before its upstream call began."),
    _record("auth_failed", "A request had no valid credential.", "medium"),
    _record("policy_denied", "A request was not allowed.", "medium"),
    _record("rate_limit_exceeded", "A request was over a limit.", "medium"),
    EventType(
        name="requests_summarised", model=RequestsSummarised, category="traffic",
        description="Answers that were counted instead of recorded one by one.",
    ),
)  # fmt: skip
CATALOGUE = Catalogue(EVENTS)

"""What audit can be asked, and what it answers (http-api.md, http-examples.md)."""

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from shared.bus import Operation


def _check_text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold a zero byte")
    return value


_Day = date  # a field of that name hides the type
Text = Annotated[str, StringConstraints(max_length=500), AfterValidator(_check_text)]
Severity = Literal["critical", "high", "medium", "low"]
Status = Literal["success", "denied", "failure"]
Category = Literal["auth", "admin", "data", "file", "code", "quota", "audit", "system", "traffic"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TimeRange(_Body):
    """A span of time: the last hours, or since and until; all of it when `time_range_hours` is given as 0."""

    time_range_hours: Annotated[int, Field(ge=0, le=24 * 36500)] = 24
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class EntryFilter(TimeRange):
    """The filters of the log; those that are not given do not filter."""

    event_type: Text | None = None
    severity_filter: Severity | None = None
    actor: Text | None = None
    tenant: Text | None = None
    category: Category | None = None
    action: Text | None = None
    resource: Text | None = None
    status: Status | None = None
    ip: Text | None = None
    endpoint: Text | None = None
    request_id: Text | None = None
    trace_id: Text | None = None
    session_id: Text | None = None
    source_id: Text | None = None
    q: Text | None = None


class ListEntries(EntryFilter):
    """GET /api/audit/logs: a page by keyset on the index; `as_of` is a log size, for repeatable pages."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")] | None = None
    order: Literal["asc", "desc"] = "desc"
    as_of: Annotated[int, Field(ge=0, le=2**62)] | None = None


class ListEvents(ListEntries):
    """GET /api/events: the same, or the entries of one day (UTC) by `date`, in place of any other span."""

    date: _Day | None = None

    def to_entries(self) -> ListEntries:
        """Return what this asks of the log."""
        wanted = self.model_dump(exclude={"date"}, exclude_unset=True)
        if self.date:
            wanted |= {
                "since": datetime.combine(self.date, time.min, UTC),
                "until": datetime.combine(self.date, time.max, UTC),
            }
        return ListEntries.model_validate(wanted)


class FollowEntries(EntryFilter):
    """The live tail: entries after an index (from now on when None), on behalf of a caller."""

    after_index: int | None = None


class Entry(BaseModel):
    """An event as stored in the log."""

    index: int
    id: str
    timestamp: str
    received_at: str
    event_type: str
    severity: str
    category: str
    actor: str
    user_id: str
    actor_type: str
    tenant: str
    ip_address: str | None
    user_agent: str | None
    endpoint: str | None
    path: str | None
    method: str | None
    status_code: int | None
    duration_ms: float | None
    bytes_in: int | None
    bytes_out: int | None
    route: str | None
    action: str
    resource: str | None
    status: str
    details: dict[str, Any]
    changes: dict[str, Any] | None
    request_id: str | None
    trace_id: str | None
    session_id: str | None
    source: str
    source_id: str
    origin: str | None
    onbehalfof: str | None
    leaf_hash: str | None = None


class EntryPage(BaseModel):
    """A page of entries and the size of the log when it was read."""

    items: list[Entry]
    next_cursor: str | None
    tree_size: int


class FindEntry(_Body):
    """One entry by its id."""

    id: Annotated[str, StringConstraints(max_length=100)]


class ActorCount(BaseModel):
    """Events of one actor."""

    actor: str
    events: int


class ActionCount(BaseModel):
    """Events of one action."""

    action: str
    events: int


class EndpointCount(BaseModel):
    """Events of one endpoint."""

    endpoint: str
    events: int


class Summary(BaseModel):
    """GET /api/audit/summary."""

    since: str
    until: str
    total_events: int
    success: int
    failures: int
    denied: int
    success_rate: float
    by_type: dict[str, int]
    by_severity: dict[str, int]
    top_users: list[ActorCount]
    top_actions: list[ActionCount]
    top_endpoints: list[EndpointCount]


class Range(BaseModel):
    """A closed range of numbers of a source."""

    first: str
    last: str


class SourceState(BaseModel):
    """What was taken in of one source of records."""

    source: str
    alive: bool
    high_water: str
    holes: list[Range]
    lost_at_crash: list[Range]


class Completeness(BaseModel):
    """GET /api/audit/completeness: complete when no source has a hole that is not closed."""

    complete: bool
    sources: list[SourceState]


class AuditStatus(BaseModel):
    """GET /api/audit/status."""

    status: str
    tree_size: int
    lag_events: int
    lag_seconds: float
    oldest_entry: str | None
    quarantined: int
    last_verified_index: int | None = None


class Nothing(_Body):
    """No arguments."""


class EventStats(BaseModel):
    """GET /api/events/stats."""

    total: int
    by_type: dict[str, int]
    by_source: dict[str, int]
    since: str
    until: str


class ListQuarantine(_Body):
    """GET /api/events/quarantine."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")] | None = None
    order: Literal["asc", "desc"] = "desc"


class Quarantined(BaseModel):
    """What could not be taken in: where it came from, why, and the beginning of it."""

    id: str
    quarantined_at: str
    stream: str
    sequence: int
    subject: str
    reason: str
    size: int
    payload: str


class QuarantinePage(BaseModel):
    """A page of the quarantine."""

    items: list[Quarantined]
    next_cursor: str | None


class QuarantineId(_Body):
    """One quarantined message."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")]


class QuarantineDone(BaseModel):
    """It left the quarantine."""

    id: str


LIST = Operation("rpc.audit.list", ListEntries, EntryPage)
FIND = Operation("rpc.audit.find", FindEntry, Entry)
SUMMARY = Operation("rpc.audit.summary", TimeRange, Summary, timeout_seconds=10)
STATS = Operation("rpc.audit.stats", TimeRange, EventStats, timeout_seconds=10)
COMPLETENESS = Operation("rpc.audit.completeness", Nothing, Completeness)
STATUS = Operation("rpc.audit.status", Nothing, AuditStatus)
QUARANTINE = Operation("rpc.audit.quarantine", ListQuarantine, QuarantinePage)
REQUEUE = Operation("rpc.audit.requeue", QuarantineId, QuarantineDone)
DISCARD = Operation("rpc.audit.discard", QuarantineId, QuarantineDone)

"""Events from outside: the types we know, and the rules that HTTP and NATS share.

Types that we do not know are welcome; our own types are refused; known types must keep their schema.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.envelope import EnvelopeError, EventType

MAX_EVENT_BYTES = 256 * 1024
_TYPE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,126}[A-Za-z0-9_-])?")
SEVERITIES = ("critical", "high", "medium", "low")
Text = Annotated[str, StringConstraints(max_length=10_000)]
Count = Annotated[int, Field(ge=0, le=2**62)]
Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]


class Common(BaseModel):
    """What the data of any event from outside may say; anything else is kept as it is."""

    model_config = ConfigDict(extra="allow")

    action: Text | None = None
    status: Literal["success", "denied", "failure"] | None = None
    details: dict[str, Any] | None = None
    changes: dict[str, Any] | None = None


class AgentRunCompleted(Common):
    """Data of `agent_run_completed`."""

    duration_ms: Amount | None = None
    findings: Count | None = None
    success: bool | None = None
    cost: Amount | None = None


class ApiCallCompleted(Common):
    """Data of `api_call_completed`: a call to somebody else's API."""

    api: Text | None = None
    provider: Text | None = None
    model: Text | None = None
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    duration_ms: Amount | None = None
    cost: Amount | None = None


class ToolCalled(Common):
    """Data of `tool_called`."""

    tool: Text | None = None
    duration_ms: Amount | None = None
    success: bool | None = None


class ResourceUsageReported(Common):
    """Data of `resource_usage_reported`."""

    cpu_ms: Amount | None = None
    memory_bytes: Count | None = None
    disk_bytes: Count | None = None
    quota_used: Amount | None = None
    quota_limit: Amount | None = None


class RepositoryActivity(Common):
    """Data of repository events."""

    files_changed: list[Text] | None = None
    comments: list[Any] | Text | Count | None = None
    description: Text | None = None


def _kind(name: str, model: type[BaseModel], category: str, description: str) -> EventType:
    return EventType(name=name, model=model, category=category, description=description)


EVENTS = (
    _kind("agent_deployed", Common, "admin", "An agent was deployed."),
    _kind("agent_paused", Common, "admin", "An agent was paused."),
    _kind("agent_resumed", Common, "admin", "An agent was resumed."),
    _kind("agent_deleted", Common, "admin", "An agent was deleted."),
    _kind("agent_run_completed", AgentRunCompleted, "data", "An agent finished a run."),
    _kind("memory_created", Common, "data", "An agent's memory was created."),
    _kind("memory_updated", Common, "data", "An agent's memory was changed."),
    _kind("memory_deleted", Common, "data", "An agent's memory was deleted."),
    _kind("api_call_completed", ApiCallCompleted, "data", "A call to somebody else's API ended."),
    _kind("tool_called", ToolCalled, "data", "A tool was called."),
    _kind("resource_usage_reported", ResourceUsageReported, "quota", "A service reported what it uses."),
    _kind("commit", RepositoryActivity, "code", "A commit was made."),
    _kind("push", RepositoryActivity, "code", "Commits were pushed."),
    _kind("pull_request_opened", RepositoryActivity, "code", "A pull request was opened."),
    _kind("pull_request_merged", RepositoryActivity, "code", "A pull request was merged."),
    _kind("file_created", RepositoryActivity, "file", "A file was created."),
    _kind("file_modified", RepositoryActivity, "file", "A file was changed."),
    _kind("file_deleted", RepositoryActivity, "file", "A file was deleted."),
    _kind("clone", RepositoryActivity, "code", "A repository was cloned."),
    _kind("fetch", RepositoryActivity, "code", "A repository was fetched."),
    _kind("merge", RepositoryActivity, "code", "Branches were merged."),
    _kind("comment_added", RepositoryActivity, "code", "A comment was added."),
    _kind("login", Common, "auth", "Somebody signed in elsewhere."),
    _kind("logout", Common, "auth", "Somebody signed out elsewhere."),
)
_KNOWN = {entry.name: entry for entry in EVENTS}


def check_external(event_type: str, data: dict[str, Any], severity: str | None, *, ours: frozenset[str]) -> None:
    """Raise EnvelopeError when an event from outside may not be taken in; `ours` are the types of the house."""
    if not _TYPE.fullmatch(event_type) or ".." in event_type:
        raise EnvelopeError("type must be 1 to 128 letters, digits, dots, dashes and underscores")
    if event_type in ours:
        raise EnvelopeError(f"{event_type} is a type of the house; others may not publish it")
    if severity is not None and severity not in SEVERITIES:
        raise EnvelopeError(f"severity must be one of {', '.join(SEVERITIES)}")
    known = _KNOWN.get(event_type)
    try:
        (known.model if known else Common).model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise EnvelopeError(f"data of {event_type}: {where}: {first['msg']}") from error


def find_category(event_type: str) -> str:
    """Return the category of a type from outside; `data` for those that we do not know."""
    known = _KNOWN.get(event_type)
    return known.category if known else "data"

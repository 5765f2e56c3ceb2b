"""/api/events: publishing from outside by HTTP, reading one's own, and the quarantine."""

import asyncio
import hashlib
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.audit.contract import requests
from services.audit.contract.catalogue import HOUSE_NAMES
from services.audit.contract.external import MAX_EVENT_BYTES, check_external
from services.audit.contract.streams import API_SOURCE
from services.gateway.api.audit import EventTypePage, list_types
from services.gateway.api.problem_errors import ProblemError
from services.gateway.api.routing import AskerDep, CallerDep, StrictRoute, ToolsDep, needs
from services.gateway.problems import Problem, build_problem
from shared.bus import Caller, build_subject
from shared.clock import SystemClock, format_time, parse_time
from shared.envelope import CONTENT_TYPE, EnvelopeError, Event, parse_event
from shared.errors import unavailable
from shared.ids import new_uuid7

router = APIRouter(prefix="/api/events", tags=["Events"], route_class=StrictRoute)
_MOST_IN_A_BATCH = 1000
_SHORT, _ONE, _BATCH = "application/json", "application/cloudevents+json", "application/cloudevents-batch+json"
_clock = SystemClock()


class ShortEvent(BaseModel):
    """The short form: only `event_type` is required."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"event_type": "agent_deployed"}]})
    event_type: Annotated[str, Field(max_length=128)]
    resource: Annotated[str, Field(max_length=500)] | None = None
    action: Annotated[str, Field(max_length=100)] | None = None
    severity: Literal["critical", "high", "medium", "low"] = "low"
    status: Literal["success", "denied", "failure"] | None = None
    timestamp: AwareDatetime | None = None
    details: dict[str, Any] = {}
    changes: dict[str, Any] | None = None
    actor: Annotated[str, Field(max_length=200)] | None = None


class Rejected(BaseModel):
    """An event of a batch that was not taken in, and why."""

    index: int
    code: str
    detail: str


class Published(BaseModel):
    """What JetStream acked; `ids` are the entries' source_id."""

    accepted: int
    ids: list[str]
    rejected: list[Rejected]


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            _SHORT: {"schema": ShortEvent.model_json_schema()},
            _ONE: {"schema": {"type": "object", "required": ["specversion", "id", "source", "type"]}},
            _BATCH: {
                "schema": {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": _MOST_IN_A_BATCH}
            },
        },
    }
}


@router.post("", status_code=202, openapi_extra=_BODY)
@needs("events:publish")
async def publish_events(request: Request, caller: CallerDep, tools: ToolsDep) -> Published:
    """Publish a CloudEvent, a batch of them, or the short form; answers when JetStream has it durably.

    An event's identity makes a retry harmless: its own id, or for the short form the Idempotency-Key.
    """
    documents = await _read_documents(request)
    accepted: list[Event] = []
    rejected: list[Rejected] = []
    problems: list[Problem] = []
    for index, (document, is_short) in enumerate(documents):
        try:
            accepted.append(_build_event(document, is_short=is_short, caller=caller))
        except ProblemError as error:
            problems.append(error.problem)
            rejected.append(Rejected(index=index, code=error.problem.code, detail=error.problem.detail))
    if not accepted:
        raise ProblemError(problems[0] if len(problems) == 1 else build_problem("invalid", problems[0].detail))
    publishing = (_publish(tools.client.jetstream(), event, caller) for event in accepted)
    try:
        await asyncio.gather(*publishing)
    except (NatsError, JetStreamError, TimeoutError) as error:
        raise unavailable("the event stream") from error
    return Published(accepted=len(accepted), ids=[event.id for event in accepted], rejected=rejected)


async def _read_documents(request: Request) -> list[tuple[Any, bool]]:
    """Return the events of the body as decoded JSON, each with whether it is of the short form."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type not in (_SHORT, _ONE, _BATCH):
        raise ProblemError(build_problem("unsupported_media_type", f"The body must be {_SHORT}, {_ONE} or {_BATCH}."))
    try:
        document = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise ProblemError(build_problem("malformed", "The body is no JSON.")) from error
    if media_type != _BATCH:
        return [(document, media_type == _SHORT)]
    if not isinstance(document, list) or not 0 < len(document) <= _MOST_IN_A_BATCH:
        raise ProblemError(build_problem("invalid", f"A batch must be an array of 1 to {_MOST_IN_A_BATCH} events."))
    return [(item, False) for item in document]


def _build_event(document: Any, *, is_short: bool, caller: Caller) -> Event:
    """Return the event with the identity that the credential gives it. Raises ProblemError: invalid, too_large."""
    given = _read_short(document, caller) if is_short else _read_cloudevent(document)
    claimed = given.actor if given.actor and given.actor != caller.principal else None
    source = f"/ext/{caller.tenant}"
    event = Event(
        id=given.id,
        source=source,
        type=given.type,
        time=given.time or format_time(_clock.now()),
        subject=given.subject,
        data=given.data,
        schemaversion=given.schemaversion,
        severity=given.severity,
        actor=caller.principal,
        tenant=caller.tenant,
        requestid=caller.request_id,
        traceparent=caller.traceparent,
        origin=given.source if given.source not in ("", source) else None,
        onbehalfof=claimed,
    )
    _check(event)
    return event


def _check(event: Event) -> None:
    try:
        payload = event.encode()
    except TypeError as error:
        raise ProblemError(build_problem("invalid", f"An event must be plain JSON: {error}")) from error
    if len(payload) > MAX_EVENT_BYTES:
        raise ProblemError(build_problem("too_large", f"An event may have at most {MAX_EVENT_BYTES} bytes."))
    try:
        if b"\\u0000" in payload:
            raise EnvelopeError("an event must not hold a zero byte")
        check_external(event.type, event.data, event.severity, ours=HOUSE_NAMES)
        parse_time(event.time)
    except (ValueError, OverflowError) as error:
        raise ProblemError(build_problem("invalid", str(error))) from error


def _read_cloudevent(document: Any) -> Event:
    try:
        return parse_event(document)
    except EnvelopeError as error:
        raise ProblemError(build_problem("invalid", str(error))) from error


def _choose_id(document: Any, caller: Caller) -> str:
    """Return the id of an event of the short form: under an Idempotency-Key the same at every retry of the same event.

    Another event under the same key gets another id: one id with two contents would lose the second.
    """
    if not caller.idempotency_key:
        return new_uuid7()
    try:
        content = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise ProblemError(build_problem("invalid", "An event must not be nested that deeply.")) from error
    return f"{caller.derive('event')}-{hashlib.sha256(content).hexdigest()[:32]}"


def _read_short(document: Any, caller: Caller) -> Event:
    try:
        short = ShortEvent.model_validate(document)
        time = format_time(short.timestamp) if short.timestamp else ""
    except OverflowError as error:
        raise ProblemError(build_problem("invalid", "timestamp is out of range")) from error
    except ValueError as error:
        first = error.errors()[0]  # type: ignore[attr-defined]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        problem = build_problem("invalid", f"{where}: {first['msg']}")
        raise ProblemError(
            Problem(problem.status, problem.code, problem.detail, fields={where: first["msg"]})
        ) from error
    data: dict[str, Any] = {
        "details": short.details,
        "action": short.action,
        "status": short.status,
        "changes": short.changes,
    }
    return Event(
        id=_choose_id(document, caller),
        source="",
        type=short.event_type,
        time=time,
        subject=short.resource,
        severity=short.severity,
        actor=short.actor,
        data={name: value for name, value in data.items() if value},
    )


async def _publish(stream: Any, event: Event, caller: Caller) -> None:
    subject = build_subject("ext", API_SOURCE, caller.tenant, event.type)
    identity = hashlib.sha256(f"{event.source}\0{event.origin or ''}\0{event.id}".encode()).hexdigest()
    headers = {"Nats-Msg-Id": identity, "Content-Type": CONTENT_TYPE}
    await stream.publish(subject, event.encode(), headers=headers, timeout=5)


@router.get("")
@needs("audit:read", "audit:read:own")
async def list_events(asker: AskerDep, query: Annotated[requests.ListEvents, Query()]) -> requests.EntryPage:
    """List entries, of one day by `date`; with `audit:read:own` only the caller's own."""
    return await asker.ask(requests.LIST, query.to_entries())


@router.get("/types")
@needs()
async def list_event_types() -> EventTypePage:
    """List the catalogue of event types."""
    return await list_types()


@router.get("/stats")
@needs("audit:read", "audit:read:own")
async def count_events(asker: AskerDep, query: Annotated[requests.TimeRange, Query()]) -> requests.EventStats:
    """Count a span of time by type and source."""
    return await asker.ask(requests.STATS, query)


QuarantineId = Annotated[str, Path(pattern=r"^[0-9]{1,18}$", examples=["17"])]


@router.get("/quarantine")
@needs("events:read")
async def list_quarantine(
    asker: AskerDep, query: Annotated[requests.ListQuarantine, Query()]
) -> requests.QuarantinePage:
    """List what could not be taken in, with its reason."""
    return await asker.ask(requests.QUARANTINE, query)


@router.post("/quarantine/{quarantine_id}/requeue")
@needs("events:write")
async def requeue(quarantine_id: QuarantineId, asker: AskerDep) -> requests.QuarantineDone:
    """Publish a quarantined message again where it came from."""
    return await asker.ask(requests.REQUEUE, requests.QuarantineId(id=quarantine_id))


@router.delete("/quarantine/{quarantine_id}", status_code=204)
@needs("events:write")
async def discard(quarantine_id: QuarantineId, asker: AskerDep) -> None:
    """Drop a quarantined message."""
    await asker.ask(requests.DISCARD, requests.QuarantineId(id=quarantine_id))

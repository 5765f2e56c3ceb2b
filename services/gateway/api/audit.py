"""/api/audit: the log, its counts, its completeness, and its live tail."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from services.audit.contract import requests
from services.audit.contract.catalogue import describe_types
from services.gateway.api.routing import AskerDep, CallerDep, StrictRoute, ToolsDep, needs
from services.gateway.api.tools import Tools
from shared.bus import Caller
from shared.errors import invalid, unavailable

router = APIRouter(prefix="/api/audit", tags=["Audit"], route_class=StrictRoute)
_CALLER_HEADER = "Gatehouse-Caller"


class EventTypeDescription(BaseModel):
    """A type of the catalogue."""

    event_type: str
    severity: str
    category: str
    description: str
    schemaversion: int
    schema_: dict[str, Any]

    model_config = {"alias_generator": lambda name: name.rstrip("_"), "populate_by_name": True}


class EventTypePage(BaseModel):
    """Every type that the house knows."""

    items: list[EventTypeDescription]
    next_cursor: None = None


@router.get("/logs")
@needs("audit:read", "audit:read:own")
async def list_entries(asker: AskerDep, query: Annotated[requests.ListEntries, Query()]) -> requests.EntryPage:
    """List entries, newest first; everything that passed, whatever it was."""
    return await asker.ask(requests.LIST, query)


@router.get("/logs/{entry_id}")
@needs("audit:read", "audit:read:own")
async def show_entry(entry_id: Annotated[str, Path(max_length=100)], asker: AskerDep) -> requests.Entry:
    """Show an entry."""
    return await asker.ask(requests.FIND, requests.FindEntry(id=entry_id))


@router.get("/summary")
@needs("audit:read")
async def summarise(asker: AskerDep, query: Annotated[requests.TimeRange, Query()]) -> requests.Summary:
    """Count a span of time by type, severity, status, actor, action and endpoint."""
    return await asker.ask(requests.SUMMARY, query)


@router.get("/events")
@needs()
async def list_types() -> EventTypePage:
    """List the catalogue of event types with their schemas."""
    return EventTypePage(items=[EventTypeDescription.model_validate(entry) for entry in describe_types()])


@router.get("/completeness")
@needs("audit:read")
async def check_completeness(asker: AskerDep) -> requests.Completeness:
    """Show, source by source, which records were never taken in."""
    return await asker.ask(requests.COMPLETENESS, requests.Nothing())


@router.get("/status")
@needs("audit:read")
async def show_status(asker: AskerDep) -> requests.AuditStatus:
    """Show how the log does."""
    return await asker.ask(requests.STATUS, requests.Nothing())


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}}},
)
@needs("audit:read", "audit:read:own")
async def follow_entries(
    request: Request, caller: CallerDep, tools: ToolsDep, query: Annotated[requests.EntryFilter, Query()]
) -> StreamingResponse:
    """Follow the log live; resumes after `Last-Event-ID` without a gap or a repeat."""
    last = request.headers.get("last-event-id")
    if last is not None and not (last.isascii() and last.isdigit() and len(last) < 19):  # noqa: PLR2004  (a bigint)
        raise invalid("Last-Event-ID must be an index", field="last-event-id")
    given = query.model_dump(exclude_unset=True)
    body = requests.FollowEntries(**({"time_range_hours": 0} | given), after_index=int(last) if last else None)
    headers = {"authorization": f"Bearer {tools.settings.service_token.get_secret_value()}"}
    headers[_CALLER_HEADER] = caller.model_dump_json(exclude_none=True)
    asked = tools.http.build_request(
        "POST", f"{tools.settings.audit_url}/stream", content=body.model_dump_json(), headers=headers
    )
    try:
        answer = await tools.http.send(asked, stream=True)
    except httpx.HTTPError as error:
        raise unavailable("the audit service") from error
    if not answer.is_success:
        await answer.aclose()
        raise unavailable("the live tail")
    return StreamingResponse(
        _relay(answer, caller, tools), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


async def _relay(answer: httpx.Response, caller: Caller, tools: Tools) -> AsyncIterator[bytes]:
    """Pass the owner's bytes on as they come, in bounded memory; ends when the owner goes, or the key is revoked."""
    try:
        async for chunk in answer.aiter_raw():
            key = tools.feed.view.keys.get(caller.credential_id or "") if tools.feed.view else None
            if key is None or key.revoked or (key.expires_at is not None and key.expires_at <= time.time()):
                return
            yield chunk
    except httpx.HTTPError:
        return
    finally:
        await answer.aclose()

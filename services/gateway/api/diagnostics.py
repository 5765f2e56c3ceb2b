"""/api/diagnostics: the whole house in one document, from what each part says of itself now."""

import asyncio
from typing import Literal

import httpx
from fastapi import APIRouter
from nats.errors import Error as NatsError
from pydantic import BaseModel

from services.backup.contract import requests as backup
from services.gateway.api.routing import AskerDep, StrictRoute, ToolsDep, needs
from services.gateway.api.system import SERVICES, NamedProjection, list_all_projections
from services.gateway.api.tools import Tools
from shared.errors import AppError
from shared.health import VERSION, uptime_seconds

router = APIRouter(tags=["System"], route_class=StrictRoute)
State = Literal["ok", "degraded", "down"]
_BOUND_SECONDS = 2


class ServiceState(BaseModel):
    """A service: `parts` say "ok", or what is wrong; version and uptime are null when it does not answer."""

    status: State
    version: str | None = None
    uptime_seconds: int | None = None
    parts: dict[str, str] = {}


class StreamState(BaseModel):
    """A stream as NATS has it; sizes in bytes."""

    name: str
    messages: int
    bytes: int
    first_sequence: int
    last_sequence: int
    consumers: int


class RecorderState(BaseModel):
    """Whether records go straight to NATS, and what waits on disk."""

    live: bool
    spooled_bytes: int


class LastBackup(BaseModel):
    """The newest backup that is complete."""

    backup_id: str
    type: str
    completed_at: str | None
    verified_at: str | None


class Diagnostics(BaseModel):
    """GET /api/diagnostics; `streams` is null when NATS does not answer, `last_backup` when there is none."""

    status: State
    services: dict[str, ServiceState]
    projections: list[NamedProjection]
    streams: list[StreamState] | None
    stores: dict[str, State]
    recorder: RecorderState
    last_backup: LastBackup | None
    last_drill: None = None


@router.get("/api/diagnostics")
@needs("system:read")
async def diagnose(tools: ToolsDep, asker: AskerDep) -> Diagnostics:
    """Return health, version, uptime, positions and lag of every service, the streams, the stores and the last backup."""
    asked = asyncio.gather(*(_ask_ready(tools, name) for name in SERVICES))
    answers, projections, streams, backups = await asyncio.gather(
        asked, list_all_projections(asker), _list_streams(tools), _find_last_backup(asker)
    )
    services = dict(zip(SERVICES, answers, strict=True))
    parts = tools.check_parts()
    is_well = all(state == "ok" for state in parts.values())
    services["gateway"] = ServiceState(
        status="ok" if is_well else "degraded", version=VERSION, uptime_seconds=uptime_seconds(), parts=parts
    )
    # What services say of their projections, and backup of its backups, they read in their stores.
    answered = {item.service for item in projections} | ({"backup"} if backups is not None else set())
    stores: dict[str, State] = {name: "ok" if name in answered else "down" for name in SERVICES}
    return Diagnostics(
        status=_judge(services, stores),
        services=services,
        projections=projections,
        streams=streams,
        stores=stores,
        recorder=RecorderState(live=tools.recorder.is_live, spooled_bytes=tools.recorder.spooled_bytes),
        last_backup=backups[0] if backups else None,
    )


def _judge(services: dict[str, ServiceState], stores: dict[str, State]) -> State:
    states = {service.status for service in services.values()}
    if "down" in states:
        return "down"
    return "degraded" if "degraded" in states or "down" in stores.values() else "ok"


async def _ask_ready(tools: Tools, service: str) -> ServiceState:
    try:
        answer = await tools.http.get(f"{tools.service_urls()[service]}/ready", timeout=_BOUND_SECONDS)
        said = answer.json() | {"status": "ok" if answer.is_success else "degraded"}
        return ServiceState.model_validate(said)
    except (httpx.HTTPError, ValueError):
        return ServiceState(status="down")


async def _list_streams(tools: Tools) -> list[StreamState] | None:
    try:
        async with asyncio.timeout(_BOUND_SECONDS):
            found = await tools.client.jetstream().streams_info()
    except (NatsError, TimeoutError):
        return None
    return [
        StreamState(
            name=str(stream.config.name),
            messages=stream.state.messages,
            bytes=stream.state.bytes,
            first_sequence=stream.state.first_seq,
            last_sequence=stream.state.last_seq,
            consumers=stream.state.consumer_count,
        )
        for stream in sorted(found, key=lambda stream: str(stream.config.name))
    ]


async def _find_last_backup(asker: AskerDep) -> list[LastBackup] | None:
    """Return the newest complete backup, or none; None when backup does not answer."""
    try:
        page = await asker.ask(backup.LIST, backup.ListBackups(limit=1, state="completed"))
    except AppError:
        return None
    return [LastBackup.model_validate(item, from_attributes=True) for item in page.items]

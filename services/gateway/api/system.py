"""What the house says about itself: health, readiness, metrics, projections."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from pydantic import BaseModel

from services.gateway.api.routing import AskerDep, StrictRoute, ToolsDep, needs
from shared.bus import Operation
from shared.errors import not_found
from shared.service_contract import ListProjections, ProjectionState, ProjectionStates, RebuildProjection, Rebuilt

router = APIRouter(tags=["System"], route_class=StrictRoute)
SERVICES = ("keys", "audit", "alerts", "backup")


class Health(BaseModel):
    """The process lives."""

    status: str


class Readiness(BaseModel):
    """Whether the api can serve, part by part."""

    status: str
    parts: dict[str, str]


class NamedProjection(ProjectionState):
    """A projection and whose it is."""

    service: str


class ProjectionPage(BaseModel):
    """Every projection of every service that answered."""

    items: list[NamedProjection]
    next_cursor: None = None


@router.get("/health")
async def answer_health() -> Health:
    """Say that the process lives."""
    return Health(status="ok")


@router.get("/ready", responses={503: {"model": Readiness, "description": "Not ready."}})
async def answer_ready(tools: ToolsDep, response: Response) -> Readiness:
    """Say whether the api can serve."""
    parts = tools.check_parts()
    ready = all(state == "ok" for state in parts.values())
    response.status_code = 200 if ready else 503
    return Readiness(status="ready" if ready else "not ready", parts=parts)


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}, "application/json": {}}}}
)
@needs("system:read")
async def answer_metrics(request: Request) -> Any:
    """Return the api's metrics: Prometheus text, or JSON by Accept."""
    if "application/json" in request.headers.get("accept", ""):
        from fastapi.responses import JSONResponse

        return JSONResponse(_snapshot())
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/metrics")
@needs("system:read")
async def show_metrics() -> dict[str, float]:
    """Return the api's metrics as JSON."""
    return _snapshot()


def _snapshot() -> dict[str, float]:
    values = {}
    for family in REGISTRY.collect():
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            values[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return values


@router.get("/api/projections")
@needs("system:read")
async def list_projections(asker: AskerDep) -> ProjectionPage:
    """List every projection: where it stands, how far behind it is."""
    return ProjectionPage(items=await list_all_projections(asker))


async def list_all_projections(asker: AskerDep) -> list[NamedProjection]:
    """Return the projections of every service that answers in time."""

    async def ask(service: str) -> list[NamedProjection]:
        operation = Operation(f"rpc.{service}.projections", ListProjections, ProjectionStates, timeout_seconds=2)
        states = await asker.ask(operation, ListProjections())
        return [NamedProjection(service=service, **state.model_dump()) for state in states.items]

    answers = await asyncio.gather(*(ask(service) for service in SERVICES), return_exceptions=True)
    return [item for answer in answers if not isinstance(answer, BaseException) for item in answer]


@router.post("/api/projections/{service}/{name}/rebuild")
@needs("system:write")
async def rebuild_projection(service: str, name: str, asker: AskerDep) -> Rebuilt:
    """Make a projection's tables anew from the event stream, while it serves."""
    if service not in SERVICES:
        raise not_found("service")
    operation = Operation(f"rpc.{service}.rebuild", RebuildProjection, Rebuilt, timeout_seconds=60)
    return await asker.ask(operation, RebuildProjection(name=name))

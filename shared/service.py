"""The frame of an event-sourced service: a store, two NATS connections, FastStream for requests, projectors for streams.

FastStream carries the requests, the life cycle, AsyncAPI, metrics and traces; the ordered readers are ours (docs, decision
0002). A frame holds no decision of the service that stands in it.
"""

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import FrameType
from typing import Annotated, Any

import structlog
import uvicorn
from faststream.asgi import AsgiFastStream
from faststream.nats import NatsBroker
from faststream.nats.opentelemetry import NatsTelemetryMiddleware
from faststream.nats.prometheus import NatsPrometheusMiddleware
from faststream.nats.security import NatsNKey
from faststream.specification import AsyncAPI
from nats.aio.client import Client
from prometheus_client import REGISTRY
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import request_response

from shared.bus import Caller, Operation, StreamSpec, connect, connection_options, declare_streams
from shared.bus.rpc import Handler as Answerer
from shared.bus.rpc import serve_operation
from shared.clock import SystemClock
from shared.db import Pool, create_pool, migrate
from shared.errors import not_found
from shared.health import VERSION, answer_health, answer_metrics, build_ready
from shared.idempotency import KeptAnswers
from shared.projector import Projection, Projector, rebuild
from shared.projector.projector import SQL
from shared.service_contract import ListProjections, ProjectionState, ProjectionStates, RebuildProjection, Rebuilt
from shared.settings import StoreSettings
from shared.telemetry.logs import configure_logs
from shared.telemetry.tracing import configure_tracing
from shared.testing import failpoints

log = structlog.get_logger(__name__)
Handler = Callable[[Request], Awaitable[Response]]
_STOP_BOUND_SECONDS = 8.0
_YOUNG_OBJECTS = 20_000


class ServiceSettings(StoreSettings):
    """What every event-sourced service needs to know."""

    port: Annotated[int, Field(ge=1, le=65535, description="Where this service answers over HTTP.")]
    service_token: Annotated[
        str, Field(min_length=16, description="What the gateway shows when it asks for a large answer.")
    ]


class Frame:
    """One service process: what it is made of while it runs."""

    def __init__(self, name: str, settings: ServiceSettings, module_file: str) -> None:
        self.name = name
        self.settings = settings
        self.module_file = module_file
        self.broker = _build_broker(name, settings)
        self.projectors: list[Projector] = []
        self.pool: Pool
        self.client: Client
        self._tasks: list[asyncio.Task[Any]] = []

    @asynccontextmanager
    async def open(self, streams: Sequence[StreamSpec] = ()) -> AsyncIterator[None]:
        """Connect to the store and to NATS, migrate, declare the streams that this service owns; close in reverse."""
        self.pool = await create_pool(self.settings, name=self.name)
        await migrate(self.pool, self.module_file)
        self.client = await connect(self.settings, name=self.name)
        await declare_streams(
            self.client, tuple(streams), mode=self.settings.streams_mode, replicas=self.settings.stream_replicas
        )
        try:
            yield
        finally:
            await self._cancel_tasks()
            await self.client.drain()
            self.pool.terminate()

    def run(self, work: Awaitable[Any]) -> None:
        """Run something until the service stops."""
        self._tasks.append(asyncio.ensure_future(work))

    def project(self, projection: Projection) -> Projector:
        """Run a projection until the service stops."""
        projector = Projector(
            projection,
            pool=self.pool,
            client=self.client,
            service=self.name,
            lease_seconds=self.settings.lease_seconds,
        )
        self.projectors.append(projector)
        self.run(projector.run())
        return projector

    def serve(self, operation: Operation[Any, Any], answerer: Answerer) -> None:
        """Answer an operation; one that creates is done once under an Idempotency-Key."""
        serve_operation(self.broker, operation, answerer, KeptAnswers(self.pool, SystemClock()))

    def serve_projections(self) -> None:
        """Answer operators' questions about the projections."""
        name = self.name
        self.serve(Operation(f"rpc.{name}.projections", ListProjections, ProjectionStates), self._list)
        self.serve(Operation(f"rpc.{name}.rebuild", RebuildProjection, Rebuilt), self._rebuild)

    async def _list(self, _: ListProjections, __: Caller) -> ProjectionStates:
        """List the projections of this service."""
        rows = {row["name"]: row for row in await self.pool.fetch(SQL["projection_list"])}
        return ProjectionStates(
            items=[
                describe_projection(projector, rows[projector.projection.name])
                for projector in self.projectors
                if projector.projection.name in rows
            ]
        )

    async def _rebuild(self, body: RebuildProjection, _: Caller) -> Rebuilt:
        """Make a projection's tables anew while it serves."""
        for projector in self.projectors:
            if projector.projection.name == body.name:
                sequence = await rebuild(projector.projection, pool=self.pool, client=self.client, service=self.name)
                return Rebuilt(name=body.name, sequence=sequence)
        raise not_found("projection")

    def check_parts(self) -> dict[str, str]:
        """Return the state of each part, for /ready."""
        parts = {"nats": "ok" if self.client.is_connected else "NATS does not answer"}
        for projector in self.projectors:
            parts[f"projection {projector.projection.name}"] = projector.stopped_reason or "ok"
        return parts

    def build_app(
        self,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[None]],
        routes: dict[str, Handler] | None = None,
    ) -> AsgiFastStream:
        """Return the application: FastStream with the house's HTTP answers and the service's own."""
        handlers = {"/health": answer_health, "/ready": build_ready(self.check_parts), "/metrics": answer_metrics}
        return AsgiFastStream(
            self.broker,
            asgi_routes=[(path, request_response(handler)) for path, handler in (handlers | (routes or {})).items()],
            asyncapi_path="/asyncapi",
            specification=AsyncAPI(title=f"Gatehouse {self.name}", version=VERSION),
            lifespan=lifespan,
            logger=None,
        )

    async def _cancel_tasks(self) -> None:
        """Cancel until everything has ended: a cancellation that meets a driver's own clean-up can get lost."""
        pending = {task for task in self._tasks if not task.done()}
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=1)


def describe_projection(projector: Projector, row: Any) -> ProjectionState:
    """Return where a projection stands, by its row and this replica's own knowledge."""
    projection = projector.projection
    status = "stopped" if row["stopped_reason"] else "active" if projector.is_active else "standby"
    return ProjectionState(
        name=projection.name,
        stream=projection.find_stream,
        incarnation=row["incarnation"],
        sequence=row["sequence"],
        status=status,
        lag_messages=projector.metrics.lag_messages,
        age_seconds=projector.metrics.age_seconds,
        rebuildable=bool(projection.tables),
        reason=row["stopped_reason"],
    )


def _build_broker(name: str, settings: ServiceSettings) -> NatsBroker:
    security = NatsNKey.from_file(str(settings.nats_seed_file)) if settings.nats_seed_file else None
    return NatsBroker(
        **connection_options(settings, name=name),
        security=security,
        logger=None,
        middlewares=(NatsPrometheusMiddleware(registry=REGISTRY), NatsTelemetryMiddleware()),
    )


def run_service(name: str, settings: ServiceSettings, build: Callable[[Any], AsgiFastStream]) -> None:
    """Run a service until SIGTERM or SIGINT, then stop it gracefully."""
    configure_logs(name, settings)
    configure_tracing(name, settings)
    failpoints.switch_on(settings.failpoints, settings.failpoints_log)
    app = build(settings)
    _spare_collector()
    config = uvicorn.Config(
        app,
        host=settings.bind_host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        loop="uvloop",
        lifespan="on",
    )
    _BoundedServer(config).run()


def _spare_collector() -> None:
    """Keep the garbage collector away from what lives as long as the process: modules, models, the application.

    Each batch makes thousands of objects that die with it; the collector would walk everything that was imported, again
    and again, to find them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


class _BoundedServer(uvicorn.Server):
    """Stops gracefully, but for certain: drivers may wait for ever for a NATS or Postgres that stopped before us.

    Nothing is lost by leaving: what is not committed is delivered again.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop, and set the bound."""
        super().handle_exit(sig, frame)
        bound = threading.Timer(_STOP_BOUND_SECONDS, os._exit, (1,))
        bound.daemon = True
        bound.start()

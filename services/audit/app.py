"""The parts of audit and how they are joined."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from faststream.asgi import AsgiFastStream
from starlette.requests import Request
from starlette.responses import Response

from services.audit.commands import AuditCommands
from services.audit.contract import requests, streams
from services.audit.projections import build_projections
from services.audit.purge import Purger
from services.audit.queries import AuditQueries
from services.audit.settings import Settings
from services.audit.store import AuditStore
from services.audit.tail import Tail
from shared.clock import SystemClock
from shared.projector import AppliedWaiter
from shared.service import Frame


def build_app(settings: Settings) -> AsgiFastStream:
    """Return the service."""
    frame = Frame("audit", settings, __file__)
    tails: list[Tail] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with frame.open([streams.EXTERNAL, streams.DLQ]):
            store = AuditStore(frame.pool)
            queries = AuditQueries(store, SystemClock(), frame.projectors)
            commands = AuditCommands(store, frame.client)
            waiter = AppliedWaiter(frame.pool)
            tails.append(
                Tail(store, queries, waiter, service_token=settings.service_token, most=settings.stream_followers)
            )
            for operation, handler in (
                (requests.LIST, queries.list_entries),
                (requests.FIND, queries.find),
                (requests.SUMMARY, queries.summarise),
                (requests.STATS, queries.count_events),
                (requests.COMPLETENESS, queries.check_completeness),
                (requests.STATUS, queries.status),
                (requests.QUARANTINE, queries.list_quarantine),
                (requests.REQUEUE, commands.requeue),
                (requests.DISCARD, commands.discard),
            ):
                frame.serve(operation, handler)
            frame.serve_projections()
            await waiter.start()
            for projection in build_projections(settings.external_tenant):
                frame.project(projection)
            purger = Purger(frame.client, SystemClock(), keep=timedelta(hours=settings.stream_retention_hours))
            frame.run(purger.run(every_seconds=settings.purge_seconds))
            yield
            await waiter.stop()

    async def serve_stream(request: Request) -> Response:
        return await tails[0].serve(request)

    return frame.build_app(lifespan, routes={"/stream": serve_stream})

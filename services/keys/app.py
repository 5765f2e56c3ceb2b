"""The parts of keys and how they are joined."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faststream.asgi import AsgiFastStream

from services.keys.commands import KeyCommands
from services.keys.contract import requests, streams
from services.keys.projections import ViewWriter, build_projections
from services.keys.queries import KeyQueries
from services.keys.route_commands import RouteCommands
from services.keys.settings import Settings
from services.keys.store import KeyStore
from shared.bus import EventLog, find_incarnation, wait_for_stream
from shared.clock import SystemClock
from shared.projector import AppliedWaiter
from shared.service import Frame


def build_app(settings: Settings) -> AsgiFastStream:
    """Return the service."""
    frame = Frame("keys", settings, __file__)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with frame.open([streams.EVENTS, streams.VIEW]):
            clock = SystemClock()
            log = EventLog(frame.client, await wait_for_stream(frame.client, "evt.>"))
            pepper = bytes.fromhex(settings.pepper.get_secret_value())
            store = KeyStore(frame.pool, log, claim_key=pepper)
            waiter = AppliedWaiter(frame.pool)
            commands = KeyCommands(store, waiter, clock, settings)
            routes = RouteCommands(store, waiter, clock, settings)
            queries = KeyQueries(store, clock)
            for operation, handler in (
                (requests.GENERATE, commands.generate),
                (requests.UPDATE, commands.update),
                (requests.ROTATE, commands.rotate),
                (requests.REVOKE, commands.revoke),
                (requests.PUT_ROUTE, routes.put_route),
                (requests.DELETE_ROUTE, routes.delete_route),
                (requests.LIST, queries.list_keys),
                (requests.INFO, queries.info),
                (requests.FIND_ROUTE, queries.find_route),
                (requests.LIST_ROUTES, queries.list_routes),
            ):
                frame.serve(operation, handler)
            frame.serve_projections()
            await waiter.start()
            await store.note_bucket(await find_incarnation(frame.client, streams.VIEW.name))
            bucket = await frame.client.jetstream().key_value(streams.VIEW_BUCKET)
            for projection in build_projections(ViewWriter(bucket, store)):
                frame.project(projection)
            if settings.admin_key:
                frame.run(commands.ensure_admin_key(settings.admin_key.get_secret_value()))
            yield
            await waiter.stop()

    return frame.build_app(lifespan)

"""Rebuilding a projection while it serves: beside the live tables, in a schema of its own.

Swapped in one transaction at exactly the live position: readers see the old rows until the commit and the new ones after.
"""

import structlog
from nats.aio.client import Client

from shared.bus.streams import wait_for_stream
from shared.db import Connection, Pool, load_statements, own_session
from shared.errors import conflict
from shared.projector.consumer import StreamReader
from shared.projector.projection import Delivery, Projection, receive

SQL = load_statements(__file__)
log = structlog.get_logger(__name__)


async def rebuild(projection: Projection, *, pool: Pool, client: Client, service: str) -> int:
    """Make the projection's tables anew from the event stream and return the sequence at which they were swapped in.

    The projector goes on meanwhile. Raises AppError conflict when it is being rebuilt already, or has no tables that
    the event stream alone feeds. A crash leaves the live tables as they were.
    """
    if not projection.tables:
        raise conflict(f"The projection {projection.name} is not fed by the event stream alone.")
    async with own_session(pool) as connection:
        if not await connection.fetchval(SQL["rebuild_try_lock"], projection.name):
            raise conflict(f"The projection {projection.name} is being rebuilt already.")
        return await _rebuild(connection, projection, client, service)


async def _rebuild(connection: Connection, projection: Projection, client: Client, service: str) -> int:
    await connection.execute(SQL["rebuild_begin"], list(projection.tables))
    await connection.execute(SQL["rebuild_use_schema"])
    stream = await wait_for_stream(client, projection.find_stream)
    reader = StreamReader(client, stream, f"{service}-{projection.name}-rebuild", projection.subject_filter)
    await reader.start(1)
    done = 0
    try:
        while True:
            live = await connection.fetchval(SQL["projection_find"], projection.name, column=2)
            done = await _replay(connection, projection, reader, done, live)
            async with connection.transaction():
                if await connection.fetchval(SQL["rebuild_lock_position"], projection.name) == done:
                    await connection.execute(SQL["rebuild_swap"], list(projection.tables))
                    return done
    finally:
        await reader.remove()


async def _replay(connection: Connection, projection: Projection, reader: StreamReader, done: int, live: int) -> int:
    """Apply what lies between `done` and `live`; the live position is always a delivered message's sequence, or 0."""
    while done < live:
        messages = await reader.fetch(projection.batch, 1.0)
        wanted = [message for message in messages if message.metadata.sequence.stream <= live]
        if wanted:
            async with connection.transaction():
                received = [item for message in wanted for item in receive(projection, message)]
                await projection.apply(connection, Delivery(received, wanted[-1].metadata.sequence.stream))
            done = wanted[-1].metadata.sequence.stream
            await wanted[-1].ack()  # so that the next are delivered; what counts is what was applied
        if len(wanted) < len(messages):
            await reader.start(done + 1)
    return done

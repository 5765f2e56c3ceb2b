"""The pool of one service's own database; JSON columns are Python objects on this side."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import asyncpg
import orjson
import structlog
from asyncpg.pool import PoolConnectionProxy

from shared.settings import StoreSettings

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
log = structlog.get_logger(__name__)

_TRANSIENT = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.exceptions.ObjectInUseError,
    asyncpg.exceptions.LockNotAvailableError,
)


def is_transient(error: BaseException) -> bool:
    """Say whether the same work may succeed later: the database is away, full, or lost a race."""
    return isinstance(error, _TRANSIENT)


def _encode_jsonb(value: Any) -> bytes:
    try:
        return b"\x01" + orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits, which a jsonb may well hold
        return b"\x01" + json.dumps(value).encode()


def _decode_jsonb(value: bytes) -> Any:
    return orjson.loads(value[1:])


async def prepare_connection(connection: Connection) -> None:
    """Teach a connection that jsonb is a Python object, in the binary format so that COPY may use it."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary"
    )


async def _pass_on(_: Connection) -> None:
    """Spare the round trip that resets a session: the driver rolls back what is open; more is left to `own_session`."""


@contextlib.asynccontextmanager
async def own_session(pool: Pool, *, timeout_seconds: float | None = None) -> AsyncIterator[Connection]:
    """Lend a connection whose session may be changed: locks, listeners, the search path.

    It is reset before the pool has it back, or ended when that fails. Raises what `Pool.acquire` raises.
    """
    async with pool.acquire(timeout=timeout_seconds) as connection:
        try:
            yield connection
        finally:
            try:
                if not connection.is_closed():
                    await connection.reset()
            except BaseException:
                connection.terminate()
                raise


async def create_pool(settings: StoreSettings, *, name: str) -> Pool:
    """Return the pool as soon as Postgres answers; waits for it as long as it takes, saying so."""
    while True:
        try:
            pool = await asyncpg.create_pool(
                settings.database_url,
                min_size=1,
                max_size=settings.database_pool_size,
                init=prepare_connection,
                reset=_pass_on,
                command_timeout=30,
                server_settings={"application_name": f"gatehouse-{name}", "plan_cache_mode": "force_custom_plan"},
            )
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
            log.warning("Postgres does not answer yet", reason=str(error))
            await asyncio.sleep(0.2)
        else:
            return pool

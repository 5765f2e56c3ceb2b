"""The writer's lock: one process at a time takes backups and restores, whatever else was started."""

import asyncio

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from services.backup.store import SQL
from shared.db import Pool
from shared.errors import unavailable

log = structlog.get_logger(__name__)


class WriterLock:
    """An advisory lock in Postgres, held by a connection of its own; it falls with the connection, so a crash frees it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: PoolConnectionProxy[asyncpg.Record] | None = None

    async def wait(self) -> None:
        """Return as soon as this process is the writer."""
        while not await self._try_lock():
            log.info("another backup service writes; waiting for it to end")
            await asyncio.sleep(1)

    async def check(self) -> None:
        """Return while this process is the writer, taking the lock anew when its connection was lost.

        Raises AppError unavailable when another process took it.
        """
        try:
            if self._connection:
                await self._connection.fetchval(SQL["writer_check"])
                return
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self.release()
        if not await self._try_lock():
            raise unavailable("the writer's lock")

    async def release(self) -> None:
        """Close the connection, and the lock with it."""
        if self._connection:
            self._connection.terminate()
            await self._pool.release(self._connection)
            self._connection = None

    async def _try_lock(self) -> bool:
        self._connection = await self._pool.acquire()
        if await self._connection.fetchval(SQL["writer_try_lock"]):
            return True
        await self.release()
        return False

"""Waiting until a projection has applied a sequence, in any replica: by NOTIFY, and by asking in case one was lost."""

import asyncio
import contextlib

import asyncpg

from shared.db import Connection, Pool, load_statements

SQL = load_statements(__file__)
_ASK_EVERY_SECONDS = 0.25


class AppliedWaiter:
    """Listens for moved positions on one connection of its own and wakes whoever waits."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Stop listening."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def wait(self, projection: str, sequence: int, *, bound_seconds: float) -> bool:
        """Return True once the projection stands at the sequence or beyond, False when the bound passed first."""
        deadline = asyncio.get_running_loop().time() + bound_seconds
        while not await self._is_applied(projection, sequence):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            await self.wait_for_move(min(left, _ASK_EVERY_SECONDS))
        return True

    async def wait_for_move(self, bound_seconds: float) -> bool:
        """Return True as soon as any projection of this database moved, False when the bound passed first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(bound_seconds), self._moved:
                return await self._moved.wait()
        return False

    async def _is_applied(self, projection: str, sequence: int) -> bool:
        try:
            row = await self._pool.fetchrow(SQL["projection_find"], projection)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False
        return row is not None and row["sequence"] >= sequence

    async def _listen(self) -> None:
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._listen_on(connection)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await asyncio.sleep(0.5)

    async def _listen_on(self, connection: Connection) -> None:
        await connection.add_listener("projection", self._on_notify)
        try:
            while not connection.is_closed():
                await asyncio.sleep(1)
        finally:
            await connection.remove_listener("projection", self._on_notify)

    def _on_notify(self, *_: object) -> None:
        asyncio.get_running_loop().create_task(self._wake())

    async def _wake(self) -> None:
        async with self._moved:
            self._moved.notify_all()

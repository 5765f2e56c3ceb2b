"""What happens to alerts while nothing happens: the watermark moves, windows empty, acknowledgements expire.

The watermark is event time: the clock's when a reader has caught up with its stream, else the newest time it applied;
of several readers the one that is furthest behind counts. So a service that catches up after an outage resolves nothing
too early.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from services.alerts import metrics
from services.alerts.evaluator import Evaluator
from services.alerts.settings import Settings
from services.alerts.store import SQL
from shared.clock import Clock
from shared.db import Pool
from shared.projector import Projector

log = structlog.get_logger(__name__)
_CLEAN_EVERY_SECONDS = 600.0


class Ticker:
    """Moves time on, only where the evaluator is the active one."""

    def __init__(
        self, evaluator: Evaluator, leader: Projector, *, pool: Pool, client: Client, clock: Clock, settings: Settings
    ) -> None:
        self._evaluator = evaluator
        self._leader = leader
        self._pool = pool
        self._client = client
        self._clock = clock
        self._settings = settings
        self._streams = {"evaluate_traffic": "TRAFFIC", "evaluate_external": "EXTERNAL"}
        self._clean_at = 0.0

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await asyncio.sleep(self._settings.alert_tick_seconds)
            if not self._leader.is_active:
                continue
            try:
                await self.tick()
            except Exception as error:  # noqa: BLE001  (an edge that must not die: the next tick tries again)
                log.warning("the passing of time was not evaluated", reason=repr(error))

    async def tick(self) -> None:
        """Do once what time demands; each step is a transaction of its own under the locks of what it decides."""
        async with self._pool.acquire() as connection:
            await connection.execute(SQL["alert_expire_acknowledged"], self._clock.now())
        watermark = await self.find_watermark()
        if watermark is None:
            return
        metrics.watermark_lag.set((self._clock.now() - watermark).total_seconds())
        until_ms = int(watermark.timestamp() * 1000)
        for step in (self._evaluator.move_due, self._evaluator.close_orphans):
            moved = 1
            while moved:
                async with self._pool.acquire() as connection, connection.transaction():
                    moved = await step(connection, until_ms)
        if self._clock.monotonic() >= self._clean_at:
            self._clean_at = self._clock.monotonic() + _CLEAN_EVERY_SECONDS
            await self._clean(until_ms)

    async def find_watermark(self) -> datetime | None:
        """Return how far event time has come for every reader; None when one has only begun to catch up."""
        now = self._clock.now()
        ends = {name: await self._find_end(stream) for name, stream in self._streams.items()}
        rows = await self._pool.fetch(SQL["watermark_list"], list(self._streams))
        watermark = now
        for row in rows:
            end = ends[row["name"]]
            if end is None or row["sequence"] >= end:
                continue
            if row["moment"] is None:
                return None
            watermark = min(watermark, row["moment"].astimezone(UTC))
        return watermark

    async def _find_end(self, stream: str) -> int | None:
        try:
            info = await self._client.jetstream().stream_info(stream)
        except NotFoundError:
            return None
        return int(info.state.last_seq)

    async def _clean(self, until_ms: int) -> None:
        oldest = self._clock.now() - timedelta(days=self._settings.alert_history_days)
        await self._pool.execute(SQL["series_delete_old"], until_ms)
        await self._pool.execute(SQL["alert_delete_old"], oldest)
        await self._pool.execute(SQL["delivery_delete_old"], oldest)

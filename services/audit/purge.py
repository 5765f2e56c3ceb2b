"""Purges TRAFFIC and EXTERNAL of what is old and was read by all: both refuse new messages when they are full.

What a reader has acked is committed in its store, so the lowest ack of all readers is safe; a reader that is not there holds
everything. Younger messages stay in any case, for a reader whose store is restored to an earlier moment.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import Error as JetStreamError
from prometheus_client import Counter

from services.alerts.contract import streams as alerts
from services.backup.contract.streams import BOOKMARK
from services.keys.contract import streams as keys
from shared.clock import Clock
from shared.ids import new_uuid7

log = structlog.get_logger(__name__)
READERS: Final = {
    "TRAFFIC": ("audit-traffic", *keys.TRAFFIC_READERS, *alerts.TRAFFIC_READERS),
    "EXTERNAL": ("audit-external", *alerts.EXTERNAL_READERS),
}
_PURGED = Counter("audit_purged_messages", "Messages purged from streams that were read by all.", ["stream"])
_NEGLECTED_SECONDS = 5


class Purger:
    """Purges streams up to the lower of an age and the lowest position of their readers."""

    def __init__(self, client: Client, clock: Clock, *, keep: timedelta) -> None:
        self._stream = client.jetstream()
        self._clock = clock
        self._keep = keep

    async def run(self, *, every_seconds: float) -> None:
        """Purge again and again, until cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            for stream, readers in READERS.items():
                try:
                    await self.purge(stream, readers)
                except (NatsError, JetStreamError, TimeoutError) as error:
                    log.warning("a stream could not be purged", stream=stream, reason=repr(error))

    async def purge(self, stream: str, readers: Sequence[str]) -> int:
        """Purge a stream and return how many messages went; none while one of its readers is missing."""
        positions = await self._list_positions(stream)
        missing = [reader for reader in readers if reader not in positions]
        if missing:
            log.warning("a purge waits for readers that are not there", stream=stream, missing=missing)
            return 0
        read = min(positions[name] for name in (*readers, BOOKMARK) if name in positions)
        before = (await self._stream.stream_info(stream)).state
        last = min(read, await self._find_last_old(stream))
        if last < before.first_seq:
            return 0
        await self._stream.purge_stream(stream, seq=last + 1)
        gone = before.messages - max(0, before.last_seq - last)
        _PURGED.labels(stream).inc(gone)
        log.info("a stream was purged", stream=stream, messages=gone, up_to=last)
        return gone

    async def _list_positions(self, stream: str) -> dict[str, int]:
        """Return the last sequence that each durable consumer has acked."""
        positions: dict[str, int] = {}
        while page := await self._stream.consumers_info(stream, offset=len(positions)):
            positions |= {info.name: info.ack_floor.stream_seq if info.ack_floor else 0 for info in page}
        return positions

    async def _find_last_old(self, stream: str) -> int:
        """Return the last sequence that is older than what must stay: a consumer from that moment on begins behind it."""
        config = api.ConsumerConfig(
            name=f"audit-purge-{new_uuid7()}",
            deliver_policy=api.DeliverPolicy.BY_START_TIME,
            opt_start_time=self._clock.now() - self._keep,
            ack_policy=api.AckPolicy.NONE,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=_NEGLECTED_SECONDS,
        )
        info = await self._stream.add_consumer(stream, config)
        await self._stream.delete_consumer(stream, info.name)
        return info.delivered.stream_seq if info.delivered else 0

"""Purges TRAFFIC and EXTERNAL of what is old and was read by all: both refuse new messages when they are full.

What a reader has acked is committed in its store, so the lowest ack of all readers is safe. A reader that is not there, or
not as it was made, holds everything. Younger messages stay in any case, for a store that is restored to an earlier moment.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import structlog
from nats.aio.client import Client
from prometheus_client import Counter, Gauge

from services.alerts.contract import streams as alerts
from services.backup.contract.streams import BOOKMARKS
from services.keys.contract import streams as keys
from shared.clock import Clock, format_time
from shared.ids import new_uuid7

log = structlog.get_logger(__name__)
_PURGED = Counter("audit_purged_messages", "Messages purged from streams that were read by all.", ["stream"])
_CHECKED = Gauge("audit_purge_checked_seconds", "When a stream was last found purged (since the epoch).", ["stream"])
_NEGLECTED_NS = 5_000_000_000
_TIMEOUT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class PurgedStream:
    """A stream, the one filter of its readers, and their consumers; one of the bookmarks is a reader as well."""

    name: str
    subject_filter: str
    readers: tuple[str, ...]


STREAMS = (
    PurgedStream("TRAFFIC", "traffic.>", ("audit-traffic", *keys.TRAFFIC_READERS, *alerts.TRAFFIC_READERS)),
    PurgedStream("EXTERNAL", "ext.>", ("audit-external", *alerts.EXTERNAL_READERS)),
)


class PurgeError(RuntimeError):
    """JetStream refused; the message says what."""


class Purger:
    """Purges streams up to the lower of an age and the lowest position of their readers."""

    def __init__(self, client: Client, clock: Clock, *, keep: timedelta) -> None:
        self._client = client
        self._clock = clock
        self._keep = keep

    async def run(self, *, every_seconds: float) -> None:
        """Purge again and again, until cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            for stream in STREAMS:
                try:
                    await self.purge(stream)
                except Exception as error:  # an edge that must not die: the streams would fill, and refuse
                    log.exception("a stream could not be purged", stream=stream.name, reason=repr(error))

    async def purge(self, stream: PurgedStream) -> int:
        """Purge a stream and return how many messages went; none while one of its readers is missing.

        Raises PurgeError, or NATS's errors when it does not answer.
        """
        read = await self._find_read(stream)
        if read is None:
            return 0
        state = (await self._ask(f"STREAM.INFO.{stream.name}"))["state"]
        last = min(read, await self._find_last_old(stream.name))
        gone = 0
        if state["messages"] and last >= state["first_seq"]:
            gone = (await self._ask(f"STREAM.PURGE.{stream.name}", {"seq": last + 1}))["purged"]
            _PURGED.labels(stream.name).inc(gone)
            log.info("a stream was purged", stream=stream.name, messages=gone, up_to=last)
        _CHECKED.labels(stream.name).set(self._clock.now().timestamp())
        return gone

    async def _find_read(self, stream: PurgedStream) -> int | None:
        """Return the last sequence that all readers have acked, and a backup has; None while one of them is missing."""
        found = {item["name"]: item for item in await self._list_consumers(stream.name)}
        sound = [name for name in stream.readers if name in found and _is_sound(found[name]["config"], stream)]
        bookmarks = [name for name in BOOKMARKS if name in found]
        if len(sound) < len(stream.readers) or not bookmarks:
            log.warning("a purge waits for its readers", stream=stream.name, found=[*sound, *bookmarks])
            return None
        return min(int(found[name]["ack_floor"]["stream_seq"]) for name in (*sound, *bookmarks))

    async def _list_consumers(self, stream: str) -> list[dict[str, Any]]:
        consumers: list[dict[str, Any]] = []
        while page := (await self._ask(f"CONSUMER.LIST.{stream}", {"offset": len(consumers)}))["consumers"]:
            consumers += page
        return consumers

    async def _find_last_old(self, stream: str) -> int:
        """Return the last sequence that is older than what must stay: a consumer from that moment on begins behind it."""
        name = f"audit-purge-{new_uuid7()}"
        config = {
            "name": name, "deliver_policy": "by_start_time", "opt_start_time": format_time(self._clock.now() - self._keep),
            "ack_policy": "none", "mem_storage": True, "num_replicas": 1, "inactive_threshold": _NEGLECTED_NS,
        }  # fmt: skip
        made = await self._ask(f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})
        await self._ask(f"CONSUMER.DELETE.{stream}.{name}")
        return int(made["delivered"]["stream_seq"])

    async def _ask(self, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return JetStream's answer, undecoded: what strangers' consumers look like must not matter here."""
        payload = orjson.dumps(body) if body is not None else b""
        reply = await self._client.request(f"$JS.API.{subject}", payload, timeout=_TIMEOUT_SECONDS)
        answer: dict[str, Any] = orjson.loads(reply.data)
        if "error" in answer:
            raise PurgeError(f"{subject}: {answer['error'].get('description')}")
        return answer


def _is_sound(config: dict[str, Any], stream: PurgedStream) -> bool:
    """Say whether a reader's consumer is as the reader made it: what it acked includes everything before."""
    return config.get("ack_policy") == "all" and config.get("filter_subject") == stream.subject_filter

"""Purging streams: only what is old, and what every reader and the last backup have."""

from collections.abc import AsyncIterator
from datetime import timedelta

import orjson
import pytest
from nats.aio.client import Client
from nats.js import api

from services.alerts.evaluator import Evaluator
from services.alerts.projections import build_projections as build_alerts
from services.audit.projections import build_projections as build_audit
from services.audit.purge import STREAMS, PurgedStream, Purger
from services.backup.contract.streams import BOOKMARKS
from services.backup.reader import StreamReader
from services.keys.projections import ViewWriter
from services.keys.projections import build_projections as build_keys
from shared.bus import StreamSpec, declare_streams
from shared.clock import SystemClock
from shared.ids import new_uuid7

_MESSAGES = 20


class Bench:
    """A stream with twenty messages, and readers that have acked so many of them."""

    def __init__(self, client: Client, stream: str) -> None:
        self.stream = stream
        self.jetstream = client.jetstream()
        self.client = client

    async def read(self, reader: str, up_to: int) -> None:
        config = api.ConsumerConfig(ack_policy=api.AckPolicy.ALL, durable_name=reader)
        subject = f"{self.stream}.>"
        subscription = await self.jetstream.pull_subscribe(subject, reader, stream=self.stream, config=config)
        if up_to:
            messages = await subscription.fetch(up_to, timeout=5)
            await messages[-1].ack_sync()

    async def bookmark(self, last: int) -> None:
        await StreamReader(self.client).put_bookmark(self.stream, last)

    async def list_bookmarks(self) -> list[str]:
        return [info.name for info in await self.jetstream.consumers_info(self.stream) if info.name in BOOKMARKS]

    async def purge(self, *, hours: int = 0) -> int:
        stream = PurgedStream(self.stream, f"{self.stream}.>", ("a", "b"))
        return await Purger(self.client, SystemClock(), keep=timedelta(hours=hours)).purge(stream)

    async def first(self) -> int:
        return (await self.jetstream.stream_info(self.stream)).state.first_seq


@pytest.fixture
async def bench(nats_client: Client) -> AsyncIterator[Bench]:
    stream = f"P{new_uuid7().replace('-', '')}"
    await declare_streams(
        nats_client, (StreamSpec(name=stream, subjects=(f"{stream}.>",), description="t"),), mode="create"
    )
    for _ in range(_MESSAGES):
        await nats_client.jetstream().publish(f"{stream}.x", b"{}")
    yield Bench(nats_client, stream)
    await nats_client.jetstream().delete_stream(stream)


async def test_the_slowest_reader_holds_a_purge(bench: Bench) -> None:
    await bench.bookmark(_MESSAGES)
    await bench.read("a", 15)
    await bench.read("b", 7)
    await bench.read("an-outsider", 1)
    assert await bench.purge() == 7
    assert await bench.first() == 8
    assert await bench.purge() == 0


async def test_a_missing_reader_holds_everything(bench: Bench) -> None:
    await bench.bookmark(_MESSAGES)
    await bench.read("a", _MESSAGES)
    assert await bench.purge() == 0
    assert await bench.first() == 1


async def test_a_reader_that_is_not_as_it_was_made_holds_everything(bench: Bench) -> None:
    await bench.bookmark(_MESSAGES)
    await bench.read("a", _MESSAGES)
    config = api.ConsumerConfig(
        name="b", durable_name="b", ack_policy=api.AckPolicy.ALL, filter_subject=f"{bench.stream}.nothing",
        deliver_policy=api.DeliverPolicy.NEW,
    )  # fmt: skip
    await bench.jetstream.add_consumer(bench.stream, config)
    assert await bench.purge() == 0


async def test_what_no_backup_has_stays(bench: Bench) -> None:
    await bench.read("a", _MESSAGES)
    await bench.read("b", _MESSAGES)
    assert await bench.purge() == 0
    for last, purged in ((5, 5), (5, 0), (9, 4), (3, 0), (_MESSAGES, 11)):
        await bench.bookmark(last)
        assert len(await bench.list_bookmarks()) == 1
        assert await bench.purge() == purged, last


async def test_what_is_young_stays(bench: Bench) -> None:
    await bench.bookmark(_MESSAGES)
    await bench.read("a", _MESSAGES)
    await bench.read("b", _MESSAGES)
    assert await bench.purge(hours=1) == 0
    assert await bench.purge() == _MESSAGES
    assert (await bench.jetstream.stream_info(bench.stream)).state.messages == 0
    assert await bench.purge() == 0


async def test_strange_consumers_and_holes_disturb_nothing(bench: Bench) -> None:
    await bench.bookmark(_MESSAGES)
    await bench.read("a", 2)
    await bench.read("b", 2)
    for sequence in (5, 6, 7, 8):
        await bench.jetstream.delete_msg(bench.stream, sequence)
    body = {"stream_name": bench.stream, "config": {"name": "odd", "deliver_policy": "by_start_time",
            "opt_start_time": "0000-01-01T00:00:00Z", "ack_policy": "none"}}  # fmt: skip
    made = await bench.client.request(f"$JS.API.CONSUMER.CREATE.{bench.stream}.odd", orjson.dumps(body))
    assert "error" not in orjson.loads(made.data)
    assert await bench.purge() == 2


def test_every_reader_of_a_purged_stream_is_known() -> None:
    """A new reader must hold purges back: its consumer is named by service and projection."""
    projections = {
        "audit": build_audit("default"),
        "keys": build_keys(ViewWriter(None, None)),  # type: ignore[arg-type]  (nothing is applied here)
        "alerts": build_alerts(Evaluator()),
    }
    for stream in STREAMS:
        found = {
            f"{service}-{item.name}"
            for service, items in projections.items()
            for item in items
            if item.find_stream == stream.name
        }
        assert set(stream.readers) == found, stream.name

"""Purging streams: only what is old, and what every reader and the last backup have."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from nats.aio.client import Client
from nats.js import api

from services.alerts.evaluator import Evaluator
from services.alerts.projections import build_projections as build_alerts
from services.audit.projections import build_projections as build_audit
from services.audit.purge import READERS, Purger
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
        subscription = await self.jetstream.pull_subscribe("", reader, stream=self.stream, config=config)
        if up_to:
            messages = await subscription.fetch(up_to, timeout=5)
            await messages[-1].ack_sync()

    async def bookmark(self, last: int) -> None:
        config = api.ConsumerConfig(
            name="backup-bookmark", durable_name="backup-bookmark", ack_policy=api.AckPolicy.NONE,
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=last + 1,
        )  # fmt: skip
        await self.jetstream.add_consumer(self.stream, config)

    async def purge(self, *, hours: int = 0) -> int:
        return await Purger(self.client, SystemClock(), keep=timedelta(hours=hours)).purge(self.stream, ("a", "b"))

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
    await bench.read("a", 15)
    await bench.read("b", 7)
    await bench.read("an-outsider", 1)
    assert await bench.purge() == 7
    assert await bench.first() == 8
    assert await bench.purge() == 0


async def test_a_missing_reader_holds_everything(bench: Bench) -> None:
    await bench.read("a", _MESSAGES)
    assert await bench.purge() == 0
    assert await bench.first() == 1


async def test_what_no_backup_has_stays(bench: Bench) -> None:
    await bench.read("a", _MESSAGES)
    await bench.read("b", _MESSAGES)
    await bench.bookmark(5)
    assert await bench.purge() == 5
    assert await bench.first() == 6


async def test_what_is_young_stays(bench: Bench) -> None:
    await bench.read("a", _MESSAGES)
    await bench.read("b", _MESSAGES)
    assert await bench.purge(hours=1) == 0
    assert await bench.purge() == _MESSAGES
    assert (await bench.jetstream.stream_info(bench.stream)).state.messages == 0
    assert await bench.purge() == 0


def test_every_reader_of_a_purged_stream_is_known() -> None:
    """A new reader must hold purges back: its consumer is named by service and projection."""
    projections = {
        "audit": build_audit("default"),
        "keys": build_keys(ViewWriter(None, None)),  # type: ignore[arg-type]  (nothing is applied here)
        "alerts": build_alerts(Evaluator()),
    }
    for stream, readers in READERS.items():
        found = {
            f"{service}-{item.name}"
            for service, items in projections.items()
            for item in items
            if item.find_stream == stream
        }
        assert set(readers) == found, stream

"""The projector on a real NATS and Postgres: order, second copies, late writers, faults, rebuild."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import orjson
import pytest
from nats.aio.client import Client
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.audit.contract.streams import DLQ
from shared.bus import StreamSpec, declare_streams
from shared.db import Connection, Pool, migrate
from shared.db.migrations import MigrationError
from shared.envelope import Event
from shared.ids import new_uuid7
from shared.projector import (
    Delivery,
    OnPoison,
    PoisonError,
    Projection,
    Projector,
    Repeats,
    decode_one,
    decode_records,
    rebuild,
)
from shared.projector.consumer import DeliveryGapError, StreamReader
from shared.projector.projector import SQL
from shared.testing.waiting import wait_until

TABLE = "CREATE TABLE applied (place bigserial PRIMARY KEY, id text NOT NULL, number bigint NOT NULL)"


def build_event(number: int, source: str = "/test") -> Event:
    return Event(
        id=new_uuid7(), source=source, type="tested", time="2026-01-01T00:00:00.000Z", sourceseq=str(number),
        data={"number": number},
    )  # fmt: skip


async def apply(connection: Connection, delivery: Delivery) -> None:
    for item in delivery.received:
        if item.event.data.get("poison"):
            raise PoisonError("it says so itself")
        await connection.execute(
            "INSERT INTO applied (id, number) VALUES ($1, $2)", item.event.id, item.event.data["number"]
        )


class Bench:
    """A stream and a store of one test."""

    def __init__(self, client: Client, pool: Pool, stream: str) -> None:
        self.client, self.pool, self.stream = client, pool, stream
        self.tasks: list[asyncio.Task[None]] = []

    def build(self, **changes: object) -> Projection:
        fields = {
            "name": "tested", "find_stream": self.stream, "subject_filter": f"{self.stream}.>", "decode": decode_one,
            "apply": apply, "batch": 7,
        }  # fmt: skip
        return Projection(**(fields | changes))

    def start(self, projection: Projection, lease_seconds: float = 0.6) -> Projector:
        projector = Projector(
            projection, pool=self.pool, client=self.client, service="test", lease_seconds=lease_seconds
        )
        self.tasks.append(asyncio.create_task(projector.run()))
        return projector

    async def publish(self, payload: bytes, suffix: str = "x") -> int:
        return (await self.client.jetstream().publish(f"{self.stream}.{suffix}", payload)).seq

    async def numbers(self) -> list[int]:
        return [row["number"] for row in await self.pool.fetch("SELECT number FROM applied ORDER BY place")]

    async def wait_for(self, count: int) -> list[int]:
        async def enough() -> list[int]:
            numbers = await self.numbers()
            return numbers if len(numbers) >= count else []

        return await wait_until(enough)


@pytest.fixture
async def bench(nats_client: Client, pool: Pool) -> AsyncIterator[Bench]:
    stream = f"T{new_uuid7().replace('-', '')}"
    spec = StreamSpec(name=stream, subjects=(f"{stream}.>",), description="test")
    await declare_streams(nats_client, (spec, DLQ), mode="create")
    await migrate(pool, __file__)
    await pool.execute(TABLE)
    made = Bench(nats_client, pool, stream)
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)
    await nats_client.jetstream().delete_stream(stream)


async def test_identities_are_forgotten_once_no_stream_can_repeat_them(bench: Bench) -> None:
    note = "INSERT INTO projection_seen (projection, digest, seen_at) VALUES ('tested', $1, now() - $2::interval)"
    await bench.pool.execute(note, b"old", timedelta(days=9))
    await bench.pool.execute(note, b"kept", timedelta(days=7))
    bench.start(bench.build(repeats=Repeats.BY_IDENTITY))

    async def rest() -> bool:
        rows = await bench.pool.fetch("SELECT digest FROM projection_seen")
        return [row["digest"] for row in rows] == [b"kept"]

    await wait_until(rest)


async def test_events_are_applied_once_and_in_order(bench: Bench) -> None:
    for number in range(1, 51):
        await bench.publish(build_event(number).encode())
    projector = bench.start(bench.build())
    assert await bench.wait_for(50) == list(range(1, 51))
    assert projector.position[1] == 50


async def test_a_second_copy_at_a_new_sequence_changes_nothing(bench: Bench) -> None:
    batch = orjson.dumps([build_event(number).to_json() for number in (1, 2, 3)])
    later = orjson.dumps([build_event(number).to_json() for number in (3, 4)])
    for payload in (batch, batch, later):
        await bench.publish(payload)
    bench.start(bench.build(decode=decode_records, repeats=Repeats.BY_NUMBER))
    await bench.publish(orjson.dumps([build_event(5).to_json()]))
    assert await bench.wait_for(5) == [1, 2, 3, 4, 5]


async def test_the_same_identity_is_taken_once(bench: Bench) -> None:
    event = build_event(1)
    for _ in range(3):
        await bench.publish(event.encode())
    bench.start(bench.build(repeats=Repeats.BY_IDENTITY, batch=2))
    await bench.publish(build_event(2).encode())
    assert await bench.wait_for(2) == [1, 2]


async def test_a_restarted_reader_goes_on_after_its_position(bench: Bench) -> None:
    first = bench.start(bench.build())
    await bench.publish(build_event(1).encode())
    await bench.wait_for(1)
    bench.tasks.pop().cancel()
    await bench.publish(build_event(2).encode())
    bench.start(bench.build())
    assert await bench.wait_for(2) == [1, 2]
    assert first.position[1] == 1


async def test_a_restored_database_is_fed_again_although_everything_was_acked(bench: Bench) -> None:
    bench.start(bench.build())
    for number in (1, 2, 3):
        await bench.publish(build_event(number).encode())
    await bench.wait_for(3)
    task = bench.tasks.pop()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bench.pool.execute("DELETE FROM applied WHERE number > 1")
    await bench.pool.execute("UPDATE projection SET sequence = 1")
    bench.start(bench.build())
    assert await bench.wait_for(3) == [1, 2, 3]


async def test_a_writer_that_lost_its_lease_changes_nothing(bench: Bench) -> None:
    """The late writer believes in its lease; the token in the position's compare-and-set refuses it."""
    late = bench.start(bench.build())
    await bench.publish(build_event(1).encode())
    await bench.wait_for(1)
    await bench.pool.execute("UPDATE projection SET token = token + 1, holder = 'other', lease_until = now() + '3s'")
    await bench.publish(build_event(2).encode())
    await asyncio.sleep(0.5)
    assert await bench.numbers() == [1]
    assert not late.is_active
    assert await bench.wait_for(2) == [1, 2]  # it takes the lease again once the other's has ended


async def test_one_of_two_replicas_writes(bench: Bench) -> None:
    bench.start(bench.build())
    bench.start(bench.build())
    for number in range(1, 31):
        await bench.publish(build_event(number).encode())
    assert await bench.wait_for(30) == list(range(1, 31))


async def test_a_standby_takes_over(bench: Bench) -> None:
    bench.start(bench.build())
    await bench.publish(build_event(1).encode())
    await bench.wait_for(1)
    standby = bench.start(bench.build())
    bench.tasks.pop(0).cancel()
    await bench.publish(build_event(2).encode())
    assert await bench.wait_for(2) == [1, 2]
    assert standby.is_active


async def test_poison_is_parked_and_what_is_behind_it_goes_on(bench: Bench, nats_client: Client) -> None:
    await bench.publish(build_event(1).encode())
    await bench.publish(b"{not json")
    await bench.publish(build_event(2).encode())
    bench.start(bench.build(on_poison=OnPoison.PARK))
    assert await bench.wait_for(2) == [1, 2]
    letter = orjson.loads((await nats_client.jetstream().get_last_msg("DLQ", "dlq.test")).data)
    assert (letter["stream"], letter["sequence"]) == (bench.stream, 2)
    assert "not JSON" in letter["reason"]


async def test_a_projection_of_the_event_stream_stops_at_poison_and_says_so(bench: Bench) -> None:
    await bench.publish(build_event(1).encode())
    await bench.publish(b"{not json")
    await bench.publish(build_event(2).encode())
    projector = bench.start(bench.build())

    async def stopped() -> str | None:
        return projector.stopped_reason

    assert "cannot apply event 2" in await wait_until(stopped)
    assert await bench.numbers() == [1]


async def test_a_position_ahead_of_the_stream_stops_with_a_sentence(bench: Bench) -> None:
    first = bench.start(bench.build())
    await bench.publish(build_event(1).encode())
    await bench.wait_for(1)
    bench.tasks.pop().cancel()
    await bench.pool.execute("UPDATE projection SET sequence = 99")
    second = bench.start(bench.build())

    async def stopped() -> str | None:
        return second.stopped_reason

    assert "ahead of" in await wait_until(stopped)
    assert first.stopped_reason is None


async def test_purged_ranges_are_recorded_as_lost(bench: Bench) -> None:
    for number in (1, 2, 3):
        await bench.publish(build_event(number).encode())
    await bench.client.jetstream().purge_stream(bench.stream, seq=3)
    bench.start(bench.build())
    assert await bench.wait_for(1) == [3]
    row = await bench.pool.fetchrow("SELECT first_sequence, last_sequence FROM projection_loss")
    assert tuple(row) == (1, 2)


async def test_a_rebuild_equals_the_live_table_while_it_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "shared.projector.consumer._MAX_ACK_PENDING", 10
    )  # a rebuild is longer than what may be unacked
    projection = bench.build(tables=("kept",), apply=upsert)
    await bench.pool.execute("CREATE TABLE kept (number bigint PRIMARY KEY, id text NOT NULL)")
    bench.start(projection)
    for number in range(1, 41):
        await bench.publish(build_event(number).encode())

    async def dump() -> list[tuple[int, str]]:
        return [tuple(row) for row in await bench.pool.fetch("SELECT number, id FROM kept ORDER BY number")]

    async def whole() -> bool:
        return len(await dump()) == 40

    await wait_until(whole)
    before = await dump()
    await bench.pool.execute("UPDATE kept SET id = 'damaged'")
    assert await rebuild(projection, pool=bench.pool, client=bench.client, service="test") == 40
    assert await dump() == before
    await bench.publish(build_event(41).encode())

    async def goes_on() -> bool:
        return len(await dump()) == 41

    await wait_until(goes_on)


async def upsert(connection: Connection, delivery: Delivery) -> None:
    for item in delivery.received:
        await connection.execute(
            "INSERT INTO kept (number, id) VALUES ($1, $2)", item.event.data["number"], item.event.id
        )


async def test_a_changed_migration_is_refused(pool: Pool) -> None:
    await migrate(pool, __file__)
    await pool.execute("UPDATE schema_migration SET sha256 = 'other' WHERE number = 1")
    with pytest.raises(MigrationError, match="was changed after it was applied"):
        await migrate(pool, __file__)


async def test_a_trace_goes_on_in_the_consumer(bench: Bench) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    event = Event(
        id=new_uuid7(), source="/t", type="t", time="", data={"number": 1},
        traceparent=f"00-{trace_id}-b7ad6b7169203331-01",
    )  # fmt: skip
    await bench.publish(event.encode())
    bench.start(bench.build())
    await bench.wait_for(1)

    async def continued() -> bool:
        return trace_id in {f"{span.context.trace_id:032x}" for span in exporter.get_finished_spans()}

    await wait_until(continued)


async def test_a_redelivered_message_changes_nothing(bench: Bench) -> None:
    """Redelivery looks contiguous in the consumer's own numbers; only `num_delivered` tells it."""
    projection = bench.build(batch=3)
    await bench.publish(build_event(1).encode())
    reader = StreamReader(bench.client, bench.stream, "test-tested", projection.subject_filter)
    await reader.start(1)
    message = (await reader.fetch(1, 1.0))[0]
    await message.nak()
    with pytest.raises(DeliveryGapError):
        await reader.fetch(1, 2.0)
    bench.start(projection)
    await bench.publish(build_event(2).encode())
    assert await bench.wait_for(2) == [1, 2]


async def test_what_an_altered_consumer_leaves_out_is_missed(bench: Bench) -> None:
    """Whoever may make consumers may alter ours: what its filter kept from us looks contiguous in its own numbers."""
    projection = bench.build()
    reader = StreamReader(bench.client, bench.stream, "test-tested", projection.subject_filter)
    await reader.find_state()
    await reader.start(1)
    stream = bench.client.jetstream()
    config = (await stream.consumer_info(bench.stream, "test-tested")).config
    await bench.publish(build_event(1).encode())
    await (await reader.fetch(1, 1.0))[0].ack_sync()
    await stream.add_consumer(bench.stream, config.evolve(filter_subject=f"{bench.stream}.nothing"))
    await bench.publish(build_event(2).encode())
    assert await reader.fetch(1, 0.3) == []  # the server looks, finds nothing that fits, and goes on
    await stream.add_consumer(bench.stream, config)
    await bench.publish(build_event(3).encode())
    with pytest.raises(DeliveryGapError, match="left out"):
        await reader.fetch(1, 1.0)


async def test_what_was_deleted_from_the_stream_is_not_missed(bench: Bench) -> None:
    reader = StreamReader(bench.client, bench.stream, "test-tested", bench.build().subject_filter)
    for number in range(1, 8):
        await bench.publish(build_event(number).encode())
    stream = bench.client.jetstream()
    await stream.purge_stream(bench.stream, seq=3)
    for sequence in (4, 5):
        await stream.delete_msg(bench.stream, sequence)
    await reader.find_state()
    await reader.start(1)
    assert [message.metadata.sequence.stream for message in await reader.fetch(10, 1.0)] == [3, 6, 7]


async def test_no_header_of_a_publisher_passes_for_a_status(bench: Bench) -> None:
    stream = bench.client.jetstream()
    await stream.publish(f"{bench.stream}.x", build_event(1).encode(), headers={"Status": "404", "Description": "No"})
    bench.start(bench.build())
    await bench.publish(build_event(2).encode())
    assert await bench.wait_for(2) == [1, 2]


async def test_a_reader_whose_consumer_is_gone_makes_it_anew(bench: Bench) -> None:
    bench.start(bench.build())
    await bench.publish(build_event(1).encode())
    await bench.wait_for(1)
    await bench.client.jetstream().delete_consumer(bench.stream, "test-tested")
    await bench.publish(build_event(2).encode())
    assert await bench.wait_for(2) == [1, 2]


async def test_the_position_never_moves_back(bench: Bench) -> None:
    projector = bench.start(bench.build())
    await bench.publish(build_event(1).encode())
    await bench.publish(build_event(2).encode())
    await bench.wait_for(2)
    row = await bench.pool.fetchrow("SELECT token, incarnation FROM projection")
    place = ("tested", row["token"], row["incarnation"], 2, 1)
    moved = await bench.pool.fetchrow(SQL["projection_advance"], *place, ["/late"], ["{[1,2)}"])
    assert moved is None
    assert await bench.pool.fetch("SELECT source FROM projection_source") == []
    assert projector.position[1] == 2

"""The recorder on a real NATS, behind a wire that can be cut: nothing lost, nothing doubled, nothing regrouped."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from nats.aio.client import Client

from shared.bus import StreamSpec, connect, declare_streams
from shared.envelope import decode_batch
from shared.ids import new_uuid7
from shared.recorder import NotDurableError, Record, Recorder, RecorderLimits
from shared.settings import CommonSettings
from shared.testing.waiting import wait_until
from tests.fixtures.servers import Servers
from tests.fixtures.wire import Wire


class Bench:
    """A recorder behind a wire, and the stream it writes."""

    def __init__(self, observer: Client, client: Client, wire: Wire, stream: str, folder: Path) -> None:
        self.observer, self.client, self.wire, self.stream, self.folder = observer, client, wire, stream, folder
        self.opened: list[Recorder] = []

    async def open(self, **limits: float) -> Recorder:
        recorder = Recorder(
            self.client, subject=f"{self.stream}.gw", source=f"/test/gw/w/{new_uuid7()}", folder=self.folder,
            limits=RecorderLimits(**limits),
        )  # fmt: skip
        await recorder.start()
        self.opened.append(recorder)
        return recorder

    async def record(self, recorder: Recorder, count: int) -> None:
        async def one(number: int) -> None:
            assert recorder.reserve()
            await recorder.record(Record(type="tested", time="", data={"number": number})).settled

        await asyncio.gather(*(one(number) for number in range(count)))

    async def stored(self) -> list[tuple[str, int]]:
        """What the stream has, as a reader with interval sets sees it: (source, sourceseq), copies included."""
        info = await self.observer.jetstream().stream_info(self.stream)
        found = []
        for sequence in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            message = await self.observer.jetstream().get_msg(self.stream, sequence)
            found += [(event.source, int(event.sourceseq or 0)) for event in decode_batch(message.data or b"")]
        return found

    async def messages(self) -> int:
        return (await self.observer.jetstream().stream_info(self.stream)).state.messages


@pytest.fixture
async def bench(servers: Servers, nats_client: Client, tmp_path: Path) -> AsyncIterator[Bench]:
    stream = f"R{new_uuid7().replace('-', '')}"
    await declare_streams(
        nats_client, (StreamSpec(name=stream, subjects=(f"{stream}.>",), description="t"),), mode="create"
    )
    async with Wire(servers.nats_url) as wire:
        settings = CommonSettings(nats_url=wire.url, nats_seed_file=servers.nats_seed())
        client = await connect(settings, name="recorder")
        made = Bench(nats_client, client, wire, stream, tmp_path / "spool")
        yield made
        wire.restore()
        for recorder in made.opened:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(recorder.close(), 10)
        await client.close()
    await nats_client.jetstream().delete_stream(stream)


async def test_records_are_numbered_from_one_and_grouped(bench: Bench) -> None:
    recorder = await bench.open()
    await bench.record(recorder, 500)
    stored = await bench.stored()
    assert sorted(number for _, number in stored) == list(range(1, 501))
    assert await bench.messages() < 100


async def test_a_lone_record_goes_out_at_once(bench: Bench) -> None:
    recorder = await bench.open()
    await asyncio.wait_for(bench.record(recorder, 1), 5)
    assert len(await bench.stored()) == 1


async def test_a_lost_ack_neither_loses_nor_doubles(bench: Bench) -> None:
    """The message arrived, its ack did not: the spool sends the very same bytes under the very same id."""
    recorder = await bench.open()
    await bench.record(recorder, 3)
    bench.wire.drop_acks()
    await bench.record(recorder, 20)
    assert not recorder.is_live
    assert bench.wire.dropped
    bench.wire.restore()
    await bench.record(recorder, 5)
    await wait_for_drain(recorder)
    stored = await bench.stored()
    assert len(stored) == len(set(stored)) == 28


async def test_nats_away_means_the_spool_and_then_the_same_messages(bench: Bench) -> None:
    recorder = await bench.open()
    await bench.record(recorder, 3)
    bench.wire.cut()
    await bench.record(recorder, 50)
    assert recorder.spooled_bytes > 0
    assert list(bench.folder.glob("*.spool"))
    bench.wire.restore()
    await wait_for_drain(recorder)
    assert sorted(set(await bench.stored())) == [(recorder.source, number) for number in range(1, 54)]
    assert not list(bench.folder.glob("*.spool"))
    await bench.record(recorder, 2)
    assert recorder.is_live


async def wait_for_drain(recorder: Recorder) -> None:
    async def drained() -> bool:
        return recorder.is_live and recorder.spooled_bytes == 0

    await wait_until(drained)


async def test_a_successor_adopts_the_spool_of_a_dead_boot(bench: Bench) -> None:
    dead = await bench.open()
    bench.wire.cut()
    await bench.record(dead, 10)
    await crash(dead)
    bench.wire.restore()
    successor = await bench.open()

    async def adopted() -> bool:
        return len(set(await bench.stored())) == 10

    await wait_until(adopted)
    await wait_until(lambda: is_noted(bench, successor))
    await bench.record(successor, 1)
    last = (await bench.observer.jetstream().get_last_msg(bench.stream, f"{bench.stream}.gw")).data
    assert decode_batch(last or b"")[0].replaces == dead.source


async def is_noted(bench: Bench, recorder: Recorder) -> bool:
    note = bench.folder / "w.boot"
    return note.exists() and note.read_text().split()[-1] == recorder.source


async def crash(recorder: Recorder) -> None:
    """End as a killed process does: tasks gone, lock released by the kernel, files as they are."""
    for task in recorder._tasks:
        task.cancel()
    import os

    os.close(recorder._spool._lock)


async def test_a_torn_last_entry_is_left_out_and_the_rest_is_sent(bench: Bench) -> None:
    dead = await bench.open()
    bench.wire.cut()
    await bench.record(dead, 10)
    await crash(dead)
    path = next(bench.folder.glob("*.spool"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    bench.wire.restore()
    await bench.open()

    async def adopted() -> bool:
        return len(set(await bench.stored())) == 10

    await wait_until(adopted)


async def test_memory_is_bounded_by_reservation(bench: Bench) -> None:
    recorder = await bench.open(memory_bytes=100_000, record_bytes=10_000)
    reserved = 0
    while recorder.reserve():
        reserved += 1
    assert reserved == 10
    recorder.release()
    assert recorder.reserve()
    for _ in range(10):
        recorder.release()


async def test_a_full_spool_leaves_no_room(bench: Bench) -> None:
    recorder = await bench.open(spool_bytes=200_000, record_bytes=10_000)
    bench.wire.cut()
    await bench.record(recorder, 1)
    recorded = 1
    while recorder.reserve():
        await recorder.record(Record(type="tested", time="", data={"filler": "x" * 10_000})).settled
        recorded += 1
        assert recorded < 100
    assert not recorder.has_room
    bench.wire.restore()
    await wait_for_drain(recorder)
    assert recorder.has_room
    assert len(set(await bench.stored())) == recorded


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow: what a full disk does to it, without one (the services' logs bear it, prints not)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with structlog.testing.capture_logs():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_no_nats_and_no_disk_is_told_to_whoever_waits_and_loses_nothing(bench: Bench) -> None:
    recorder = await bench.open()
    bench.wire.cut()
    with full_disk():
        with pytest.raises(NotDurableError):
            await asyncio.wait_for(bench.record(recorder, 2), 10)
        assert not recorder.has_room
        recorder.reserve()
        ticket = recorder.record(Record(type="tested", time="", data={"number": 3}))
        with pytest.raises(NotDurableError):
            await asyncio.wait_for(ticket.settled, 10)
        assert not ticket.stored.done()

    async def has_room() -> bool:
        return recorder.has_room

    await wait_until(has_room)  # the disk takes it now, NATS is still away
    await asyncio.wait_for(ticket.stored, 10)
    bench.wire.restore()
    await wait_for_drain(recorder)
    await bench.record(recorder, 1)
    assert sorted(set(await bench.stored())) == [(recorder.source, number) for number in (1, 2, 3, 4)]


async def test_a_message_stays_below_its_bound(bench: Bench) -> None:
    recorder = await bench.open(message_bytes=5_000)
    await bench.record(recorder, 200)
    for sequence in range(1, await bench.messages() + 1):
        message = await bench.observer.jetstream().get_msg(bench.stream, sequence)
        assert len(message.data or b"") <= 5_000
    assert len(set(await bench.stored())) == 200


async def test_closing_flushes(bench: Bench) -> None:
    recorder = await bench.open()
    for number in range(100):
        assert recorder.reserve()
        recorder.record(Record(type="tested", time="", data={"number": number}))
    await recorder.close()
    assert len(await bench.stored()) == 100

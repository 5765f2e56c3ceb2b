"""Backup and restore on a real NATS: byte for byte, to the nanosecond, and never a partial stream."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from nats.aio.client import Client

from services.backup.backup_take import BackupTaker, Order
from services.backup.backup_verify import Verifier
from services.backup.catalogue import Catalogue
from services.backup.contract.requests import CreateRestore
from services.backup.errors import RestoreError
from services.backup.manifest import Manifest
from services.backup.reader import StreamReader, connect_raw
from services.backup.restore_plan import RestorePlanner
from services.backup.restore_run import RestoreRunner
from services.backup.sealing import derive_keys
from services.backup.targets.local import LocalTarget
from shared.clock import SystemClock
from shared.errors import AppError
from shared.settings import CommonSettings
from shared.testing import failpoints
from tests.fixtures.servers import run_servers


class House:
    """One NATS with an event stream, and everything that backs it up into a folder."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.catalogue = Catalogue(LocalTarget(folder), derive_keys(bytes(32)), compress=True, encrypt=True)
        self.reader = StreamReader(client)
        self.taker = BackupTaker(self.reader, self.catalogue, SystemClock(), segment_bytes=4096)
        self.verifier = Verifier(self.catalogue)
        self.planner = RestorePlanner(self.catalogue, self.reader)
        self.runner = RestoreRunner(client, self.reader, self.planner)
        self.ids: list[str] = []

    async def publish(self, count: int, tenant: str = "a", size: int = 40) -> None:
        jetstream = self.client.jetstream()
        for number in range(count):
            body = orjson.dumps({"type": f"kind_{number % 2}", "tenant": tenant, "data": os.urandom(size).hex()})
            headers = {"Nats-Msg-Id": os.urandom(8).hex(), "X-Odd": "ä b"} if number % 3 else None
            await jetstream.publish(f"evt.test.thing.{number}", body, headers=headers)

    async def take(self, kind: str = "full") -> Manifest:
        parent = (await self.catalogue.get_manifest(self.ids[0]))[0] if self.ids else None
        backup_id = f"bkp_{len(self.ids)}"
        order = Order(backup_id=backup_id, type=kind, description="", created_by="test")

        async def report(_: float) -> None:
            return

        manifest, _ = await self.taker.take(order, parent, report)
        self.ids.insert(0, backup_id)
        return manifest

    async def restore(self, into: str, **body: object) -> None:
        async def report(*_: object) -> None:
            return

        selection = await self.planner.select(CreateRestore.model_validate(body), self.ids)
        await self.runner.run("rst_test", into, selection, report)

    async def dump(self, stream: str, last: int = 2**62) -> list:
        return [message async for batch in self.reader.read(stream, 1, last) for message in batch]

    async def has_stream(self, name: str) -> bool:
        reply = await self.client.request(f"$JS.API.STREAM.INFO.{name}", b"", timeout=5)
        return "error" not in orjson.loads(reply.data)


@pytest.fixture(scope="module")
def own_servers():
    with run_servers() as running:
        yield running


@pytest.fixture
async def house(own_servers, tmp_path):
    client = await connect_raw(CommonSettings(nats_url=own_servers.nats_url, nats_seed_file=own_servers.nats_seed()))
    jetstream = client.jetstream()
    await jetstream.add_stream(name="EVENTS-1", subjects=["evt.>"], allow_direct=True, allow_atomic=True)
    yield House(client, tmp_path)
    failpoints.switch_on("", None)
    for info in await jetstream.streams_info():
        await jetstream.delete_stream(info.config.name)
    await client.close()


async def test_a_restore_of_full_and_increments_equals_the_stream(house):
    await house.publish(60)
    await house.client.jetstream().delete_msg("EVENTS-1", 7)
    full = await house.take()
    assert len(full.streams["EVENTS"].segments) > 1, "several segments"
    await house.publish(20)
    increment = await house.take("incremental")
    assert increment.parent == full.backup_id
    assert increment.streams["EVENTS"].segments[0].first_sequence == 61
    await house.publish(5)
    await house.restore("back", backup_id=increment.backup_id)
    assert await house.dump("back") == await house.dump("EVENTS-1", 80)
    config = (await house.client.jetstream().stream_info("back")).config
    assert config.subjects == ["restored.back.>"]


async def test_a_restore_to_a_sequence_and_to_a_time(house):
    await house.publish(30)
    await house.client.jetstream().delete_msg("EVENTS-1", 12)
    await house.take()
    await house.restore("to-sequence", sequence=12)
    assert await house.dump("to-sequence") == await house.dump("EVENTS-1", 12)
    assert (await house.client.jetstream().stream_info("to-sequence")).state.last_seq == 12
    tenth = (await house.dump("EVENTS-1"))[9]
    moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=tenth.time_ns // 1000 + 1)).isoformat()
    await house.restore("to-time", point_in_time=moment)
    restored = await house.dump("to-time")
    assert restored == (await house.dump("EVENTS-1"))[: len(restored)]
    assert restored[-1].time_ns <= (tenth.time_ns // 1000 + 1) * 1000
    assert len(restored) >= 10


async def test_a_plan_counts_what_goes_by_type_and_tenant(house):
    await house.publish(10)
    await house.take()
    await house.publish(3, tenant="b")
    selection = await house.planner.select(CreateRestore(sequence=8), house.ids)
    plan = await house.planner.compare(selection)
    assert plan.removes.total == 5
    assert plan.removes.by_tenant == {"a": 2, "b": 3}
    assert sum(plan.removes.by_type.values()) == 5
    assert plan.brings_back.total == 0


async def test_a_plan_counts_what_comes_back_when_the_stream_is_another(house):
    await house.publish(10)
    await house.take()
    jetstream = house.client.jetstream()
    await jetstream.delete_stream("EVENTS-1")
    await jetstream.add_stream(name="EVENTS-1", subjects=["evt.>"])
    await house.publish(2)
    plan = await house.planner.compare(await house.planner.select(CreateRestore(backup_id="bkp_0"), house.ids))
    assert (plan.removes.total, plan.brings_back.total) == (2, 10)
    assert (await house.take("incremental")).type == "full"


async def test_moments_outside_are_refused(house):
    await house.publish(3)
    await house.take()
    for body in ({"sequence": 4}, {"point_in_time": "2100-01-01T00:00:00Z"}, {"point_in_time": "2001-01-01T00:00:00Z"}):
        with pytest.raises(AppError, match="no recovery point covers"):
            await house.planner.select(CreateRestore.model_validate(body), house.ids)


async def test_only_own_events_are_no_news(house):
    await house.publish(3)
    manifest = await house.take()
    await house.client.jetstream().publish("evt.backup.backup.bkp_0.backup_completed", b"{}")
    assert not await house.taker.has_news(manifest)
    await house.publish(1)
    assert await house.taker.has_news(manifest)


@pytest.mark.parametrize("name", ["backup.mid_segment", "backup.before_manifest"])
async def test_a_backup_that_breaks_leaves_no_recovery_point(house, name):
    await house.publish(3)
    failpoints.switch_on(f"{name}=fail", None)
    with pytest.raises(failpoints.FailpointError):
        await house.take()
    assert await house.catalogue.list_ids() == []


async def test_a_restore_that_breaks_or_is_cancelled_leaves_no_stream(house):
    await house.publish(60, size=20_000)
    await house.take()
    failpoints.switch_on("restore.mid=fail@2", None)
    with pytest.raises(failpoints.FailpointError):
        await house.restore("broken", backup_id="bkp_0")
    assert not await house.has_stream("broken")
    failpoints.switch_on("", None)
    reached = asyncio.Event()

    async def report(_: str, messages: int, __: int) -> None:
        if messages > 50:
            reached.set()
            await asyncio.Event().wait()

    selection = await house.planner.select(CreateRestore(backup_id="bkp_0"), house.ids)
    task = asyncio.create_task(house.runner.run("rst_x", "cancelled", selection, report))
    await reached.wait()
    assert await house.has_stream("cancelled"), "NATS makes it while it is written"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await house.has_stream("cancelled")


@pytest.mark.parametrize(
    "change",
    [
        lambda message: message._replace(payload=b"other"),
        lambda message: message._replace(headers=b""),
        lambda message: message._replace(time_ns=message.time_ns + 1),
        lambda message: message._replace(subject="evt.other"),
        lambda message: None,
    ],
)
async def test_a_restored_stream_that_differs_is_deleted(house, change):
    await house.publish(5)
    await house.take()

    class Altered(StreamReader):
        async def read(self, stream, first, last):
            async for batch in super().read(stream, first, last):
                yield [*batch[:2], *filter(None, [change(batch[2])]), *batch[3:]]

    house.runner = RestoreRunner(house.client, Altered(house.client), house.planner)
    with pytest.raises(RestoreError, match="differs"):
        await house.restore("differs", backup_id="bkp_0")
    assert not await house.has_stream("differs")


async def test_a_name_that_exists_is_refused_and_left_alone(house):
    await house.publish(2)
    await house.take()
    await house.client.jetstream().add_stream(name="mine", subjects=["mine.>"])
    with pytest.raises(AppError, match="exists already"):
        await house.restore("mine", backup_id="bkp_0")
    assert await house.has_stream("mine")


def _objects(folder: Path) -> list[Path]:
    return sorted((folder / "objects").iterdir(), key=lambda path: path.name)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _swap(left: Path, right: Path) -> None:
    first, second = left.read_bytes(), right.read_bytes()
    left.write_bytes(second)
    right.write_bytes(first)


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda objects: _flip(objects[0]), "changed"),
        (lambda objects: objects[0].write_bytes(objects[0].read_bytes()[:-7]), "cut short"),
        (lambda objects: _swap(objects[0], objects[1]), "changed|cut short"),
        (lambda objects: objects[0].unlink(), "missing"),
    ],
)
async def test_a_tampered_object_is_named(house, tamper, reason):
    await house.publish(60)
    await house.take()
    assert (await house.verifier.verify("bkp_0", None)).ok
    objects = _objects(house.folder)
    tamper(objects)
    report = await house.verifier.verify("bkp_0", None)
    assert not report.ok
    assert report.first_bad in {path.name for path in objects[:2]}
    assert any(word in report.reason for word in reason.split("|"))
    with pytest.raises((RestoreError, AppError)):
        await house.restore("never", backup_id="bkp_0")
    assert not await house.has_stream("never")


async def test_a_tampered_manifest_is_named(house):
    await house.publish(10)
    first = await house.take()
    await house.publish(10)
    second = await house.take("incremental")
    folder = house.folder / "manifests"
    old, new = folder / "bkp_0.json", folder / "bkp_1.json"
    _swap(old, new)
    report = await house.verifier.verify(second.backup_id, None)
    assert (report.ok, report.first_bad) == (False, "manifests/bkp_1.json")
    _swap(old, new)
    assert not (await house.verifier.verify(first.backup_id, "0" * 64)).ok, "an older one in its place"
    old.unlink()
    report = await house.verifier.verify(second.backup_id, None)
    assert (report.first_bad, report.reason) == ("manifests/bkp_0.json", "the manifest is missing")


async def test_objects_are_written_once(house):
    target = LocalTarget(house.folder)
    await target.put_if_absent("objects/x", b"1")
    with pytest.raises(FileExistsError):
        await target.put_if_absent("objects/x", b"2")
    assert await target.get("objects/x") == b"1"
    with pytest.raises(FileNotFoundError):
        await target.get("objects/y")
    await target.delete("objects/x")
    await target.delete("objects/x")
    assert await target.list("objects") == []

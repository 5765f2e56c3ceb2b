"""The backup service as a process, with its own NATS user's rights: asked over rpc, killed, tampered with."""

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import orjson
import pytest

from cli.stack.ports import choose_port
from services.backup.contract import requests
from services.keys.contract import streams
from shared.bus import Caller, EventLog, RpcClient, connect, declare_streams
from shared.errors import AppError, Category
from shared.settings import CommonSettings
from shared.testing.waiting import wait_until
from tests.fixtures.servers import run_servers

ADMIN = Caller(principal="user:admin", permissions=("*",))


class Service:
    """One process, and a client that asks it as the gateway does."""

    def __init__(self, servers, folder: Path, database_url: str) -> None:
        self.port = choose_port(0, remembered=None, name="backup", switch="")
        self.folder = folder
        self.log = folder / "service.log"
        self.environment = os.environ | {
            "NATS_URL": servers.nats_url,
            "NATS_SEED_FILE": str(servers.nats_seed("backup")),
            "DATABASE_URL": database_url,
            "PORT": str(self.port),
            "SERVICE_TOKEN": "t" * 32,
            "BACKUP_DIR": str(folder / "backups"),
            "BACKUP_KEY": base64.urlsafe_b64encode(bytes(32)).decode(),
            "BACKUP_INCREMENTAL_SECONDS": "0",
            "BACKUP_SEGMENT_BYTES": "4096",
        }
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self, **environment: str) -> None:
        self._spawn(environment)
        await wait_until(self.is_ready, bound_seconds=30)

    def _spawn(self, environment: dict[str, str]) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.backup"], env=self.environment | environment, stdout=log, stderr=log
            )

    async def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.get(f"http://127.0.0.1:{self.port}/ready")).status_code == 200
            except httpx.HTTPError:
                return False

    async def has_died(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


@pytest.fixture(scope="module")
def own_servers():
    with run_servers() as running:
        yield running


@pytest.fixture
async def tester(own_servers):
    settings = CommonSettings(nats_url=own_servers.nats_url, nats_seed_file=own_servers.nats_seed())
    client = await connect(settings, name="tester")
    await declare_streams(client, (streams.EVENTS,), mode="create")
    yield client
    for info in await client.jetstream().streams_info():
        await client.jetstream().delete_stream(info.config.name)
    await client.close()


@pytest.fixture
def database_url(own_servers):
    return own_servers.new_database_url()


@pytest.fixture
def other_database_url(own_servers):
    return own_servers.new_database_url()


@pytest.fixture
async def service(own_servers, database_url, tester, tmp_path):
    made = Service(own_servers, tmp_path, database_url)
    await made.start()
    yield made
    made.stop()


@pytest.fixture
async def rpc(own_servers):
    settings = CommonSettings(nats_url=own_servers.nats_url, nats_seed_file=own_servers.nats_seed("gateway"))
    client = await connect(settings, name="gateway")
    yield RpcClient(client)
    await client.close()


async def publish(client, count: int, size: int = 40) -> None:
    for number in range(count):
        body = {"type": "thing_made", "tenant": "a", "data": {"x": os.urandom(size).hex()}}
        await client.jetstream().publish(f"evt.test.thing.{number}.thing_made", orjson.dumps(body))


async def take(rpc, kind="full"):
    made = await rpc.call(requests.CREATE, requests.CreateBackup(type=kind), ADMIN)
    assert made.backup_id.startswith("bkp_")

    async def ended():
        found = await rpc.call(requests.SHOW, requests.BackupName(backup_id=made.backup_id), ADMIN)
        return found if found.state != "running" else None

    return await wait_until(ended)


async def run_restore(rpc, **body):
    made = await rpc.call(requests.CREATE_RESTORE, requests.CreateRestore(**body), ADMIN)

    async def ended():
        found = await rpc.call(requests.SHOW_RESTORE, requests.RestoreName(restore_id=made.restore_id), ADMIN)
        return found if found.state != "running" else None

    return await wait_until(ended)


async def list_event_types(client) -> list[str]:
    return [stored.event.type for stored in await EventLog(client, "EVENTS-1").read("evt.backup.>")]


async def has_stream(client, name: str) -> bool:
    return name in {info.config.name for info in await client.jetstream().streams_info()}


async def test_take_verify_plan_restore_and_what_is_said_of_it(service, rpc, tester):
    await publish(tester, 40)
    full = await take(rpc)
    assert (full.state, full.type, full.progress, full.parent) == ("completed", "full", 1.0, None)
    assert full.streams["EVENTS"].model_dump() == {"first": 1, "last": 40}
    assert full.bytes > full.compressed_bytes > 0
    await publish(tester, 5)
    increment = await take(rpc, "incremental")
    assert (increment.type, increment.parent) == ("incremental", full.backup_id)
    report = await rpc.call(requests.VERIFY, requests.BackupName(backup_id=increment.backup_id), ADMIN)
    assert report.ok
    assert report.checked_objects > 3
    planned = await run_restore(rpc, sequence=38)
    assert planned.state == "planned"
    assert planned.plan.removes.by_type["thing_made"] == 7
    restored = await run_restore(rpc, sequence=38, into="look-back", dry_run=False)
    assert (restored.state, restored.target.sequence, restored.error) == ("completed", 38, None)
    assert restored.progress.messages == restored.progress.messages_total == 38
    assert (await tester.jetstream().stream_info("look-back")).state.last_seq == 38
    status = await rpc.call(requests.STATUS, requests.FindStatus(), ADMIN)
    assert status.last_backup == increment.backup_id
    assert status.rpo_seconds < 60
    assert status.rto_seconds < 60
    assert status.last_verified
    wanted = ["backup_completed", "backup_verified", "restore_started", "restore_completed"]

    async def all_said():
        return await list_event_types(tester) == wanted

    await wait_until(all_said)


async def test_the_rest_of_the_questions(service, rpc, tester):
    await publish(tester, 5)
    full, increment = await take(rpc), await take(rpc, "incremental")
    page = await rpc.call(requests.LIST, requests.ListBackups(limit=1), ADMIN)
    assert [item.backup_id for item in page.items] == [increment.backup_id]
    page = await rpc.call(requests.LIST, requests.ListBackups(limit=1, cursor=page.next_cursor), ADMIN)
    assert [item.backup_id for item in page.items] == [full.backup_id]
    assert page.next_cursor is None
    name = requests.BackupName(backup_id=full.backup_id)
    with pytest.raises(AppError, match="follows this backup"):
        await rpc.call(requests.DELETE, name, ADMIN)
    await rpc.call(requests.DELETE, requests.BackupName(backup_id=increment.backup_id), ADMIN)
    await rpc.call(requests.DELETE, name, ADMIN)
    assert list((service.folder / "backups" / "objects").iterdir()) == []
    for operation, body in (
        (requests.SHOW, name),
        (requests.VERIFY, name),
        (requests.DELETE, name),
        (requests.SHOW_RESTORE, requests.RestoreName(restore_id="rst_none")),
        (requests.CANCEL_RESTORE, requests.RestoreName(restore_id="rst_none")),
        (requests.CREATE_RESTORE, requests.CreateRestore(backup_id="bkp_none")),
    ):
        with pytest.raises(AppError) as caught:
            await rpc.call(operation, body, ADMIN)
        assert caught.value.category is Category.NOT_FOUND
    assert (await rpc.call(requests.LIST_RESTORES, requests.ListRestores(), ADMIN)).items == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"sequence": 2, "dry_run": False}, (Category.CONFLICT, "not part of this version")),
        ({"sequence": 2, "dry_run": False, "confirm": "EVENTS"}, (Category.CONFLICT, "not part of this version")),
        ({"sequence": 99}, (Category.INVALID, "covers sequence 99")),
        ({"sequence": 1, "backup_id": "x"}, (Category.INVALID, "exactly one")),
        ({}, (Category.INVALID, "exactly one")),
        ({"sequence": 2, "stream": "EXTERNAL"}, (Category.INVALID, "no stream EXTERNAL")),
        ({"sequence": 2, "into": "EVENTS-2", "dry_run": False}, (Category.INVALID, "streams of the house")),
        ({"sequence": 2, "into": "EVENTS-1", "dry_run": False}, (Category.INVALID, "streams of the house")),
    ],
)
async def test_restores_that_cannot_be(service, rpc, tester, body, expected):
    await publish(tester, 3)
    await take(rpc)
    category, sentence = expected
    with pytest.raises(AppError, match=sentence) as caught:
        await rpc.call(requests.CREATE_RESTORE, requests.CreateRestore(**body), ADMIN)
    assert caught.value.category is category


@pytest.mark.parametrize("point", ["backup.mid_segment", "backup.before_manifest"])
async def test_a_crash_while_a_backup_is_taken_leaves_no_recovery_point(service, rpc, tester, point):
    service.stop()
    await service.start(FAILPOINTS=f"{point}=kill@1")
    await publish(tester, 60)
    made = await rpc.call(requests.CREATE, requests.CreateBackup(), ADMIN)
    await wait_until(service.has_died)
    await service.start()
    found = await rpc.call(requests.SHOW, requests.BackupName(backup_id=made.backup_id), ADMIN)
    assert (found.state, found.sha256) == ("failed", None)
    assert list((service.folder / "backups" / "objects").glob("*")) == [], "what it had written is gone"
    assert (await take(rpc)).state == "completed"
    with pytest.raises(AppError, match="nothing to verify"):
        await rpc.call(requests.VERIFY, requests.BackupName(backup_id=made.backup_id), ADMIN)


async def test_a_crash_in_a_restore_leaves_no_stream(service, rpc, tester):
    await publish(tester, 40, size=20_000)
    await take(rpc)
    service.stop()
    await service.start(FAILPOINTS="restore.mid=kill@35")
    body = requests.CreateRestore(sequence=40, into="partial", dry_run=False)
    made = await rpc.call(requests.CREATE_RESTORE, body, ADMIN)
    await wait_until(service.has_died)
    assert await has_stream(tester, "partial"), "a partial stream is live until the service is back"
    await service.start()
    found = await rpc.call(requests.SHOW_RESTORE, requests.RestoreName(restore_id=made.restore_id), ADMIN)
    assert (found.state, found.error) == ("failed", "the service stopped while it ran")
    assert not await has_stream(tester, "partial")


async def test_a_cancelled_restore_leaves_no_stream(service, rpc, tester):
    service.stop()
    await service.start(FAILPOINTS="restore.mid=sleep:2@1")
    await publish(tester, 200, size=20_000)
    await take(rpc)
    body = requests.CreateRestore(sequence=200, into="unwanted", dry_run=False)
    made = await rpc.call(requests.CREATE_RESTORE, body, ADMIN)
    found = await rpc.call(requests.CANCEL_RESTORE, requests.RestoreName(restore_id=made.restore_id), ADMIN)
    assert found.state == "cancelled"
    assert not await has_stream(tester, "unwanted")
    with pytest.raises(AppError, match="cancelled already"):
        await rpc.call(requests.CANCEL_RESTORE, requests.RestoreName(restore_id=made.restore_id), ADMIN)


async def test_the_index_is_rebuilt_from_the_folder(service, other_database_url, rpc, tester):
    await publish(tester, 10)
    full, increment = await take(rpc), await take(rpc, "incremental")
    service.stop()
    await service.start(DATABASE_URL=other_database_url)
    page = await rpc.call(requests.LIST, requests.ListBackups(), ADMIN)
    assert {item.backup_id for item in page.items} == {full.backup_id, increment.backup_id}
    found = await rpc.call(requests.SHOW, requests.BackupName(backup_id=increment.backup_id), ADMIN)
    assert (found.sha256, found.streams, found.parent) == (increment.sha256, increment.streams, increment.parent)


async def test_a_wrong_key_is_a_clear_refusal(service, rpc, tester):
    await publish(tester, 3)
    full = await take(rpc)
    service.stop()
    await service.start(BACKUP_KEY=base64.urlsafe_b64encode(b"x" * 32).decode())
    report = await rpc.call(requests.VERIFY, requests.BackupName(backup_id=full.backup_id), ADMIN)
    assert (report.ok, report.reason) == (False, "the manifest was written under another BACKUP_KEY")
    with pytest.raises(AppError, match="another BACKUP_KEY"):
        await rpc.call(requests.CREATE_RESTORE, requests.CreateRestore(backup_id=full.backup_id), ADMIN)


async def test_it_backs_up_by_itself_and_skips_its_own_events(service, rpc, tester):
    service.stop()
    await service.start(BACKUP_INCREMENTAL_SECONDS="0.2")
    await publish(tester, 3)

    async def covers(last: int):
        page = await rpc.call(requests.LIST, requests.ListBackups(state="completed"), ADMIN)
        return page.items if page.items and page.items[0].streams["EVENTS"].last >= last else None

    await wait_until(lambda: covers(3))
    status = await rpc.call(requests.STATUS, requests.FindStatus(), ADMIN)
    before = await covers(3)

    async def moved_on():
        found = await rpc.call(requests.STATUS, requests.FindStatus(), ADMIN)
        return found.next_run > status.next_run if status.next_run and found.next_run else None

    await wait_until(moved_on)
    assert len(await covers(3)) <= len(before) + 1
    assert (await rpc.call(requests.STATUS, requests.FindStatus(), ADMIN)).rpo_seconds < 5


def test_a_bad_key_is_said_at_once():
    environment = os.environ | {"PORT": "1", "SERVICE_TOKEN": "t" * 32, "BACKUP_DIR": "x", "BACKUP_KEY": "short"}
    done = subprocess.run(
        [sys.executable, "-m", "services.backup", "--check-config"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert "BACKUP_KEY" in done.stderr
    assert "short" not in done.stderr

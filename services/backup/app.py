"""The parts of backup and how they are joined."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from faststream.asgi import AsgiFastStream

from services.backup.backup_jobs import BackupJobs
from services.backup.backup_take import BackupTaker
from services.backup.backup_verify import Verifier
from services.backup.catalogue import Catalogue
from services.backup.commands import BackupCommands
from services.backup.contract import requests
from services.backup.queries import BackupQueries, StatusQuery
from services.backup.reader import StreamReader, connect_raw
from services.backup.restore_commands import RestoreCommands
from services.backup.restore_plan import RestorePlanner
from services.backup.restore_run import RestoreRunner
from services.backup.schedule import Schedule
from services.backup.sealing import derive_keys
from services.backup.settings import Settings
from services.backup.store import BackupStore
from services.backup.targets.local import LocalTarget
from services.backup.writer_lock import WriterLock
from shared.bus import EventLog, wait_for_stream
from shared.clock import SystemClock
from shared.errors import AppError
from shared.service import Frame

log = structlog.get_logger(__name__)
_ANNOUNCE_SECONDS = 5.0


def build_app(settings: Settings) -> AsgiFastStream:
    """Return the service."""
    frame = Frame("backup", settings, __file__)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with frame.open():
            raw = await connect_raw(settings)
            parts = await _build_parts(frame, settings, StreamReader(raw))
            parts.serve(frame)
            frame.serve_projections()
            frame.run(_announce(parts.store))
            parts.commands.tasks.start("schedule", parts.schedule.run())
            yield
            await parts.close()
            await raw.close()

    return frame.build_app(lifespan)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What the service is made of while it runs."""

    store: BackupStore
    commands: BackupCommands
    restores: RestoreCommands
    queries: BackupQueries
    schedule: Schedule
    status: StatusQuery
    lock: WriterLock

    def serve(self, frame: Frame) -> None:
        """Answer requests."""
        for operation, handler in (
            (requests.CREATE, self.commands.create),
            (requests.LIST, self.queries.list),
            (requests.SHOW, self.queries.show),
            (requests.DELETE, self.commands.delete),
            (requests.VERIFY, self.commands.verify),
            (requests.STATUS, self.status.status),
            (requests.CREATE_RESTORE, self.restores.create),
            (requests.LIST_RESTORES, self.queries.list_restores),
            (requests.SHOW_RESTORE, self.queries.show_restore),
            (requests.CANCEL_RESTORE, self.restores.cancel),
        ):
            frame.serve(operation, handler)

    async def close(self) -> None:
        """End what runs, then give the writer's lock back."""
        await self.restores.tasks.stop()
        await self.commands.tasks.stop()
        await self.lock.release()


async def _build_parts(frame: Frame, settings: Settings, reader: StreamReader) -> _Parts:
    """Return the parts, as the writer, with everything that a process before this one left undone put right."""
    clock = SystemClock()
    log_of_events = EventLog(frame.client, await wait_for_stream(frame.client, "evt.>"))
    store = BackupStore(frame.pool, log_of_events, clock)
    lock = WriterLock(frame.pool)
    await lock.wait()
    catalogue = Catalogue(
        LocalTarget(settings.backup_dir),
        derive_keys(settings.read_key()),
        compress=settings.enable_backup_compression,
        encrypt=settings.enable_backup_encryption,
    )
    taker = BackupTaker(reader, catalogue, clock, segment_bytes=settings.backup_segment_bytes)
    jobs = BackupJobs(taker, catalogue, store, lock, clock)
    queries = BackupQueries(store, clock)
    planner = RestorePlanner(catalogue, reader)
    runner = RestoreRunner(frame.client, reader, planner)
    restores = RestoreCommands(planner, runner, store=store, queries=queries, lock=lock, clock=clock)
    commands = BackupCommands(jobs, Verifier(catalogue), store, queries, clock)
    await jobs.recover()
    await restores.recover()
    schedule = Schedule(jobs, commands, store, clock, settings)
    status = StatusQuery(store, jobs, schedule, clock)
    return _Parts(
        store=store, commands=commands, restores=restores, queries=queries, schedule=schedule, status=status, lock=lock
    )


async def _announce(store: BackupStore) -> None:
    """Send noted events to the stream until cancelled; what cannot be sent now is tried again."""
    while True:
        try:
            await store.announce()
        except AppError as error:
            log.warning("events wait for the stream", reason=error.public)
        except Exception:  # an edge that must not die: events would wait for ever
            log.exception("events wait for the next try")
        await store.wait_for_announcements(_ANNOUNCE_SECONDS)

"""Restores: planned first, run into a scratch stream, cancelled at any moment; no partial stream is left."""

import asyncio
import time

import structlog

from services.backup import metrics
from services.backup.backup_jobs import SERVICE
from services.backup.commands import Tasks
from services.backup.contract import events
from services.backup.contract.requests import (
    CreateRestore,
    RestoreName,
    RestoreProgress,
    RestoreResource,
    RestoreTarget,
)
from services.backup.errors import ReadError, RestoreError, busy, promotion_missing
from services.backup.queries import BackupQueries
from services.backup.restore_job import ProgressReport, RestoreJob
from services.backup.restore_plan import RestorePlanner, Selection
from services.backup.restore_run import RestoreRunner, check_name
from services.backup.store import BackupStore
from services.backup.writer_lock import WriterLock
from shared.bus import Caller
from shared.clock import Clock
from shared.errors import AppError, conflict, invalid

log = structlog.get_logger(__name__)
_MOST_RUNNING = 4
_PREFIX = "rst_"
_PLAN_WAIT_SECONDS = 5.0
_MOMENTS = ("backup_id", "point_in_time", "sequence")


class RestoreCommands:
    """The commands of restores."""

    def __init__(
        self,
        planner: RestorePlanner,
        runner: RestoreRunner,
        *,
        store: BackupStore,
        queries: BackupQueries,
        lock: WriterLock,
        clock: Clock,
    ) -> None:
        self._planner = planner
        self._runner = runner
        self._store = store
        self._queries = queries
        self._writer = lock
        self._clock = clock
        self._cancelling: set[str] = set()
        self.tasks = Tasks()

    async def recover(self) -> None:
        """End what a process before this one began: such restores failed, and their scratch streams go."""
        for row in await self._store.fetch("restore_list_running"):
            if row["into_stream"] and not row["dry_run"]:
                await self._runner.discard(row["restore_id"], row["into_stream"])
            job = RestoreJob(
                restore_id=row["restore_id"], dry_run=row["dry_run"], into=row["into_stream"],
                backup_id=row["backup_id"], target=RestoreTarget.model_validate(row["target"]),
            )  # fmt: skip
            await self._finish(job, "failed", "the service stopped while it ran", SERVICE)

    async def create(self, body: CreateRestore, caller: Caller) -> RestoreResource:
        """Plan a restore (dry_run), or begin one into a scratch stream.

        Raises invalid for a moment that is not covered, conflict for a live restore or a name that exists, in_progress.
        """
        if caller.seed and await self._store.find("restore_find", caller.new_id(_PREFIX)):
            return await self._queries.find_restore(caller.new_id(_PREFIX))
        given = [name for name in _MOMENTS if getattr(body, name) is not None]
        if len(given) != 1:
            raise invalid(
                "give exactly one of backup_id, point_in_time and sequence", field=given[1] if given else "backup_id"
            )
        if not body.dry_run and body.into is None:
            raise promotion_missing()
        if len(self.tasks) >= _MOST_RUNNING:
            raise busy("A restore")
        selection = await self._select(body)
        job = RestoreJob(
            restore_id=caller.new_id(_PREFIX), dry_run=body.dry_run, into=body.into,
            backup_id=selection.backup_id, target=selection.describe(),
        )  # fmt: skip
        progress = RestoreProgress(messages_total=selection.messages).model_dump()
        arguments = (job.restore_id, job.dry_run, job.target.model_dump(), job.into, job.backup_id, progress)
        await self._store.execute("restore_insert", *arguments, self._clock.now())
        task = self.tasks.start(job.restore_id, self._run(job, selection, caller))
        if body.dry_run:
            await asyncio.wait([task], timeout=_PLAN_WAIT_SECONDS)
        return await self._queries.find_restore(job.restore_id)

    async def _select(self, body: CreateRestore) -> Selection:
        try:
            if body.into:
                check_name(body.into)
                await self._runner.check_free(body.into)
            rows = await self._store.fetch("backup_list_completed")
            return await self._planner.select(body, [row["backup_id"] for row in rows])
        except (RestoreError, ReadError) as error:
            raise conflict(f"The restore cannot begin: {error}.") from error

    async def cancel(self, body: RestoreName, _: Caller) -> RestoreResource:
        """Cancel a restore; when this returns its scratch stream is gone. Raises not_found, conflict when it ended."""
        found = await self._queries.find_restore(body.restore_id)
        self._cancelling.add(body.restore_id)
        try:
            if found.state != "running" or not await self.tasks.cancel(body.restore_id):
                raise conflict(f"The restore is {found.state} already.")
        finally:
            self._cancelling.discard(body.restore_id)
        return await self._queries.find_restore(body.restore_id)

    async def _run(self, job: RestoreJob, selection: Selection, caller: Caller) -> None:
        state, reason = "failed", "something unforeseen went wrong; the log says what"
        try:
            state, reason = await self._work(job, selection, caller), ""
        except asyncio.CancelledError:
            was_asked = job.restore_id in self._cancelling
            state, reason = ("cancelled", "") if was_asked else ("failed", "the service stopped while it ran")
            raise
        except (RestoreError, ReadError) as error:
            reason = str(error)
        except AppError as error:
            reason = error.public
        except Exception:  # an edge that must not die: the row would say running for ever
            log.exception("a restore failed", restore_id=job.restore_id)
        finally:
            await self._finish(job, state, reason or None, caller)

    async def _work(self, job: RestoreJob, selection: Selection, caller: Caller) -> str:
        if job.dry_run:
            plan = await self._planner.compare(selection)
            await self._store.execute("restore_set_plan", job.restore_id, plan.model_dump())
            return "planned"
        await self._writer.check()
        await self._store.change([], ("restore", job.restore_id, events.RESTORE_STARTED.name, job.describe()), caller)
        started = time.monotonic()
        report = ProgressReport(self._store, job.restore_id, selection.messages)
        await self._runner.run(job.restore_id, str(job.into), selection, report.note)
        await report.save()
        metrics.RESTORE_SECONDS.set(time.monotonic() - started)
        return "completed"

    async def _finish(self, job: RestoreJob, state: str, reason: str | None, caller: Caller) -> None:
        change = ("restore_finish", (job.restore_id, state, reason, self._clock.now()))
        if job.dry_run:
            await self._store.change([change], None, caller)
            return
        metrics.RESTORES.labels(state).inc()
        await self._store.change(
            [change], ("restore", job.restore_id, f"restore_{state}", job.describe(reason)), caller
        )

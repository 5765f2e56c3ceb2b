"""What backup can be told to do: take, delete, verify."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from services.backup import metrics
from services.backup.backup_jobs import BackupJobs
from services.backup.backup_take import Order
from services.backup.backup_verify import Verifier
from services.backup.contract.events import BACKUP_VERIFIED, BackupVerified
from services.backup.contract.requests import (
    BackupDeleted,
    BackupName,
    BackupResource,
    CreateBackup,
    VerifyReport,
)
from services.backup.errors import busy
from services.backup.queries import BackupQueries
from services.backup.store import BackupStore
from shared.bus import Caller
from shared.clock import Clock
from shared.errors import conflict, not_found

_MOST_WAITING = 8
_PREFIX = "bkp_"


class Tasks:
    """Work that outlives its request, by id; cancelled when the service stops."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, task_id: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run some work under an id."""
        task = asyncio.create_task(work)
        self._tasks[task_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(task_id, None))
        return task

    async def cancel(self, task_id: str) -> bool:
        """Cancel some work and wait until it ended; say whether it ran here."""
        task = self._tasks.get(task_id)
        if task is None:
            return False
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return True

    async def stop(self) -> None:
        """Cancel everything and wait until it ended."""
        for task_id in list(self._tasks):
            await self.cancel(task_id)


class BackupCommands:
    """The commands of backups."""

    def __init__(
        self, jobs: BackupJobs, verifier: Verifier, store: BackupStore, queries: BackupQueries, clock: Clock
    ) -> None:
        self._jobs = jobs
        self._verifier = verifier
        self._store = store
        self._queries = queries
        self._clock = clock
        self.tasks = Tasks()

    async def create(self, body: CreateBackup, caller: Caller) -> BackupResource:
        """Begin a backup and answer at once, under an Idempotency-Key only once. Raises in_progress when too many wait."""
        if caller.seed and await self._store.find("backup_find", caller.new_id(_PREFIX)):
            return await self._queries.find(caller.new_id(_PREFIX))
        if len(self.tasks) >= _MOST_WAITING:
            raise busy("A backup")
        order = await self._note(body, caller)
        self.tasks.start(order.backup_id, self._jobs.run(order, caller))
        return await self._queries.find(order.backup_id)

    async def take(self, body: CreateBackup, caller: Caller) -> None:
        """Take a backup and wait until it ended."""
        await self._jobs.run(await self._note(body, caller), caller)

    async def _note(self, body: CreateBackup, caller: Caller) -> Order:
        order = Order(
            backup_id=caller.new_id(_PREFIX),
            type=body.type,
            description=body.description,
            created_by=caller.principal,
        )
        arguments = (order.backup_id, order.type, order.description, order.created_by, self._clock.now())
        await self._store.execute("backup_insert", *arguments)
        return order

    async def delete(self, body: BackupName, _: Caller) -> BackupDeleted:
        """Delete a backup. Raises not_found, conflict while it runs or a later one follows it."""
        async with self._jobs.turn:
            found = await self._queries.find(body.backup_id)
            if found.state == "running":
                raise conflict("The backup still runs.")
            child = await self._store.find("backup_find_child", body.backup_id)
            if child:
                raise conflict(f"{child['backup_id']} follows this backup and needs it; delete that one first.")
            return BackupDeleted(objects=await self._jobs.delete(body.backup_id))

    async def verify(self, body: BackupName, caller: Caller) -> VerifyReport:
        """Read a recovery point back and compare it with what was written. Raises not_found, conflict when it is none."""
        row = await self._store.find("backup_find", body.backup_id)
        if row is None:
            raise not_found("backup")
        if row["state"] != "completed":
            raise conflict(f"The backup is {row['state']}: there is nothing to verify.")
        report = await self._verifier.verify(body.backup_id, row["sha256"])
        data = BackupVerified(backup_id=body.backup_id, **report.model_dump())
        changes = [("backup_set_verified", (body.backup_id, self._clock.now()))] if report.ok else []
        await self._store.change(changes, ("backup", body.backup_id, BACKUP_VERIFIED.name, data), caller)
        metrics.VERIFIED.labels("ok" if report.ok else "damaged").inc()
        return report

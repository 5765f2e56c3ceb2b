"""Backups by themselves: an incremental every so many seconds when there is something new, a full every so many hours."""

import asyncio
from datetime import datetime, timedelta

import structlog

from services.backup.backup_jobs import SERVICE, BackupJobs
from services.backup.commands import BackupCommands
from services.backup.contract.requests import CreateBackup
from services.backup.domain import BackupType
from services.backup.errors import ReadError
from services.backup.settings import Settings
from services.backup.store import BackupStore
from shared.clock import Clock
from shared.errors import AppError

log = structlog.get_logger(__name__)
_DESCRIPTION = "by schedule"


class Schedule:
    """Decides when the next backup runs; `next_run` is None when none runs by itself."""

    def __init__(
        self, jobs: BackupJobs, commands: BackupCommands, store: BackupStore, clock: Clock, settings: Settings
    ) -> None:
        self._jobs = jobs
        self._commands = commands
        self._store = store
        self._clock = clock
        self._settings = settings
        self.next_run: datetime | None = None

    async def run(self) -> None:
        """Run until cancelled; what fails is tried again at the next turn."""
        seconds = self._settings.backup_incremental_seconds
        while seconds:
            try:
                await self._take_turn()
            except (ReadError, AppError) as error:
                log.warning("a scheduled backup waits for the next turn", reason=str(error))
            except Exception:  # an edge that must not die: backups would end in silence
                log.exception("a scheduled backup waits for the next turn")
            self.next_run = self._clock.now() + timedelta(seconds=seconds)
            await asyncio.sleep(seconds)

    async def _take_turn(self) -> None:
        kind = await self._find_due()
        if kind is None:
            return
        await self._commands.take(CreateBackup(type=kind, description=_DESCRIPTION), SERVICE)
        if kind == "full":
            await self._jobs.expire(self._settings.backup_retention_days)

    async def _find_due(self) -> BackupType | None:
        rows = await self._store.fetch("backup_list_completed")
        newest_full = next((row["covered_at"] for row in rows if row["type"] == "full"), None)
        bound = self._clock.now() - timedelta(hours=self._settings.backup_full_hours)
        if newest_full is None or newest_full < bound:
            return "full"
        return "incremental" if await self._jobs.needs_one() else None

"""A restore while it runs, and the note of how far it is."""

import time
from dataclasses import dataclass

from services.backup.contract.events import RestoreChanged
from services.backup.contract.requests import RestoreProgress, RestoreTarget
from services.backup.store import BackupStore

_REPORT_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreJob:
    """A restore while it runs."""

    restore_id: str
    dry_run: bool
    into: str | None
    backup_id: str | None
    target: RestoreTarget

    def describe(self, reason: str | None = None) -> RestoreChanged:
        """Return the data of its events."""
        return RestoreChanged(
            restore_id=self.restore_id,
            backup_id=self.backup_id,
            stream=self.target.stream,
            sequence=self.target.sequence,
            into=self.into,
            reason=reason,
        )


class ProgressReport:
    """Keeps a restore's progress in the index, twice a second at most."""

    def __init__(self, store: BackupStore, restore_id: str, total: int) -> None:
        self._store = store
        self._restore_id = restore_id
        self._total = total
        self._phase, self._since = "", 0.0
        self._saved_at = 0.0
        self._progress = RestoreProgress(messages_total=total)

    async def note(self, phase: str, messages: int, size: int) -> None:
        """Take note of how far a phase is."""
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._since, self._saved_at = phase, now, 0.0
        left = (now - self._since) * (self._total - messages) / messages if messages else None
        self._progress = RestoreProgress(
            messages=messages,
            messages_total=self._total,
            bytes=size,
            eta_seconds=round(left, 1) if left is not None else None,
        )
        if now - self._saved_at >= _REPORT_SECONDS:
            self._saved_at = now
            await self.save()

    async def save(self) -> None:
        """Write it down."""
        phase = self._phase or "verify"
        await self._store.execute("restore_set_progress", self._restore_id, phase, self._progress.model_dump())

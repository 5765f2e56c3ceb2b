"""The domain events of backup. A published class never changes; a new version gets an upcaster (docs/CONTRIBUTING)."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from shared.envelope import Catalogue, EventType

SOURCE = "/gatehouse/backup"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class BackupCompleted(_Data):
    """Data of `backup_completed`; `streams` is {name: {first, last}}, sizes in bytes."""

    backup_id: str
    type: Literal["full", "incremental"]
    streams: dict[str, dict[str, int]]
    bytes: int
    compressed_bytes: int
    sha256: str


class BackupFailed(_Data):
    """Data of `backup_failed`."""

    backup_id: str
    type: Literal["full", "incremental"]
    reason: str


class BackupVerified(_Data):
    """Data of `backup_verified`: `first_bad` names the first object that is not as it was written."""

    backup_id: str
    ok: bool
    checked_objects: int
    first_bad: str | None
    reason: str | None


class RestoreChanged(_Data):
    """Data of the restore events; `sequence` is the last one that the restore brings."""

    restore_id: str
    backup_id: str | None
    stream: str
    sequence: int | None
    into: str | None
    reason: str | None = None


def _type(name: str, model: type[BaseModel], severity: str, description: str) -> EventType:
    settings: dict[str, Any] = {"category": "system", "severity": severity, "description": description}
    return EventType(name=name, model=model, **settings)


BACKUP_COMPLETED = _type("backup_completed", BackupCompleted, "low", "A recovery point was written.")
BACKUP_FAILED = _type("backup_failed", BackupFailed, "critical", "A backup could not be taken.")
BACKUP_VERIFIED = _type("backup_verified", BackupVerified, "low", "A recovery point was read back and compared.")
RESTORE_STARTED = _type("restore_started", RestoreChanged, "high", "A restore began.")
RESTORE_COMPLETED = _type("restore_completed", RestoreChanged, "high", "A restore ended, and equals its backup.")
RESTORE_FAILED = _type("restore_failed", RestoreChanged, "critical", "A restore failed, and left no stream behind.")
RESTORE_CANCELLED = _type(
    "restore_cancelled", RestoreChanged, "low", "A restore was cancelled, and left no stream behind."
)

EVENTS = (
    BACKUP_COMPLETED, BACKUP_FAILED, BACKUP_VERIFIED, RESTORE_STARTED, RESTORE_COMPLETED, RESTORE_FAILED, RESTORE_CANCELLED,
)  # fmt: skip
CATALOGUE = Catalogue(EVENTS)

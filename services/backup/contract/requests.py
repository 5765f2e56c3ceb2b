"""What backup can be asked to do, and what it answers (http-api.md, http-examples.md). Sizes in bytes."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from shared.bus import Operation

BackupType = Literal["full", "incremental"]
BackupState = Literal["running", "completed", "failed"]
RestoreState = Literal["planned", "running", "completed", "failed", "cancelled"]
StreamName = Literal["EVENTS", "TRAFFIC", "EXTERNAL"]
VERIFY_TIMEOUT_SECONDS = 55.0


def _check_text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold a zero byte")
    return value


Text = Annotated[str, StringConstraints(max_length=500), AfterValidator(_check_text)]
Id = Annotated[str, StringConstraints(max_length=100), AfterValidator(_check_text)]
Cursor = Annotated[str, StringConstraints(max_length=500)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CreateBackup(_Body):
    """POST /api/backups."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"type": "full", "description": "by hand"}]}
    )
    type: BackupType = "full"
    description: Text = ""


class Range(BaseModel):
    """The sequences that a recovery point covers, deleted ones included; `last` < `first` when there are none."""

    first: int
    last: int


class BackupResource(BaseModel):
    """A backup; `progress` from 0 to 1, `error` says why it failed."""

    backup_id: str
    type: BackupType
    state: BackupState
    description: str
    created_at: str
    completed_at: str | None
    streams: dict[str, Range]
    bytes: int
    compressed_bytes: int
    sha256: str | None
    verified_at: str | None
    parent: str | None
    progress: float
    error: str | None = None


class ListBackups(_Body):
    """GET /api/backups."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Cursor | None = None
    order: Literal["asc", "desc"] = "desc"
    state: BackupState | None = None
    type: BackupType | None = None


class BackupPage(BaseModel):
    """A page of backups."""

    items: list[BackupResource]
    next_cursor: str | None


class BackupName(_Body):
    """One backup by id."""

    backup_id: Id


class BackupDeleted(BaseModel):
    """A backup is gone, with the objects that only it named."""

    objects: int


class VerifyReport(BaseModel):
    """What verifying found: the first object or manifest that is not as it was written, and how."""

    ok: bool
    checked_objects: int
    first_bad: str | None = None
    reason: str | None = None


class FindStatus(_Body):
    """GET /api/backups/status."""


class Drill(BaseModel):
    """The last drill."""

    at: str
    passed: bool
    rto_seconds: float


class BackupStatus(BaseModel):
    """Measured, never guessed: seconds since everything was covered, and what the last restore took."""

    rpo_seconds: float | None
    rto_seconds: float | None
    last_backup: str | None
    last_verified: str | None
    last_drill: Drill | None
    next_run: str | None


class CreateRestore(_Body):
    """POST /api/restores: to exactly one of backup_id, point_in_time, sequence; `into` names a scratch stream."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"sequence": 900, "dry_run": True}]})
    backup_id: Id | None = None
    point_in_time: AwareDatetime | None = None
    sequence: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    stream: StreamName = "EVENTS"
    into: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,60}$")] | None = None
    dry_run: bool = True
    confirm: Annotated[str, StringConstraints(max_length=100)] | None = None


class RestoreTarget(BaseModel):
    """The moment that is restored: the last sequence, and its message's time."""

    stream: str
    sequence: int | None
    time: str | None


class RestoreProgress(BaseModel):
    """How far a restore is."""

    messages: int = 0
    messages_total: int = 0
    bytes: int = 0
    eta_seconds: float | None = None


class Difference(BaseModel):
    """Events that one side has and the other has not, counted by type and by tenant."""

    total: int = 0
    by_type: dict[str, int] = {}
    by_tenant: dict[str, int] = {}


class ProjectionDifference(BaseModel):
    """How many rows of a projection a restore would change."""

    rows_changed: int


class RestorePlan(BaseModel):
    """What a restore to the moment takes from the live stream, and what it brings back to it."""

    removes: Difference
    brings_back: Difference
    projections: dict[str, ProjectionDifference] = {}


class RestoreResource(BaseModel):
    """A restore; phase: plan, read, restore, verify."""

    restore_id: str
    state: RestoreState
    phase: str
    dry_run: bool
    target: RestoreTarget
    into: str | None
    backup_id: str | None
    progress: RestoreProgress
    plan: RestorePlan | None
    error: str | None
    created_at: str
    completed_at: str | None


class ListRestores(_Body):
    """GET /api/restores."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Cursor | None = None
    order: Literal["asc", "desc"] = "desc"
    state: RestoreState | None = None


class RestorePage(BaseModel):
    """A page of restores."""

    items: list[RestoreResource]
    next_cursor: str | None


class RestoreName(_Body):
    """One restore by id."""

    restore_id: Id


CREATE = Operation("rpc.backup.create", CreateBackup, BackupResource, creates=True)
LIST = Operation("rpc.backup.list", ListBackups, BackupPage)
SHOW = Operation("rpc.backup.show", BackupName, BackupResource)
DELETE = Operation("rpc.backup.delete", BackupName, BackupDeleted, timeout_seconds=30)
VERIFY = Operation("rpc.backup.verify", BackupName, VerifyReport, timeout_seconds=VERIFY_TIMEOUT_SECONDS)
STATUS = Operation("rpc.backup.status", FindStatus, BackupStatus)
CREATE_RESTORE = Operation(
    "rpc.backup.create_restore", CreateRestore, RestoreResource, timeout_seconds=30, creates=True
)
LIST_RESTORES = Operation("rpc.backup.list_restores", ListRestores, RestorePage)
SHOW_RESTORE = Operation("rpc.backup.show_restore", RestoreName, RestoreResource)
CANCEL_RESTORE = Operation("rpc.backup.cancel_restore", RestoreName, RestoreResource, timeout_seconds=30)

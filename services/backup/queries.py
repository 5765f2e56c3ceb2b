"""What backup can be asked: pages by keyset, and what was measured."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import asyncpg
import orjson

from services.backup.contract.requests import (
    BackupName,
    BackupPage,
    BackupResource,
    BackupStatus,
    FindStatus,
    ListBackups,
    ListRestores,
    RestoreName,
    RestorePage,
    RestoreResource,
)
from services.backup.store import BackupStore
from shared.bus import Caller
from shared.clock import Clock, format_time
from shared.errors import invalid, not_found


class Measured(Protocol):
    """Who knows up to which moment everything is covered."""

    covered_at: datetime | None


class Scheduled(Protocol):
    """Who knows when the next backup runs."""

    next_run: datetime | None


def _time_or_none(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def present_backup(row: asyncpg.Record) -> BackupResource:
    """Return the backup as callers see it."""
    times = {name: _time_or_none(row[name]) for name in ("created_at", "completed_at", "verified_at")}
    return BackupResource.model_validate({**dict(row), **times})


def present_restore(row: asyncpg.Record) -> RestoreResource:
    """Return the restore as callers see it."""
    times = {name: _time_or_none(row[name]) for name in ("created_at", "completed_at")}
    document = {**dict(row), **times, "into": row["into_stream"]}
    return RestoreResource.model_validate(document)


class BackupQueries:
    """The queries of backups and restores."""

    def __init__(self, store: BackupStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def find(self, backup_id: str) -> BackupResource:
        """Return a backup. Raises not_found."""
        row = await self._store.find("backup_find", backup_id)
        if row is None:
            raise not_found("backup")
        return present_backup(row)

    async def show(self, body: BackupName, _: Caller) -> BackupResource:
        """Return a backup. Raises not_found."""
        return await self.find(body.backup_id)

    async def list(self, body: ListBackups, _: Caller) -> BackupPage:
        """Return a page of backups, newest first unless `order` is asc."""
        after = read_cursor(body.cursor)
        rows = await self._store.fetch(f"backup_list_{body.order}", body.limit + 1, *after, body.state, body.type)
        items = [present_backup(row) for row in rows[: body.limit]]
        return BackupPage(items=items, next_cursor=_write_next(rows, body.limit, "backup_id"))

    async def find_restore(self, restore_id: str) -> RestoreResource:
        """Return a restore. Raises not_found."""
        row = await self._store.find("restore_find", restore_id)
        if row is None:
            raise not_found("restore")
        return present_restore(row)

    async def show_restore(self, body: RestoreName, _: Caller) -> RestoreResource:
        """Return a restore. Raises not_found."""
        return await self.find_restore(body.restore_id)

    async def list_restores(self, body: ListRestores, _: Caller) -> RestorePage:
        """Return a page of restores, newest first unless `order` is asc."""
        after = read_cursor(body.cursor)
        rows = await self._store.fetch(f"restore_list_{body.order}", body.limit + 1, *after, body.state)
        items = [present_restore(row) for row in rows[: body.limit]]
        return RestorePage(items=items, next_cursor=_write_next(rows, body.limit, "restore_id"))


class StatusQuery:
    """What is measured: how much a disaster now would lose, and how long the last restore took."""

    def __init__(self, store: BackupStore, measured: Measured, scheduled: Scheduled, clock: Clock) -> None:
        self._store = store
        self._measured = measured
        self._scheduled = scheduled
        self._clock = clock

    async def status(self, _: FindStatus, __: Caller) -> BackupStatus:
        """Return the figures."""
        completed = await self._store.fetch("backup_list_completed")
        verified = await self._store.find("backup_find_last_verified")
        restored = await self._store.find("restore_find_last_seconds")
        covered_at = self._measured.covered_at
        age = max(0.0, (self._clock.now() - covered_at).total_seconds()) if covered_at else None
        return BackupStatus(
            rpo_seconds=age,
            rto_seconds=restored["seconds"] if restored else None,
            last_backup=completed[0]["backup_id"] if completed else None,
            last_verified=_time_or_none(verified["verified_at"] if verified else None),
            last_drill=None,
            next_run=_time_or_none(self._scheduled.next_run),
        )


def _write_next(rows: Sequence[asyncpg.Record], limit: int, id_name: str) -> str | None:
    if len(rows) <= limit:
        return None
    parts = [rows[limit - 1]["created_at"], rows[limit - 1][id_name]]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def read_cursor(cursor: str | None) -> tuple[datetime | None, str | None]:
    """Return the (time, id) after which a page begins. Raises AppError invalid when it is none of ours."""
    if cursor is None:
        return None, None
    try:
        parts: Any = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        time, item_id = parts
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None or not isinstance(item_id, str) or "\x00" in item_id:
            raise ValueError(cursor)
    except (ValueError, TypeError, binascii.Error) as error:
        raise invalid("cursor is not one of ours", field="cursor") from error
    return moment, item_id

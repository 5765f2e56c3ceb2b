"""Backups as work in progress: one at a time, each ends in a recovery point or in a named failure."""

import asyncio
from datetime import datetime, timedelta

import structlog

from services.backup import metrics
from services.backup.backup_take import BackupTaker, Order, Report
from services.backup.catalogue import Catalogue
from services.backup.contract.events import BACKUP_COMPLETED, BACKUP_FAILED, BackupCompleted, BackupFailed
from services.backup.domain import find_expired
from services.backup.errors import DamagedError, ReadError
from services.backup.manifest import Manifest
from services.backup.store import Announcement, BackupStore, describe_streams, list_manifest_arguments, read_covered_at
from services.backup.writer_lock import WriterLock
from shared.bus import Caller
from shared.clock import Clock, parse_time
from shared.errors import AppError

log = structlog.get_logger(__name__)
SERVICE = Caller(principal="service:backup", permissions=("*",))


class BackupJobs:
    """Takes, expires and indexes backups; `covered_at` is the moment up to which everything is in a recovery point."""

    def __init__(
        self, taker: BackupTaker, catalogue: Catalogue, store: BackupStore, lock: WriterLock, clock: Clock
    ) -> None:
        self._taker = taker
        self._catalogue = catalogue
        self._store = store
        self._writer = lock
        self._clock = clock
        self.turn = asyncio.Lock()
        self.covered_at: datetime | None = None

    async def recover(self) -> None:
        """Bring the index in step with the manifests after a start; backups that were cut off have failed."""
        known = {row["backup_id"] for row in await self._store.fetch("backup_list_completed")}
        for backup_id in await self._catalogue.list_ids():
            if backup_id not in known:
                await self._index(backup_id)
        cut_off = await self._store.fetch("backup_list_running")
        for row in cut_off:
            await self._fail(row["backup_id"], row["type"], "the service stopped while it was taken", SERVICE)
        self._cover(read_covered_at(await self._store.fetch("backup_list_completed")))
        if cut_off:
            await self._remove_orphans()

    async def _index(self, backup_id: str) -> None:
        try:
            manifest, sha256 = await self._catalogue.get_manifest(backup_id)
        except DamagedError as error:
            log.warning("a manifest is no recovery point", backup_id=backup_id, reason=error.reason)
            return
        await self._store.execute("backup_upsert", *list_manifest_arguments(manifest, sha256))

    async def _remove_orphans(self) -> None:
        """Remove objects of backups that were cut off; not while any manifest cannot be read, for it may name them."""
        named: set[str] = set()
        try:
            for backup_id in await self._catalogue.list_ids():
                manifest, _ = await self._catalogue.get_manifest(backup_id)
                named |= {entry.object for entry in manifest.segments}
        except DamagedError:
            return
        for name in await self._catalogue.list_objects():
            if name not in named:
                await self._catalogue.delete_object(name)

    async def run(self, order: Order, caller: Caller) -> None:
        """Take a backup that was noted as running; how it ended stands in the index and, by rule, on the stream."""
        async with self.turn:
            try:
                await self._writer.check()
                parent = await self._find_parent()
                manifest, sha256 = await self._taker.take(order, parent, self._build_report(order))
                await self._complete(manifest, sha256, caller)
            except asyncio.CancelledError:
                await self._fail(order.backup_id, order.type, "the service stopped while it was taken", caller)
                raise
            except Exception as error:  # an edge that must not die: the row would say running for ever
                log.exception("a backup failed", backup_id=order.backup_id)
                await self._fail(order.backup_id, order.type, _explain(error), caller)
            else:  # the recovery point stands, whatever comes of its bookmarks
                await self._taker.put_bookmarks(manifest)

    def _build_report(self, order: Order) -> Report:
        async def report(progress: float) -> None:
            await self._store.execute("backup_set_progress", order.backup_id, progress)

        return report

    async def _find_parent(self) -> Manifest | None:
        """Return the newest recovery point; None when there is none that can be read, and the next must be full."""
        rows = await self._store.fetch("backup_list_completed")
        if not rows:
            return None
        try:
            return (await self._catalogue.get_manifest(rows[0]["backup_id"]))[0]
        except DamagedError as error:
            log.warning("the newest recovery point cannot be followed", object=error.object_name, reason=error.reason)
            return None

    async def _complete(self, manifest: Manifest, sha256: str, caller: Caller) -> None:
        arguments = list_manifest_arguments(manifest, sha256)
        before = await self._store.find("backup_find_last_state", manifest.backup_id)
        is_news = manifest.type == "full" or (before is not None and before["state"] == "failed")
        stored = sum(entry.stored_bytes for entry in manifest.segments)
        data = BackupCompleted(
            backup_id=manifest.backup_id,
            type=manifest.type,
            streams=describe_streams(manifest),
            bytes=sum(entry.bytes for entry in manifest.segments),
            compressed_bytes=stored,
            sha256=sha256,
        )
        event: Announcement = ("backup", manifest.backup_id, BACKUP_COMPLETED.name, data)
        await self._store.change([("backup_upsert", arguments)], event if is_news else None, caller)
        self._cover(parse_time(manifest.covered_at))
        metrics.BACKUPS.labels(manifest.type, "completed").inc()
        metrics.BACKUP_BYTES.inc(stored)

    async def _fail(self, backup_id: str, kind: str, reason: str, caller: Caller) -> None:
        metrics.BACKUPS.labels(kind, "failed").inc()
        data = BackupFailed.model_validate({"backup_id": backup_id, "type": kind, "reason": reason})
        event: Announcement = ("backup", backup_id, BACKUP_FAILED.name, data)
        await self._store.change([("backup_fail", (backup_id, self._clock.now(), reason))], event, caller)

    async def needs_one(self) -> bool:
        """Say whether an incremental has something to bring; when not, everything until now is covered."""
        async with self.turn:
            now = self._clock.now()
            parent = await self._find_parent()
            if parent is None or await self._taker.has_news(parent):
                return True
            self._cover(now)
            return False

    def _cover(self, moment: datetime | None) -> None:
        self.covered_at = moment
        if moment:
            metrics.COVERED_AT.set(moment.timestamp())

    async def expire(self, days: int) -> list[str]:
        """Remove recovery points that nothing kept depends on and that are older than so many days; return their ids."""
        rows = await self._store.fetch("backup_list_completed")
        points = [(row["backup_id"], row["parent"], row["covered_at"]) for row in rows]
        expired = find_expired(points, self._clock.now(), days=days)
        for backup_id in expired:
            await self.delete(backup_id)
        await self._store.execute("backup_delete_failed", self._clock.now() - timedelta(days=days))
        return expired

    async def delete(self, backup_id: str) -> int:
        """Remove a recovery point from target and index; return how many objects went with it."""
        count = 0
        try:
            manifest, _ = await self._catalogue.get_manifest(backup_id)
            count = await self._catalogue.delete_manifest(manifest)
        except DamagedError as error:
            log.warning(
                "its objects stay: the manifest does not say which", object=error.object_name, reason=error.reason
            )
        await self._store.execute("backup_delete", backup_id)
        if newest := await self._find_parent():
            await self._taker.put_bookmarks(newest)  # back to it, when the newest was the one that went
        return count


def _explain(error: Exception) -> str:
    if isinstance(error, DamagedError):
        return f"{error.object_name}: {error.reason}"
    if isinstance(error, AppError):
        return error.public
    return (
        str(error) if isinstance(error, (ReadError, OSError)) else "something unforeseen went wrong; the log says what"
    )

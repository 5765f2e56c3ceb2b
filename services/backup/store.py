"""The only place with Postgres and event append in backup: the index, what runs, and events on their way to the stream."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from pydantic import BaseModel

from services.backup.contract.events import CATALOGUE, SOURCE
from services.backup.manifest import Manifest
from shared.bus import Append, Caller, EventLog, build_event, build_subject
from shared.clock import Clock, parse_time
from shared.db import Pool, load_statements
from shared.envelope import Event, parse_event

SQL = load_statements(__file__)
Announcement = tuple[str, str, str, BaseModel]


class BackupStore:
    """Backups, restores and their events."""

    def __init__(self, pool: Pool, log: EventLog, clock: Clock) -> None:
        self._pool = pool
        self._log = log
        self._clock = clock
        self._waiting = asyncio.Event()

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return the rows of a query by its file's name."""
        return await self._pool.fetch(SQL[statement], *arguments)

    async def find(self, statement: str, *arguments: Any) -> asyncpg.Record | None:
        """Return the first row of a query by its file's name."""
        return await self._pool.fetchrow(SQL[statement], *arguments)

    async def execute(self, statement: str, *arguments: Any) -> None:
        """Run a statement by its file's name."""
        await self._pool.execute(SQL[statement], *arguments)

    async def change(
        self, changes: Sequence[tuple[str, Sequence[Any]]], announcement: Announcement | None, caller: Caller
    ) -> None:
        """Run statements and note the event (entity, id, type, data) in one transaction; it is sent soon after."""
        async with self._pool.acquire() as connection, connection.transaction():
            for statement, arguments in changes:
                await connection.execute(SQL[statement], *arguments)
            if announcement:
                subject, event = self._build_event(announcement, caller)
                await connection.execute(SQL["announcement_insert"], event.id, subject, event.to_json())
        self._waiting.set()

    def _build_event(self, announcement: Announcement, caller: Caller) -> tuple[str, Event]:
        entity, entity_id, name, data = announcement
        kind = CATALOGUE.newest[name]
        subject, now = f"{entity}/{entity_id}", self._clock.now()
        event = build_event(kind, data, source=SOURCE, subject=subject, caller=caller, now=now)
        return build_subject("evt.backup", entity, entity_id, name), event

    async def announce(self) -> None:
        """Send noted events to the stream until nothing is left. Raises AppError unavailable; what is left stays noted."""
        while rows := await self.fetch("announcement_list"):
            for row in rows:
                await self._log.append([Append(row["subject"], parse_event(row["event"]))])
                await self.execute("announcement_delete", row["event_id"])

    async def wait_for_announcements(self, seconds: float) -> None:
        """Return when something was noted, or after so many seconds."""
        try:
            await asyncio.wait_for(self._waiting.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self._waiting.clear()


def list_manifest_arguments(manifest: Manifest, sha256: str) -> tuple[Any, ...]:
    """Return the arguments of `backup_upsert`."""
    segments = manifest.segments
    return (
        manifest.backup_id,
        manifest.type,
        manifest.description,
        manifest.created_by,
        parse_time(manifest.covered_at),
        parse_time(manifest.completed_at),
        describe_streams(manifest),
        sum(entry.bytes for entry in segments),
        sum(entry.stored_bytes for entry in segments),
        sha256,
        manifest.parent,
    )


def describe_streams(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Return {stream: {first, last}} of what a recovery point covers."""
    return {
        name: {"first": entry.first_sequence, "last": entry.last_sequence} for name, entry in manifest.streams.items()
    }


def read_covered_at(rows: Sequence[asyncpg.Record]) -> datetime | None:
    """Return the moment up to which the newest recovery point (the first row) has everything."""
    covered_at: datetime | None = rows[0]["covered_at"] if rows else None
    return covered_at

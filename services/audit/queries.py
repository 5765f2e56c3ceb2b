"""What audit can be asked: pages by keyset on the index, never an offset, no count per page."""

import base64
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from services.audit.contract.requests import (
    ActionCount,
    ActorCount,
    AuditStatus,
    Completeness,
    EndpointCount,
    Entry,
    EntryFilter,
    EntryPage,
    EventStats,
    FindEntry,
    ListEntries,
    ListQuarantine,
    Nothing,
    Quarantined,
    QuarantinePage,
    Range,
    SourceState,
    Summary,
    TimeRange,
)
from services.audit.store import AuditStore
from services.keys.contract.permissions import allows
from shared.bus import Caller
from shared.clock import Clock, format_time
from shared.errors import AppError, Category, not_found
from shared.projector import IntervalSet, Projector
from shared.projector.repeats import read_multirange

_SHOWN_PAYLOAD_BYTES = 4096
_FILTERS = (
    "event_type", "severity_filter", "actor", "tenant", "category", "action", "resource", "status", "ip", "endpoint",
    "request_id", "trace_id", "session_id", "source_id", "q",
)  # fmt: skip


class AuditQueries:
    """The queries of the log; a caller sees their tenant, with `audit:read:own` only what they did themselves."""

    def __init__(self, store: AuditStore, clock: Clock, projectors: list[Projector]) -> None:
        self._store = store
        self._clock = clock
        self._projectors = projectors

    async def list_entries(self, body: ListEntries, caller: Caller) -> EntryPage:
        """Return a page of entries and the log's size."""
        size = await self._store.tree_size()
        after = int(body.cursor) if body.cursor else None
        until = min(body.as_of, size) if body.as_of is not None else size
        arguments = self.build_arguments(body, caller, after=after, before=until)
        rows = await self._store.fetch(f"entry_list_{body.order}", body.limit + 1, *arguments)
        items, more = fit_page([present_entry(row) for row in rows], body.limit)
        return EntryPage(items=items, next_cursor=str(items[-1].index) if more else None, tree_size=size)

    def build_arguments(self, body: EntryFilter, caller: Caller, *, after: int | None, before: int | None) -> list[Any]:
        """Return the arguments of `entry_list_…` after the limit, with the caller's own bounds laid over the filters."""
        since, until = self.find_span(body)
        filters = {name: getattr(body, name) for name in _FILTERS} | _bound_by_caller(body, caller)
        return [after, before, since, until, *(filters[name] for name in _FILTERS)]

    def find_span(self, body: TimeRange) -> tuple[datetime | None, datetime | None]:
        """Return since and until; open ends are None."""
        if body.since or body.until or body.time_range_hours == 0:
            return body.since, body.until
        return self._clock.now() - timedelta(hours=body.time_range_hours), None

    async def find(self, body: FindEntry, caller: Caller) -> Entry:
        """Return an entry. Raises not_found, also when it is not the caller's to know of."""
        try:
            rows = await self._store.fetch("entry_find", UUID(body.id))
        except ValueError:
            rows = []
        bounds = _bound_by_caller(EntryFilter(), caller)
        if not rows or any(value is not None and rows[0][name] != value for name, value in bounds.items()):
            raise not_found("entry")
        return present_entry(rows[0])

    async def summarise(self, body: TimeRange, caller: Caller) -> Summary:
        """Return the counts of a span."""
        since, until, span = self._closed_span(body, caller)
        totals = (await self._store.fetch("summary_totals", *span))[0]
        severities = {"critical": 0, "high": 0, "medium": 0, "low": 0} | await self._count("summary_by_severity", span)
        total = totals["events"]
        return Summary(
            since=format_time(since),
            until=format_time(until),
            total_events=total,
            success=totals["success"],
            failures=totals["failures"],
            denied=totals["denied"],
            success_rate=round(totals["success"] / total, 4) if total else 1.0,
            by_type=await self._count("summary_by_type", span),
            by_severity=severities,
            top_users=[
                ActorCount(actor=n, events=c) for n, c in (await self._count("summary_top_users", span)).items()
            ],
            top_actions=[
                ActionCount(action=n, events=c) for n, c in (await self._count("summary_top_actions", span)).items()
            ],
            top_endpoints=[
                EndpointCount(endpoint=n, events=c)
                for n, c in (await self._count("summary_top_endpoints", span)).items()
            ],
        )

    async def count_events(self, body: TimeRange, caller: Caller) -> EventStats:
        """Return counts by type and by source."""
        since, until, span = self._closed_span(body, caller)
        by_type = await self._count("summary_by_type", span)
        by_source = await self._count("summary_by_source", span)
        return EventStats(
            total=sum(by_type.values()), by_type=by_type, by_source=by_source, since=format_time(since),
            until=format_time(until),
        )  # fmt: skip

    def _closed_span(self, body: TimeRange, caller: Caller) -> tuple[datetime, datetime, tuple[Any, ...]]:
        now = self._clock.now()
        since, until = self.find_span(body)
        bounds = _bound_by_caller(EntryFilter(), caller)
        first = since or datetime(1970, 1, 1, tzinfo=now.tzinfo)
        last = until or now + timedelta(seconds=1)
        return first, last, (first, last, bounds.get("tenant"), bounds.get("actor"))

    async def _count(self, statement: str, span: tuple[Any, ...]) -> dict[str, int]:
        return {row["name"]: row["events"] for row in await self._store.fetch(statement, *span)}

    async def check_completeness(self, _: Nothing, __: Caller) -> Completeness:
        """Return, source by source, which numbers of its records miss."""
        sources = [
            present_source(row["source"], read_multirange(row["applied"]), alive=row["alive"])
            for row in await self._store.fetch("source_list")
        ]
        return Completeness(complete=not any(source.holes for source in sources), sources=sources)

    async def status(self, _: Nothing, __: Caller) -> AuditStatus:
        """Return how the log does."""
        oldest = await self._store.fetch("entry_find_oldest")
        stopped = any(projector.stopped_reason for projector in self._projectors)
        return AuditStatus(
            status="degraded" if stopped else "ok",
            tree_size=await self._store.tree_size(),
            lag_events=sum(projector.metrics.lag_messages for projector in self._projectors),
            lag_seconds=max((projector.metrics.age_seconds for projector in self._projectors), default=0.0),
            oldest_entry=format_time(oldest[0]["timestamp"]) if oldest else None,
            quarantined=(await self._store.fetch("quarantine_count"))[0]["waiting"],
        )

    async def list_quarantine(self, body: ListQuarantine, caller: Caller) -> QuarantinePage:
        """Return a page of what could not be taken in. Raises forbidden: its contents are nobody's tenant yet."""
        require_all_tenants(caller)
        after = int(body.cursor) if body.cursor else None
        rows = await self._store.fetch(f"quarantine_list_{body.order}", body.limit + 1, after)
        items = [present_quarantined(row) for row in rows[: body.limit]]
        return QuarantinePage(items=items, next_cursor=items[-1].id if len(rows) > body.limit else None)


_PAGE_BYTES = 400 * 1024


def fit_page(items: list[Entry], limit: int) -> tuple[list[Entry], bool]:
    """Return what fits into one reply, and whether there is more; a page ends early with its cursor."""
    size = 0
    for place, item in enumerate(items[:limit]):
        size += len(item.model_dump_json())
        if size > _PAGE_BYTES and place:
            return items[:place], True
    return items[:limit], len(items) > limit


def _bound_by_caller(body: EntryFilter, caller: Caller) -> dict[str, str | None]:
    """Return the filters that the caller's rights lay over theirs."""
    bounds: dict[str, str | None] = {}
    if not allows(caller.permissions, "tenants:all"):
        if body.tenant and body.tenant != caller.tenant:
            raise AppError("forbidden", Category.FORBIDDEN, "You may only read your own tenant.")
        bounds["tenant"] = caller.tenant
    if not allows(caller.permissions, "audit:read"):
        bounds["actor"] = caller.principal
    return bounds


def require_all_tenants(caller: Caller) -> None:
    """Refuse whoever is confined to a tenant."""
    if not allows(caller.permissions, "tenants:all"):
        raise AppError("forbidden", Category.FORBIDDEN, "The quarantine spans tenants: it needs tenants:all.")


def present_entry(row: asyncpg.Record) -> Entry:
    """Return an entry as callers see it."""
    fields = dict(row)
    fields["id"] = str(row["id"])
    fields["timestamp"] = format_time(row["timestamp"])
    fields["received_at"] = format_time(row["received_at"])
    return Entry.model_construct(
        **fields, user_id=row["actor"], actor_type=row["actor"].partition(":")[0], leaf_hash=None
    )


def present_source(source: str, numbers: IntervalSet, *, alive: bool) -> SourceState:
    """Return what was taken in of a source; the holes of one that its successor closed were lost at its crash."""
    missing = [Range(first=str(first), last=str(last)) for first, last in numbers.holes()]
    return SourceState(
        source=source,
        alive=alive,
        high_water=str(numbers.high_water),
        holes=missing if alive else [],
        lost_at_crash=[] if alive else missing,
    )


def present_quarantined(row: asyncpg.Record) -> Quarantined:
    """Return a quarantined message; what is no text is shown in base64."""
    payload = row["payload"][:_SHOWN_PAYLOAD_BYTES]
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = base64.b64encode(payload).decode()
    return Quarantined(
        id=str(row["id"]),
        quarantined_at=format_time(row["quarantined_at"]),
        stream=row["stream"],
        sequence=row["sequence"],
        subject=row["subject"],
        reason=row["reason"],
        size=row["size"],
        payload=text,
    )

"""Dropping second copies: records by their number within a source, other events by (source, id)."""

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from typing import cast

import asyncpg

from shared.db import Connection, Pool, load_statements
from shared.envelope import EnvelopeError, Event
from shared.projector.intervals import IntervalSet
from shared.projector.projection import Projection, Received, Repeats

SQL = load_statements(__file__)
_FORGET_SECONDS = 3600.0


class NumberedSources:
    """The interval sets of one projection, cached by its only writer and written in the batch's transaction.

    After a transaction that did not commit, call `forget`: the cache may be ahead of the table.
    """

    def __init__(self, projection: str) -> None:
        self._projection = projection
        self._sets: dict[str, IntervalSet] = {}
        self._changed: set[str] = set()

    def forget(self) -> None:
        """Read everything anew from the table."""
        self._sets.clear()
        self._changed.clear()

    async def keep_new(self, connection: Connection, received: Sequence[Received]) -> list[Received]:
        """Return what was not applied before; it counts as applied from here on, `take_changed` says what to write."""
        await self._load(connection, {item.event.source for item in received})
        fresh = []
        for item in received:
            source = item.event.source
            if self._sets[source].add(_read_number(item)):
                self._changed.add(source)
                fresh.append(item)
        return fresh

    def take_changed(self) -> tuple[list[str], list[str]]:
        """Return the sources that changed and their sets, to be written with the position; they count as written."""
        sources = sorted(self._changed)
        self._changed.clear()
        return sources, [write_multirange(self._sets[source]) for source in sources]

    async def _load(self, connection: Connection, sources: set[str]) -> None:
        missing = sources - self._sets.keys()
        if not missing:
            return
        for row in await connection.fetch(SQL["source_list"], self._projection, list(missing)):
            self._sets[row["source"]] = read_multirange(row["applied"])
        for source in missing - self._sets.keys():
            self._sets[source] = IntervalSet()


def read_multirange(ranges: Sequence["asyncpg.Range[int]"]) -> IntervalSet:
    """Return the interval set of Postgres' half-open int8multirange."""
    return IntervalSet((cast("int", part.lower), cast("int", part.upper) - 1) for part in ranges)


def write_multirange(numbers: IntervalSet) -> str:
    """Return the interval set as the text of an int8multirange (the driver knows no arrays of multiranges)."""
    return "{" + ",".join(f"[{first},{last + 1})" for first, last in numbers.intervals()) + "}"


def _read_number(item: Received) -> int:
    text = item.event.sourceseq or ""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**62):
        raise EnvelopeError("sourceseq of a record must be a positive decimal number")
    return int(text)


def _identify(event: Event) -> str:
    """Return what tells an event from any other: its source, the one it gave itself (origin), and its id there."""
    return f"{event.source}\0{event.origin or ''}\0{event.id}"


async def keep_unseen(connection: Connection, projection: str, received: Sequence[Received]) -> list[Received]:
    """Return the events whose (source, id) is new, within the batch too, and note them in this transaction."""
    by_digest: dict[bytes, Received] = {}
    for item in received:
        digest = hashlib.sha256(_identify(item.event).encode()).digest()
        by_digest.setdefault(digest, item)
    rows = await connection.fetch(SQL["seen_insert"], projection, list(by_digest))
    fresh = {row["digest"] for row in rows}
    return [item for digest, item in by_digest.items() if digest in fresh]


async def forget_old(pool: Pool, projection: Projection) -> None:
    """Drop identities older than any stream keeps messages, now and every hour until cancelled: the table stays bounded."""
    while projection.repeats is Repeats.BY_IDENTITY:
        with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
            await pool.execute(SQL["seen_delete_old"], projection.name)
        await asyncio.sleep(_FORGET_SECONDS)

"""Finds the recovery point that covers a moment, and says what going back to it would change."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from services.backup.catalogue import Catalogue
from services.backup.contract.requests import CreateRestore, Difference, RestorePlan, RestoreTarget
from services.backup.domain import (
    NS,
    Moment,
    check_moment,
    convert_time_ns,
    find_range,
    select_messages,
    select_segments,
)
from services.backup.errors import DamagedError, RestoreError, not_covered
from services.backup.manifest import Manifest, SegmentEntry, StreamEntry
from services.backup.reader import StreamReader
from services.backup.segment import Message
from shared.clock import format_time
from shared.errors import not_found

_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a restore brings: segments of one chain, the last one up to the moment; `last` is the last sequence."""

    backup_id: str
    stream: StreamEntry
    name: str
    moment: Moment
    segments: list[SegmentEntry]
    first: int
    last: int
    last_time_ns: int
    messages: int
    bytes: int
    first_time_ns: int = 0

    def describe(self) -> RestoreTarget:
        """Return the moment as callers see it."""
        moment = datetime.fromtimestamp(self.last_time_ns // NS, UTC)
        moment = moment.replace(microsecond=self.last_time_ns % NS // 1000)
        return RestoreTarget(stream=self.name, sequence=self.last, time=format_time(moment) if self.messages else None)


@dataclass(slots=True)
class Counter:
    """Counts events by type and tenant; a message is one event, or a batch of them."""

    found: Difference = field(default_factory=Difference)

    def add(self, messages: Iterable[Message]) -> None:
        """Count the events of some messages; what is no event counts as unknown."""
        for message in messages:
            for event in _decode(message.payload):
                kind, tenant = str(event.get("type", _UNKNOWN)), str(event.get("tenant", _UNKNOWN))
                self.found.total += 1
                self.found.by_type[kind] = self.found.by_type.get(kind, 0) + 1
                self.found.by_tenant[tenant] = self.found.by_tenant.get(tenant, 0) + 1


def _decode(payload: bytes) -> list[dict[str, object]]:
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return [{}]
    events = document if isinstance(document, list) else [document]
    return [event if isinstance(event, dict) else {} for event in events]


class RestorePlanner:
    """Answers what a restore would do before anything is done."""

    def __init__(self, catalogue: Catalogue, reader: StreamReader) -> None:
        self._catalogue = catalogue
        self._reader = reader

    async def select(self, body: CreateRestore, newest_first: list[str]) -> Selection:
        """Return what to restore, from the newest recovery point that covers the moment.

        Raises AppError invalid when none does, not_found for an unknown backup, RestoreError when what covers it is damaged.
        """
        if body.backup_id and body.backup_id not in newest_first:
            raise not_found("backup")
        time_ns = convert_time_ns(body.point_in_time) if body.point_in_time else None
        moment = Moment(body.sequence, time_ns)
        refusal = "there is no recovery point yet"
        tried: set[str] = set()
        for backup_id in [body.backup_id] if body.backup_id else newest_first:
            if backup_id in tried:
                continue
            chain = await self._load(backup_id)
            tried |= {manifest.backup_id for manifest in chain}  # a newer member covers all that an older one does
            covered = find_range(chain, body.stream)
            reason = check_moment(moment, covered)
            if reason is None:
                return await self._build(chain, body.stream, moment, select_segments(moment, covered))
            refusal = refusal if len(tried) > len(chain) else reason
        raise not_covered(refusal, "sequence" if body.sequence else "point_in_time")

    async def _load(self, backup_id: str) -> list[Manifest]:
        try:
            return await self._catalogue.get_chain(backup_id)
        except DamagedError as error:
            raise RestoreError(f"{error.object_name}: {error.reason}") from error

    async def _build(
        self, chain: list[Manifest], name: str, moment: Moment, chosen: list[tuple[Manifest, SegmentEntry]]
    ) -> Selection:
        stream = chain[-1].streams[name]
        entries = [entry for _, entry in chosen]
        partial = select_messages(moment, await self._open(stream, entries[-1]))
        whole = [entry for entry in entries[:-1] if entry.messages]
        end = moment.sequence or (stream.last_sequence if moment.time_ns is None else 0)
        last = end or (partial[-1].sequence if partial else entries[-1].first_sequence - 1)
        times = [message.time_ns for message in partial[-1:]] or [entry.last_time_ns for entry in whole[-1:]]
        return Selection(
            backup_id=chain[-1].backup_id,
            stream=stream,
            name=name,
            moment=moment,
            segments=entries,
            first=stream.first_sequence,
            last=last,
            first_time_ns=whole[0].first_time_ns if whole else partial[0].time_ns if partial else 0,
            last_time_ns=times[0] if times else 0,
            messages=sum(entry.messages for entry in whole) + len(partial),
            bytes=sum(entry.bytes for entry in whole) + sum(len(message.encode()) for message in partial),
        )

    async def _open(self, stream: StreamEntry, entry: SegmentEntry) -> list[Message]:
        try:
            return await self._catalogue.get_segment(stream, entry)
        except DamagedError as error:
            raise RestoreError(f"{error.object_name}: {error.reason}") from error

    async def read(self, selection: Selection, *, after: int = 0) -> AsyncIterator[list[Message]]:
        """Yield the messages of a selection, a segment at a time, from behind `after`. Raises RestoreError."""
        for entry in selection.segments:
            if entry.last_sequence > after:
                messages = select_messages(selection.moment, await self._open(selection.stream, entry))
                yield [message for message in messages if message.sequence > after]

    async def compare(self, selection: Selection) -> RestorePlan:
        """Return what the live stream would lose and get back. Raises ReadError, RestoreError."""
        removes, brings_back = Counter(), Counter()
        live = await self._reader.find_state(selection.name)
        is_same = live is not None and live.created == selection.stream.created
        if live:
            first = selection.last + 1 if is_same else live.first
            async for batch in self._reader.read(live.stream, first, live.last):
                removes.add(batch)
        if not live or not is_same or live.last < selection.last or live.first > selection.first:
            kept = range(live.first, live.last + 1) if live and is_same else range(0)
            async for messages in self.read(selection):
                brings_back.add(message for message in messages if message.sequence not in kept)
        return RestorePlan(removes=removes.found, brings_back=brings_back.found)

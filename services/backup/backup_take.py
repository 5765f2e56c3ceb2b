"""Takes a backup: read, seal, store, read back; the manifest last. What fails before that leaves no recovery point."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from services.backup.catalogue import Catalogue
from services.backup.domain import BackupType, StreamWork, plan_take
from services.backup.errors import ReadError
from services.backup.manifest import Manifest, SegmentEntry, StreamEntry
from services.backup.reader import EVENTS, STREAMS, StreamReader, StreamState
from services.backup.segment import RECORD, Message, build_segment
from shared.clock import Clock, format_time
from shared.testing import failpoints

log = structlog.get_logger(__name__)
_OWN_SUBJECTS = "evt.backup."
_GAP_BYTES = 48  # the most that a deleted range takes in a segment's first line
_LINE_BYTES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A backup as it was asked for."""

    backup_id: str
    type: BackupType
    description: str
    created_by: str


Report = Callable[[float], Awaitable[None]]


class BackupTaker:
    """Reads the streams into segments; holds one segment in memory at a time."""

    def __init__(self, reader: StreamReader, catalogue: Catalogue, clock: Clock, *, segment_bytes: int) -> None:
        self._reader = reader
        self._catalogue = catalogue
        self._clock = clock
        self._segment_bytes = segment_bytes

    async def list_states(self) -> list[StreamState]:
        """Return the state of each stream that exists. Raises ReadError."""
        states = [await self._reader.find_state(name) for name in STREAMS]
        return [state for state in states if state]

    async def put_bookmarks(self, manifest: Manifest) -> None:
        """Say on the streams that are purged up to where a recovery point has them; what fails leaves the old bookmark."""
        for name, entry in manifest.streams.items():
            if name == EVENTS:
                continue
            try:
                await self._reader.put_bookmark(entry.stream, entry.last_sequence)
            except ReadError as error:
                log.warning("a bookmark stays where it was", stream=name, reason=str(error))

    async def has_news(self, parent: Manifest) -> bool:
        """Say whether there is more to back up than backup's own events. Raises ReadError."""
        kind, works = plan_take("incremental", parent, await self.list_states())
        if kind == "full" or any(work.state.name not in parent.streams for work in works):
            return True
        return any([await self._has_foreign(work) for work in works])

    async def _has_foreign(self, work: StreamWork) -> bool:
        if work.state.name != EVENTS:
            return work.state.last >= work.first
        async for batch in self._reader.read(work.state.stream, work.first, work.state.last):
            if any(not message.subject.startswith(_OWN_SUBJECTS) for message in batch):
                return True
        return False

    async def take(self, order: Order, parent: Manifest | None, report: Report) -> tuple[Manifest, str]:
        """Write a recovery point; return its manifest and the manifest's SHA-256.

        `report` hears of progress from 0 to 1. Raises ReadError, DamagedError, OSError.
        """
        covered_at = format_time(self._clock.now())
        states = await self.list_states()
        kind, works = plan_take(order.type, parent, states)
        total = sum(max(0, work.state.last - work.first + 1) for work in works)
        progress = _Progress(total, report)
        streams = {work.state.name: await self._write_stream(work, progress) for work in works}
        if kind == "full":
            parent = None
        elif parent:
            gone = {name: entry for name, entry in parent.streams.items() if name not in streams}
            streams |= {name: entry.model_copy(update={"segments": []}) for name, entry in gone.items()}
        failpoints.hit("backup.before_manifest")
        manifest = Manifest(
            backup_id=order.backup_id,
            type=kind,
            description=order.description,
            created_by=order.created_by,
            covered_at=covered_at,
            completed_at=format_time(self._clock.now()),
            parent=parent.backup_id if parent else None,
            parent_sha256=(await self._catalogue.get_manifest(parent.backup_id))[1] if parent else None,
            key_id=self._catalogue.keys.key_id,
            streams=streams,
        )
        return manifest, await self._catalogue.put_manifest(manifest)

    async def _write_stream(self, work: StreamWork, progress: "_Progress") -> StreamEntry:
        writer = _SegmentWriter(self._catalogue, work)
        buffer: list[Message] = []
        size, last = _LINE_BYTES, work.first - 1
        async for batch in self._reader.read(work.state.stream, work.first, work.state.last):
            for message in batch:
                cost = _measure(message, last)
                if buffer and size + cost > self._segment_bytes:
                    await writer.write(buffer, message.sequence - 1)
                    await progress.advance(buffer[-1].sequence - writer.first_of_last + 1)
                    buffer, size = [], _LINE_BYTES
                buffer.append(message)
                size, last = size + cost, message.sequence
        if work.state.last >= writer.first:
            await writer.write(buffer, work.state.last)
        return writer.describe()


def _measure(message: Message, last: int) -> int:
    gap = _GAP_BYTES if message.sequence != last + 1 else 0
    return RECORD.size + len(message.subject.encode()) + len(message.headers) + len(message.payload) + gap


class _SegmentWriter:
    """The chain of one stream while it is written: each segment begins where the one before ended."""

    def __init__(self, catalogue: Catalogue, work: StreamWork) -> None:
        self._catalogue = catalogue
        self._work = work
        self._head = work.previous
        self._entries: list[SegmentEntry] = []
        self.first = work.first
        self.first_of_last = work.first

    async def write(self, messages: list[Message], last: int) -> None:
        """Store the segment that covers everything from the one before to `last`."""
        state = self._work.state
        segment = await asyncio.to_thread(
            build_segment, state.stream, state.incarnation, messages, first=self.first, last=last, previous=self._head
        )
        failpoints.hit("backup.mid_segment")
        self._entries.append(await self._catalogue.put_segment(segment))
        self.first_of_last, self.first, self._head = self.first, last + 1, segment.sha256

    def describe(self) -> StreamEntry:
        """Return what the manifest says of the stream."""
        state = self._work.state
        return StreamEntry(
            stream=state.stream,
            incarnation=state.incarnation,
            created=state.created,
            config=state.config,
            first_sequence=self._work.covered_from,
            last_sequence=max(state.last, self.first - 1),
            head=self._head,
            segments=self._entries,
        )


class _Progress:
    """Counts sequences across streams and reports the share that is done."""

    def __init__(self, total: int, report: Report) -> None:
        self._total = total
        self._done = 0
        self._report = report

    async def advance(self, count: int) -> None:
        """Add sequences that are done."""
        self._done += count
        await self._report(min(1.0, self._done / max(1, self._total)))

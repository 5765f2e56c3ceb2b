"""What a backup has to read, what may go, and which moment a restore means. Pure: times and states are arguments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from services.backup.errors import not_covered
from services.backup.manifest import Manifest, SegmentEntry
from services.backup.reader import StreamState
from services.backup.segment import NO_PREVIOUS, Message

BackupType = Literal["full", "incremental"]
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class StreamWork:
    """What one backup reads of one stream: first..state.last, chained to `previous`; it covers covered_from..state.last."""

    state: StreamState
    first: int
    covered_from: int
    previous: str


def plan_take(
    wanted: BackupType, parent: Manifest | None, states: Sequence[StreamState]
) -> tuple[BackupType, list[StreamWork]]:
    """Return what to read, and the type it becomes.

    An incremental without a parent, or whose parent knew another life of a stream, becomes full: positions are only good
    within one incarnation. A full reads everything anew and starts a chain whose first link is the old head.
    """
    known = parent.streams if parent else {}
    is_same = all(_is_same_life(state, known[state.name].created, known[state.name].last_sequence)
                  for state in states if state.name in known)  # fmt: skip
    kind: BackupType = "incremental" if wanted == "incremental" and parent and is_same else "full"
    works = []
    for state in states:
        entry = known.get(state.name)
        head = entry.head if entry and _is_same_life(state, entry.created, entry.last_sequence) else NO_PREVIOUS
        if kind == "incremental" and entry:
            works.append(StreamWork(state, entry.last_sequence + 1, entry.first_sequence, head))
        else:
            works.append(StreamWork(state, max(1, state.first), max(1, state.first), head))
    return kind, works


def _is_same_life(state: StreamState, created: str, last: int) -> bool:
    return state.created == created and state.last >= last


def find_expired(points: Iterable[tuple[str, str | None, datetime]], now: datetime, *, days: int) -> list[str]:
    """Return the ids that may go, newest first: whole chains whose last member is older than `days`, never the newest.

    `points` are (id, parent, time); a chain is a full backup with all that follow it.
    """
    roots: dict[str, str] = {}
    chains: dict[str, list[tuple[datetime, str]]] = {}
    for backup_id, parent, time in sorted(points, key=lambda point: point[2]):
        roots[backup_id] = roots.get(parent, backup_id) if parent else backup_id
        chains.setdefault(roots[backup_id], []).append((time, backup_id))
    kept = max(chains.values(), key=lambda chain: chain[-1], default=[])
    bound = now - timedelta(days=days)
    return [
        backup_id
        for chain in chains.values()
        if chain is not kept and chain[-1][0] < bound
        for _, backup_id in reversed(chain)
    ]


class Moment(NamedTuple):
    """What a restore goes to: a sequence, or the last one not after a time in nanoseconds; None is the chain's end."""

    sequence: int | None = None
    time_ns: int | None = None


def convert_time_ns(moment: datetime) -> int:
    """Return nanoseconds since 1970 of an aware time."""
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * NS + moment.microsecond * 1000


class ChainRange(NamedTuple):
    """What a recovery point covers of one stream, over all of its chain."""

    first_sequence: int
    last_sequence: int
    covered_at_ns: int
    segments: list[tuple[Manifest, SegmentEntry]]


def find_range(chain: Sequence[Manifest], name: str) -> ChainRange:
    """Return the stream's range and segments. Raises AppError invalid when the recovery point does not know the stream."""
    newest = chain[-1].streams.get(name)
    if newest is None:
        raise not_covered(f"{chain[-1].backup_id} holds no stream {name}", "stream")
    segments = [(part, entry) for part in chain if name in part.streams for entry in part.streams[name].segments]
    covered_at = convert_time_ns(datetime.fromisoformat(chain[-1].covered_at))
    return ChainRange(newest.first_sequence, newest.last_sequence, covered_at, segments)


def check_moment(moment: Moment, covered: ChainRange) -> str | None:
    """Return None when the range covers the moment, else a sentence that says what it covers."""
    if moment.sequence is not None and not covered.first_sequence <= moment.sequence <= covered.last_sequence:
        known = f"{covered.first_sequence} to {covered.last_sequence}"
        return f"no recovery point covers sequence {moment.sequence}; the newest covers {known}"
    if moment.time_ns is not None and moment.time_ns > covered.covered_at_ns:
        return "no recovery point covers that moment: it is later than the newest backup"
    if moment.time_ns is not None and _first_time(covered) > moment.time_ns:
        return "no recovery point covers that moment: it is earlier than the first message"
    if covered.last_sequence < covered.first_sequence:
        return "the recovery point holds no message of that stream"
    return None


def _first_time(covered: ChainRange) -> int:
    return next((entry.first_time_ns for _, entry in covered.segments if entry.messages), 0)


def select_segments(moment: Moment, covered: ChainRange) -> list[tuple[Manifest, SegmentEntry]]:
    """Return the segments that hold the moment's past, the last of them perhaps only in part."""
    chosen = []
    for manifest, entry in covered.segments:
        if moment.sequence is not None and entry.first_sequence > moment.sequence:
            break
        if moment.time_ns is not None and entry.messages and entry.first_time_ns > moment.time_ns:
            break
        chosen.append((manifest, entry))
    return chosen


def select_messages(moment: Moment, messages: list[Message]) -> list[Message]:
    """Return the messages up to the moment: those before the first that lies behind it."""
    for place, message in enumerate(messages):
        is_behind_sequence = moment.sequence is not None and message.sequence > moment.sequence
        if is_behind_sequence or (moment.time_ns is not None and message.time_ns > moment.time_ns):
            return messages[:place]
    return messages

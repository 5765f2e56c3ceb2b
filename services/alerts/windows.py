"""Windows of event time as rings of buckets, and what an alert does as they move: pure.

A window of W seconds is at most 60 buckets of whole seconds; it is exact to a bucket: the one that holds the moment
asked about counts in full, the one that W seconds ago fell into is out. Buckets outlive their window by the allowed
lateness, so that an event that comes late still counts where it belongs. Times are milliseconds since the epoch.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from enum import Enum
from itertools import accumulate

LATENESS_SECONDS = 600
_MOST_BUCKETS = 60
_MOST_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Shape:
    """How a window is cut: the width of a bucket, and how many make a window."""

    width_ms: int
    buckets: int

    def find_bucket(self, moment_ms: int) -> int:
        """Return the number of the bucket that holds a moment."""
        return moment_ms // self.width_ms


def cut_window(window_seconds: int) -> Shape:
    """Return the shape of a window; its length is rounded up to whole buckets."""
    width_seconds = -(-window_seconds // _MOST_BUCKETS)
    return Shape(width_seconds * 1000, -(-window_seconds // width_seconds))


@dataclass(frozen=True, slots=True)
class Counts:
    """What a window holds."""

    total: int
    matching: int


@dataclass(slots=True)
class Ring:
    """Counts by bucket: {number: (total, matching)}, and the newest few matching events as (bucket, id)."""

    buckets: dict[int, tuple[int, int]] = field(default_factory=dict)
    samples: list[tuple[int, str]] = field(default_factory=list)

    def add(self, bucket: int, total: int, matching: int) -> None:
        """Count into a bucket."""
        before = self.buckets.get(bucket, (0, 0))
        self.buckets[bucket] = (before[0] + total, before[1] + matching)

    def add_samples(self, samples: list[tuple[int, str]]) -> None:
        """Remember the newest matching events."""
        self.samples = (self.samples + samples)[-_MOST_SAMPLES:]

    def forget_before(self, bucket: int) -> None:
        """Drop buckets that no window can reach any more."""
        if any(number < bucket for number in self.buckets):
            self.buckets = {number: counts for number, counts in self.buckets.items() if number >= bucket}


class Sums:
    """Running sums over a ring, so that any window is two look-ups."""

    def __init__(self, ring: Ring, shape: Shape) -> None:
        self.numbers = sorted(ring.buckets)
        self._shape = shape
        self._totals = [0, *accumulate(ring.buckets[number][0] for number in self.numbers)]
        self._matching = [0, *accumulate(ring.buckets[number][1] for number in self.numbers)]

    def measure(self, end: int) -> Counts:
        """Return what the window that ends with bucket `end` holds."""
        first = bisect_right(self.numbers, end - self._shape.buckets)
        last = bisect_right(self.numbers, end)
        return Counts(self._totals[last] - self._totals[first], self._matching[last] - self._matching[first])

    def list_changes(self, first: int, last: int) -> list[int]:
        """Return the window ends in [first, last] at which a window differs from the one before."""
        entering = self.numbers[bisect_left(self.numbers, first) : bisect_right(self.numbers, last)]
        shift = self._shape.buckets
        low, high = bisect_left(self.numbers, first - shift), bisect_right(self.numbers, last - shift)
        return sorted({first, last, *entering, *(number + shift for number in self.numbers[low:high])})

    def find_next_leaving(self, end: int) -> int | None:
        """Return the next window end at which a bucket leaves."""
        place = bisect_right(self.numbers, end - self._shape.buckets)
        return self.numbers[place] + self._shape.buckets if place < len(self.numbers) else None


class Level(Enum):
    """Where a window stands against its rule."""

    BREACH = "the threshold is reached"
    BETWEEN = "under the threshold, not yet clear"
    CLEAR = "clear, or empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a rule says about levels; `is_share` for a share of the entries, else a count of the matching ones."""

    is_share: bool
    threshold: float
    clear: float | None = None
    minimum: int = 1
    for_ms: int = 0
    empty_is_clear: bool = True

    def measure(self, counts: Counts) -> float:
        """Return the level of a window."""
        if not self.is_share:
            return float(counts.matching)
        return counts.matching / counts.total if counts.total else 0.0

    def judge(self, counts: Counts) -> Level:
        """Say where a window stands."""
        if counts.total == 0:
            return Level.CLEAR if self.empty_is_clear else Level.BETWEEN
        value = self.measure(counts)
        if value >= self.threshold:
            return Level.BREACH if counts.total >= self.minimum else Level.BETWEEN
        return Level.CLEAR if self.clear is None or value <= self.clear else Level.BETWEEN


class Phase(Enum):
    """What the alert of a series does."""

    IDLE = "idle"
    PENDING = "pending"
    FIRING = "firing"


@dataclass(frozen=True, slots=True)
class Turn:
    """A change of phase: at which moment, on which window."""

    phase: Phase
    before: Phase
    at_ms: int
    end: int
    counts: Counts


@dataclass(slots=True)
class Standing:
    """How far a series was evaluated (0: not yet) and what its alert did then.

    `floor` is the window end that last resolved: events that come late never fire again what was over.
    """

    phase: Phase = Phase.IDLE
    since_ms: int = 0
    evaluated_ms: int = 0
    floor: int = -1


def walk(
    ring: Ring,
    shape: Shape,
    bounds: Bounds,
    standing: Standing,
    *,
    until_ms: int,
    changed: tuple[int, int] | None = None,
) -> list[Turn]:
    """Move a series to a moment and return what its alert did on the way, in order; `standing` moves along.

    `changed` are the oldest and the newest bucket that were counted into. Every window whose content changed is judged,
    also those in the past that a late event changed; so the outcome does not hang on how events were batched, but for
    what happened within one bucket.
    """
    sums = Sums(ring, shape)
    until_ms = max(until_ms, standing.evaluated_ms)
    last = shape.find_bucket(until_ms)
    first = min(shape.find_bucket(standing.evaluated_ms) if standing.evaluated_ms else last, last)
    if standing.phase is Phase.IDLE:
        oldest, newest = changed or (first, standing.floor)
        # The window that resolved is judged again only for what is newer than its end: a late event does not fire it.
        first = max(min(first, oldest), standing.floor + (newest < standing.floor or changed is None))
    turns: list[Turn] = []
    for end in sums.list_changes(first, last) if first <= last else ():
        at_ms = max(min((end + 1) * shape.width_ms - 1, until_ms), 0)
        turns += _step(bounds, standing, sums.measure(end), end=end, at_ms=at_ms, start_ms=end * shape.width_ms)
    standing.evaluated_ms = until_ms
    return turns


def _step(bounds: Bounds, standing: Standing, counts: Counts, *, end: int, at_ms: int, start_ms: int) -> list[Turn]:
    level = bounds.judge(counts)
    turns: list[Turn] = []
    due_ms = standing.since_ms + bounds.for_ms
    # It held until this bucket began: what happens in it cannot take back that it was held long enough.
    if standing.phase is Phase.PENDING and due_ms <= (at_ms if level is Level.BREACH else start_ms):
        turns.append(_turn(standing, Phase.FIRING, max(due_ms, standing.since_ms), end, counts))
    if standing.phase is Phase.PENDING and level is not Level.BREACH:
        turns.append(_turn(standing, Phase.IDLE, at_ms, end, counts))
    elif standing.phase is Phase.FIRING and level is Level.CLEAR:
        turns.append(_turn(standing, Phase.IDLE, at_ms, end, counts))
        standing.floor = end
    elif standing.phase is Phase.IDLE and level is Level.BREACH:
        turns.append(_turn(standing, Phase.PENDING if bounds.for_ms else Phase.FIRING, at_ms, end, counts))
        standing.since_ms = at_ms
    return turns


def _turn(standing: Standing, phase: Phase, at_ms: int, end: int, counts: Counts) -> Turn:
    turn = Turn(phase, standing.phase, at_ms, end, counts)
    standing.phase = phase
    return turn


def find_due(ring: Ring, shape: Shape, bounds: Bounds, standing: Standing) -> int | None:
    """Return the moment at which a series must be looked at even if no event comes; None when never."""
    if standing.phase is Phase.IDLE and not bounds.is_share:
        return None
    leaving = Sums(ring, shape).find_next_leaving(shape.find_bucket(standing.evaluated_ms))
    moments = [leaving * shape.width_ms] if leaving is not None else []
    if standing.phase is Phase.PENDING:
        moments.append(standing.since_ms + bounds.for_ms)
    return min(moments, default=None)

"""The limit of a key (or of an address, for anonymous requests): a sliding window over two cells, decided in memory.

A window's count is this cell's plus the share of the last cell that still lies within the window. Denied requests do not
count. (Distribution over several gateways: the limiter of the keys service's next stage.)
"""

import time
from dataclasses import dataclass
from functools import lru_cache

from msgspec import Struct

WINDOW_SECONDS = 60
_MOST_SUBJECTS = 200_000


@dataclass(slots=True)
class _Cells:
    number: int
    current: int = 0
    previous: int = 0


class Decision(Struct, frozen=True, gc=False):
    """What a limit says: whether to admit, and the figures for the headers (`reset_seconds` until the cell ends)."""

    policy: str
    admitted: bool
    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> list[tuple[str, str]]:
        """Return the fields of draft-ietf-httpapi-ratelimit-headers-10 and the older X- ones."""
        remaining, reset = str(self.remaining), str(self.reset_seconds)
        return [
            *_describe_policy(self.policy, self.limit),
            ("ratelimit", f'"{self.policy}";r={remaining};t={reset}'),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", reset),
        ]


@lru_cache(maxsize=4096)
def _describe_policy(policy: str, limit: int) -> tuple[tuple[str, str], ...]:
    return ("ratelimit-policy", f'"{policy}";q={limit};w={WINDOW_SECONDS}'), ("x-ratelimit-limit", str(limit))


class Limiter:
    """Counts by subject; memory is bounded by forgetting the subjects that were idle for two windows."""

    def __init__(self) -> None:
        self._cells: dict[str, _Cells] = {}

    def take(self, policy: str, subject: str, limit: int, *, cost: int = 1, now: float | None = None) -> Decision:
        """Admit `cost` requests if they fit, and count them if so; cost 0 only looks."""
        now = time.time() if now is None else now
        number = int(now) // WINDOW_SECONDS
        into = now - number * WINDOW_SECONDS
        cells = self._cells.get(subject)
        if cells is None or cells.number != number:
            cells = self._turn(subject, cells, number)
        used = cells.current + cells.previous * (1 - into / WINDOW_SECONDS)
        admitted = used + cost <= limit
        if admitted:
            cells.current += cost
            used += cost
        return Decision(policy, admitted, limit, max(0, int(limit - used)), max(1, int(WINDOW_SECONDS - into)))

    def _turn(self, subject: str, cells: _Cells | None, number: int) -> _Cells:
        """Return the subject's cells at the beginning of a window."""
        if cells is None:
            if len(self._cells) >= _MOST_SUBJECTS:
                self._forget_idle(number)
            cells = self._cells[subject] = _Cells(number)
        else:
            cells.previous = cells.current if cells.number == number - 1 else 0
            cells.current = 0
            cells.number = number
        return cells

    def _forget_idle(self, number: int) -> None:
        self._cells = {subject: cells for subject, cells in self._cells.items() if cells.number >= number - 1}
        if len(self._cells) >= _MOST_SUBJECTS:
            self._cells.clear()

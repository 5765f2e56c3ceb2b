"""Sets of positive integers kept as intervals: what was applied of a source that numbers its records from 1."""

from bisect import bisect_right
from collections.abc import Iterable


class IntervalSet:
    """A set of integers >= 1 as disjoint, ordered, closed intervals that do not touch.

    Memory grows with the number of holes, not of members.
    """

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in intervals:
            self._firsts.append(first)
            self._lasts.append(last)

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]

    def add(self, number: int) -> bool:
        """Add a number; return False when it was already there."""
        if self._lasts and number == self._lasts[-1] + 1:  # nearly always: the next one
            self._lasts[-1] = number
            return True
        place = bisect_right(self._firsts, number) - 1
        if place >= 0 and number <= self._lasts[place]:
            return False
        joins_left = place >= 0 and self._lasts[place] == number - 1
        joins_right = place + 1 < len(self._firsts) and self._firsts[place + 1] == number + 1
        if joins_left and joins_right:
            self._lasts[place] = self._lasts.pop(place + 1)
            del self._firsts[place + 1]
        elif joins_left:
            self._lasts[place] = number
        elif joins_right:
            self._firsts[place + 1] = number
        else:
            self._firsts.insert(place + 1, number)
            self._lasts.insert(place + 1, number)
        return True

    @property
    def high_water(self) -> int:
        """The greatest member; 0 when empty."""
        return self._lasts[-1] if self._lasts else 0

    def intervals(self) -> list[tuple[int, int]]:
        """Return the closed intervals in order."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def holes(self) -> list[tuple[int, int]]:
        """Return the closed intervals that miss between 1 and the high water."""
        missing = []
        expected = 1
        for first, last in self.intervals():
            if first > expected:
                missing.append((expected, first - 1))
            expected = last + 1
        return missing

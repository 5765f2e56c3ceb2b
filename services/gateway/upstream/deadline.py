"""A time limit that is moved far more often than it passes: one timer, which looks again when it rings.

A timer an exchange cost a tenth of the proxy's time; setting and clearing a deadline costs two assignments.
"""

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `on_passed` once when the time that was last set passes without being cleared."""

    __slots__ = ("_at", "_loop", "_on_passed", "_rings_at", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_passed: Callable[[], None]) -> None:
        self._loop = loop
        self._on_passed = on_passed
        self._at: float | None = None
        self._rings_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Set the deadline so many seconds from now, in place of any before."""
        self._at = self._loop.time() + seconds
        if self._timer is None or self._at < self._rings_at:
            self._arm()

    def clear(self) -> None:
        """Take the deadline back; the timer may ring once more, and finds nothing to do."""
        self._at = None

    def close(self) -> None:
        """Take the deadline back and drop the timer."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        assert self._at is not None  # noqa: S101  (armed only with a deadline)
        self._rings_at = self._at
        self._timer = self._loop.call_at(self._at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._at is None:
            return
        if self._at > self._loop.time():
            self._arm()
        else:
            self._at = None
            self._on_passed()

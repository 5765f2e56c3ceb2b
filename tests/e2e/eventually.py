"""Waiting across processes: ask until it holds, with a bound."""

import time
from collections.abc import Callable
from typing import Any

BOUND_SECONDS = 15.0


def eventually(ask: Callable[[], Any], *, bound_seconds: float = BOUND_SECONDS) -> Any:
    """Return the first true answer; fail with the last one when the bound passed."""
    deadline = time.monotonic() + bound_seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"it did not come true within {bound_seconds} s: {answer!r}"
        time.sleep(0.02)
    return answer

"""The only wait across processes: ask until it holds, with a bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def wait_until(
    predicate: Callable[[], Awaitable[T]], *, bound_seconds: float = 20.0, step_seconds: float = 0.05
) -> T:
    """Return the predicate's first true answer. Raises TimeoutError, with the last answer, after the bound."""
    deadline = time.monotonic() + bound_seconds
    while True:
        answer = await predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {bound_seconds} s; the last answer was {answer!r}")
        await asyncio.sleep(step_seconds)

"""What every workload is given, and what it gives back."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The settings of one run; `folder` is temporary and removed at the end."""

    folder: Path
    seconds: float
    rounds: int
    events: int


@dataclass(slots=True)
class Outcome:
    """What a workload measured: a table for people, raw numbers for machines, and what must be said beside them."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class SkippedError(Exception):
    """Something that the machine lacks; the message says in one sentence what."""


def summarise(values: list[float]) -> dict[str, float]:
    """Return median, least and most of the rounds' values."""
    return {"median": median(values), "least": min(values), "most": max(values)}

"""Counting events into the series of the rules that they match: pure.

A series is what one rule counts for one group. Rules are indexed by event type, so that an event meets only those that
could match it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeAlias

import orjson

from services.alerts.contract.rules import Rule
from services.alerts.domain import OwnedRule
from services.alerts.entries import build_entry, reach
from services.alerts.filters import Filter, FilterError, bind_event, compile_filter, find_event_types
from services.alerts.windows import LATENESS_SECONDS, Bounds, Shape, cut_window
from shared.clock import parse_time
from shared.projector import Received

SeriesKey: TypeAlias = tuple[str, str]
_AUTH_TYPES = frozenset({"auth_failed", "requests_summarised"})
_OWN_SOURCE = "/gatehouse/"
_UNAUTHENTICATED = 401
_LONGEST_VALUE = 200
_LATENESS = timedelta(seconds=LATENESS_SECONDS)


class CompiledRule:
    """A rule, ready to be evaluated; `shape_id` changes with whatever makes earlier counts meaningless."""

    def __init__(self, owned: OwnedRule) -> None:
        rule = self.rule = owned.rule
        self.tenant = owned.tenant
        self.every_tenant = owned.every_tenant
        self.created_at = owned.created_at
        self.shape: Shape = cut_window(rule.window_seconds)
        self.filter: Filter | None = compile_filter(rule.filter) if rule.filter else None
        self.bounds = _read_bounds(rule)
        named = find_event_types(rule.filter)
        self.types = _AUTH_TYPES if rule.type == "auth_failures" else named
        counted = [owned.created_at, rule.type, rule.filter, rule.group_by, rule.window_seconds]
        self.shape_id = hashlib.sha256(orjson.dumps(counted)).hexdigest()[:16]

    def find_group(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Return the values of the group that an entry belongs to; long ones are cut, none is null."""
        return {path: _clean(reach(entry, path)) for path in self.rule.group_by}


def _read_bounds(rule: Rule) -> Bounds:
    return Bounds(
        is_share=rule.type == "error_rate",
        threshold=rule.threshold,
        clear=rule.clear_threshold,
        minimum=rule.minimum,
        for_ms=rule.for_seconds * 1000,
        empty_is_clear=rule.no_data == "ok",
    )


def _clean(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text[:_LONGEST_VALUE].replace("\x00", "\ufffd")


def name_group(group: dict[str, Any]) -> str:
    """Return the id of a group: short whatever its values are."""
    return hashlib.sha256(orjson.dumps(group, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


class RuleSet:
    """The enabled rules of one moment, by event type."""

    def __init__(self, rules: Iterable[OwnedRule]) -> None:
        compiled = [CompiledRule(owned) for owned in rules if owned.rule.enabled]
        self.by_name = {rule.rule.name: rule for rule in compiled}
        self._any_type = [rule for rule in compiled if rule.types is None]
        self._by_type: dict[str, list[CompiledRule]] = defaultdict(list)
        for rule in compiled:
            for event_type in rule.types or ():
                self._by_type[event_type].append(rule)

    def find(self, event_type: str) -> list[CompiledRule]:
        """Return the rules that an event of a type could match."""
        named = self._by_type.get(event_type)
        return self._any_type + named if named else self._any_type


@dataclass(slots=True)
class Delta:
    """What a batch adds to one series."""

    group: dict[str, Any]
    buckets: dict[int, list[int]] = field(default_factory=dict)
    samples: list[tuple[int, str]] = field(default_factory=list)
    newest_ms: int = 0


@dataclass(slots=True)
class Tally:
    """What a batch adds to all series, how far it moves the watermark, and what could not be counted."""

    deltas: dict[SeriesKey, Delta] = field(default_factory=dict)
    newest: datetime | None = None
    late: int = 0
    filter_errors: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class Counted:
    """One event while it is counted; its entry is made only when a rule wants to see it."""

    def __init__(self, item: Received, moment: datetime, *, is_late: bool) -> None:
        self.item, self.moment, self.is_late = item, moment, is_late

    @cached_property
    def entry(self) -> dict[str, Any]:
        """The event as rules see it."""
        return build_entry(self.item)

    @cached_property
    def activation(self) -> Any:
        """The entry as filters see it. Raises FilterError."""
        return bind_event(self.entry)

    @cached_property
    def weight(self) -> int:
        """How many requests it stands for."""
        count = self.item.event.data.get("count", 1) if self.item.event.type == "requests_summarised" else 1
        return count if isinstance(count, int) and 0 < count < 2**40 else 1


def find_moment(item: Received) -> tuple[datetime, bool]:
    """Return when an event happened, never after it was stored, and whether it came later than allowed."""
    try:
        moment = parse_time(item.event.time)
    except ValueError:
        return item.stored_at, False
    if moment >= item.stored_at:
        return item.stored_at, False
    return moment, item.stored_at - moment > _LATENESS


def count_batch(rules: RuleSet, received: Sequence[Received], tally: Tally) -> Tally:
    """Add to the tally what a run of events adds to the series of the rules; return it."""
    for item in received:
        moment, is_late = find_moment(item)
        if is_late:
            tally.late += 1
        elif tally.newest is None or moment > tally.newest:
            tally.newest = moment
        candidates = rules.find(item.event.type)
        if not candidates:
            continue
        counted = Counted(item, moment, is_late=is_late)
        for rule in candidates:
            try:
                if _matches(rule, counted):
                    _count(tally, rule, counted)
            except FilterError:
                tally.filter_errors[rule.rule.type] += 1
    return tally


def _matches(rule: CompiledRule, counted: Counted) -> bool:
    event = counted.item.event
    if not rule.every_tenant and (event.tenant or "default") != rule.tenant:
        return False
    if rule.rule.type == "auth_failures":
        if not event.source.startswith(_OWN_SOURCE):
            return False
        if event.type == "requests_summarised" and event.data.get("status_code") != _UNAUTHENTICATED:
            return False
    # The request that this one announces is counted when it is answered.
    if rule.rule.type == "error_rate" and event.type == "request_started":
        return False
    # What comes too late has no window any more; a count of events alone still takes it, when it comes in.
    if counted.is_late and rule.rule.type != "frequency":
        return False
    return rule.filter is None or rule.filter.matches(counted.activation)


def _count(tally: Tally, rule: CompiledRule, counted: Counted) -> None:
    group = rule.find_group(counted.entry) if rule.rule.group_by else {}
    key = (rule.rule.name, name_group(group))
    delta = tally.deltas.get(key)
    if delta is None:
        delta = tally.deltas[key] = Delta(group)
    moment = counted.item.stored_at if counted.is_late else counted.moment
    moment_ms = int(moment.timestamp() * 1000)
    bucket = rule.shape.find_bucket(moment_ms)
    is_match = rule.rule.type != "error_rate" or counted.entry["status"] == "failure"
    cell = delta.buckets.setdefault(bucket, [0, 0])
    cell[0] += counted.weight
    cell[1] += counted.weight if is_match else 0
    if is_match:
        delta.samples.append((bucket, counted.item.event.id))
        del delta.samples[:-5]
    delta.newest_ms = max(delta.newest_ms, moment_ms)

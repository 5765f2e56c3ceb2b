"""Filters of rules: CEL over `event`, typed and checked when a rule is saved, and which event types one can match.

An event on which a filter cannot be evaluated does not match; that is counted, and never stops the reader.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from shared.errors import invalid

_ENV = cel.NewEnv(variables={"event": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})
_POSITION = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")
_TYPE_IS = re.compile(r"event\.event_type\s*==\s*(['\"])([\w.:/-]+)\1")
_TYPE_IN = re.compile(r"event\.event_type\s+in\s+\[([^\]]*)\]")
_TYPE_ITEM = re.compile(r"\s*(['\"])([\w.:/-]+)\1\s*")
_EVALUATION_ERRORS = (RuntimeError, TypeError, ValueError, OverflowError)


class FilterError(ValueError):
    """An event on which a filter could not be evaluated."""


class Filter:
    """One compiled filter."""

    def __init__(self, text: str) -> None:
        self._expression = _ENV.compile(text)
        self.return_type = str(self._expression.return_type())

    def matches(self, activation: Any) -> bool:
        """Say whether it matches. Raises FilterError when it cannot be said."""
        try:
            value = self._expression.eval(activation).plain_value()
        except _EVALUATION_ERRORS as error:
            raise FilterError(str(error)) from error
        if value is True or value is False:
            return bool(value)
        raise FilterError("the filter's answer is neither true nor false")


def bind_event(entry: Mapping[str, Any]) -> Any:
    """Return what filters are evaluated on, once an entry. Raises FilterError when CEL cannot hold it."""
    try:
        return _ENV.Activation({"event": entry})
    except _EVALUATION_ERRORS as error:
        raise FilterError(str(error)) from error


@lru_cache(maxsize=2048)
def compile_filter(text: str) -> Filter:
    """Return the compiled filter. Raises AppError invalid that names the field, the line and the column."""
    try:
        compiled = Filter(text)
    except _EVALUATION_ERRORS as error:
        found = _POSITION.search(str(error))
        where = f"line {found[1]}, column {found[2]}: {found[3]}" if found else str(error).split("\n", maxsplit=1)[0]
        raise invalid(f"filter is not valid CEL, {where}", field="filter") from error
    if compiled.return_type not in {"BOOL", "DYN"}:
        raise invalid(f"filter must be a condition, and is {compiled.return_type}, line 1, column 1", field="filter")
    return compiled


def find_event_types(text: str | None) -> frozenset[str] | None:
    """Return the only event types that a filter can match, None when it does not say so plainly.

    Only whole conjuncts count (`event.event_type == 'x' && …`, `event.event_type in ['x', 'y'] && …`), so that an event
    is never kept from a rule that would match it.
    """
    conjuncts = _split_conjuncts(text or "")
    for conjunct in conjuncts or ():
        if found := _TYPE_IS.fullmatch(conjunct):
            return frozenset({found[2]})
        if found := _TYPE_IN.fullmatch(conjunct):
            items = [_TYPE_ITEM.fullmatch(item) for item in found[1].split(",")]
            if all(items):
                return frozenset(item[2] for item in items if item)
    return None


def _split_conjuncts(text: str) -> list[str] | None:
    """Return what stands between the outermost `&&`; None when the text is not a plain conjunction."""
    parts, depth, start, place = [], 0, 0, 0
    while place < len(text):
        letter = text[place]
        if letter in "'\"":
            # A raw, byte or triple-quoted literal is read otherwise: rather no index than a wrong one.
            if text[place : place + 3] in {"'''", '"""'} or (place and text[place - 1] in "rRbB"):
                return None
            place = _skip_literal(text, place)
        elif letter in "/?\\":
            return None
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif depth == 0 and text.startswith("||", place):
            return None
        elif depth == 0 and text.startswith("&&", place):
            parts.append(text[start:place].strip())
            start = place = place + 2
            continue
        place += 1
    return [*parts, text[start:].strip()]


def _skip_literal(text: str, place: int) -> int:
    """Return the place of the closing quote of the literal that opens at `place`."""
    quote, place = text[place], place + 1
    while place < len(text) and text[place] != quote:
        place += 2 if text[place] == "\\" else 1
    return place

import itertools

from hypothesis import given
from hypothesis import strategies as st

from shared.projector import IntervalSet

NUMBERS = st.lists(st.integers(1, 60), max_size=80)


@given(NUMBERS)
def test_it_is_a_set(numbers: list[int]) -> None:
    intervals, known = IntervalSet(), set()
    for number in numbers:
        assert intervals.add(number) is (number not in known)
        known.add(number)
    assert all((number in intervals) is (number in known) for number in range(1, 62))
    assert intervals.high_water == max(known, default=0)


@given(NUMBERS)
def test_intervals_are_disjoint_ordered_and_do_not_touch(numbers: list[int]) -> None:
    intervals = IntervalSet()
    for number in numbers:
        intervals.add(number)
    parts = intervals.intervals()
    assert all(first <= last for first, last in parts)
    assert all(left[1] + 1 < right[0] for left, right in itertools.pairwise(parts))
    assert IntervalSet(parts).intervals() == parts


@given(NUMBERS)
def test_holes_are_what_misses_below_the_high_water(numbers: list[int]) -> None:
    intervals = IntervalSet()
    for number in numbers:
        intervals.add(number)
    missing = {number for first, last in intervals.holes() for number in range(first, last + 1)}
    assert missing == set(range(1, intervals.high_water + 1)) - set(numbers)

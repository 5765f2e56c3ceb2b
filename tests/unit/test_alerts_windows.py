"""Windows: counting by buckets equals a naive recount, and alerts do what a second-by-second reading says."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.alerts.windows import Bounds, Counts, Level, Phase, Ring, Standing, Sums, cut_window, find_due, walk

EVENTS = st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=80)


def fill(ring, shape, events):
    for second, matching in events:
        ring.add(shape.find_bucket(second * 1000), 1, int(matching))


@given(events=EVENTS, window=st.integers(1, 200), end_second=st.integers(0, 500))
def test_a_window_counts_what_a_naive_recount_counts(events, window, end_second):
    shape, ring = cut_window(window), Ring()
    fill(ring, shape, events)
    end = shape.find_bucket(end_second * 1000)
    inside = [matching for second, matching in events if end - shape.buckets < shape.find_bucket(second * 1000) <= end]
    assert Sums(ring, shape).measure(end) == Counts(len(inside), sum(inside))


@given(window=st.integers(1, 30 * 86400))
def test_a_window_has_at_most_sixty_buckets_and_is_never_shorter_than_asked(window):
    shape = cut_window(window)
    assert 1 <= shape.buckets <= 60
    assert 0 <= shape.buckets * shape.width_ms - window * 1000 < shape.width_ms


@given(events=EVENTS, window=st.integers(1, 200))
def test_every_end_at_which_a_window_differs_is_listed(events, window):
    shape, ring = cut_window(window), Ring()
    fill(ring, shape, events)
    sums = Sums(ring, shape)
    last = shape.find_bucket(700_000)
    listed = set(sums.list_changes(0, last))
    for end in range(1, last + 1):
        assert end in listed or sums.measure(end) == sums.measure(end - 1)


@given(seconds=st.lists(st.integers(1, 300), max_size=60), cuts=st.lists(st.integers(0, 60), max_size=5))
def test_a_count_fires_and_resolves_the_same_however_events_are_batched(seconds, cuts):
    ordered = sorted(seconds)
    places = sorted({0, *(cut for cut in cuts if cut < len(ordered)), len(ordered)})
    split = [ordered[first:last] for first, last in pairwise(places)]
    assert follow(split) == follow([ordered])


def follow(batches):
    shape, bounds = cut_window(30), Bounds(is_share=False, threshold=3)
    ring, standing, turns = Ring(), Standing(), []
    for batch in filter(None, batches):
        fill(ring, shape, [(second, True) for second in batch])
        until_ms = max(batch) * 1000
        changed = shape.find_bucket(min(batch) * 1000), shape.find_bucket(until_ms)
        turns += walk(ring, shape, bounds, standing, until_ms=until_ms, changed=changed)
    turns += walk(ring, shape, bounds, standing, until_ms=1_000_000)
    return [(turn.phase, turn.end) for turn in turns]


def test_an_alert_resolves_when_the_window_has_emptied_and_only_time_has_passed():
    shape, bounds = cut_window(60), Bounds(is_share=False, threshold=2)
    ring, standing = Ring(), Standing()
    fill(ring, shape, [(100, True), (101, True)])
    assert [turn.phase for turn in walk(ring, shape, bounds, standing, until_ms=101_000, changed=(100, 101))] == [
        Phase.FIRING
    ]
    assert find_due(ring, shape, bounds, standing) == 160_000
    assert walk(ring, shape, bounds, standing, until_ms=159_999) == []
    assert [turn.phase for turn in walk(ring, shape, bounds, standing, until_ms=160_000)] == [Phase.IDLE]
    assert find_due(ring, shape, bounds, standing) is None


def test_a_late_event_fires_the_window_it_belongs_to_but_never_one_that_resolved():
    shape, bounds = cut_window(10), Bounds(is_share=False, threshold=2)
    ring, standing = Ring(), Standing()
    fill(ring, shape, [(100, True)])
    walk(ring, shape, bounds, standing, until_ms=300_000, changed=(100, 100))
    fill(ring, shape, [(101, True)])
    turns = walk(ring, shape, bounds, standing, until_ms=300_000, changed=(101, 101))
    assert [(turn.phase, turn.end) for turn in turns] == [(Phase.FIRING, 101), (Phase.IDLE, 110)]
    fill(ring, shape, [(102, True)])
    assert walk(ring, shape, bounds, standing, until_ms=300_000, changed=(102, 102)) == []


def test_a_breach_must_hold_for_as_long_as_the_rule_says():
    shape, bounds = cut_window(60), Bounds(is_share=False, threshold=1, for_ms=20_000)
    ring, standing = Ring(), Standing()
    fill(ring, shape, [(100, True)])
    turns = walk(ring, shape, bounds, standing, until_ms=100_000, changed=(100, 100))
    assert [turn.phase for turn in turns] == [Phase.PENDING]
    assert find_due(ring, shape, bounds, standing) == 120_000
    turns = walk(ring, shape, bounds, standing, until_ms=125_000)
    assert [(turn.phase, turn.at_ms) for turn in turns] == [(Phase.FIRING, 120_000)]


def test_a_breach_that_does_not_hold_never_fires():
    shape, bounds = cut_window(5), Bounds(is_share=False, threshold=1, for_ms=20_000)
    ring, standing = Ring(), Standing()
    fill(ring, shape, [(100, True)])
    walk(ring, shape, bounds, standing, until_ms=100_000, changed=(100, 100))
    turns = walk(ring, shape, bounds, standing, until_ms=200_000)
    assert [(turn.phase, turn.before) for turn in turns] == [(Phase.IDLE, Phase.PENDING)]


def test_a_share_has_a_minimum_and_a_clear_level():
    bounds = Bounds(is_share=True, threshold=0.5, clear=0.2, minimum=10)
    assert bounds.judge(Counts(9, 9)) is Level.BETWEEN
    assert bounds.judge(Counts(10, 5)) is Level.BREACH
    assert bounds.judge(Counts(10, 3)) is Level.BETWEEN
    assert bounds.judge(Counts(10, 2)) is Level.CLEAR
    assert bounds.judge(Counts(0, 0)) is Level.CLEAR
    assert Bounds(is_share=True, threshold=0.5, empty_is_clear=False).judge(Counts(0, 0)) is Level.BETWEEN


def test_what_comes_in_the_very_bucket_that_resolved_still_fires():
    shape, bounds = cut_window(1), Bounds(is_share=False, threshold=1)
    ring, standing = Ring(), Standing()
    fill(ring, shape, [(100, True)])
    walk(ring, shape, bounds, standing, until_ms=100_500, changed=(100, 100))
    assert [turn.phase for turn in walk(ring, shape, bounds, standing, until_ms=101_000)] == [Phase.IDLE]
    fill(ring, shape, [(101, True)])
    turns = walk(ring, shape, bounds, standing, until_ms=101_200, changed=(101, 101))
    assert [(turn.phase, turn.end) for turn in turns] == [(Phase.FIRING, 101)]

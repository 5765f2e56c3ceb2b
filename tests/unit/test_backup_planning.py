"""What a backup reads, what may go, and which moment a restore means."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.backup.domain import (
    Moment,
    check_moment,
    convert_time_ns,
    find_expired,
    find_range,
    plan_take,
    select_messages,
    select_segments,
)
from services.backup.manifest import Manifest, SegmentEntry, StreamEntry
from services.backup.reader import StreamState
from services.backup.segment import Message

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_state(last: int, *, first: int = 1, created: str = "c1") -> StreamState:
    return StreamState("EVENTS", "EVENTS-1", "1", created, {"name": "EVENTS-1"}, first, last)


def make_entry(first: int, last: int, times: tuple[int, int]) -> SegmentEntry:
    return SegmentEntry(
        object=f"o{first}", sha256=f"s{first}", previous="p", first_sequence=first, last_sequence=last,
        first_time_ns=times[0], last_time_ns=times[1], messages=last - first + 1, bytes=1, stored_bytes=1,
    )  # fmt: skip


def make_manifest(backup_id: str, entries: list[SegmentEntry], *, parent: str | None = None, last: int = 0) -> Manifest:
    stream = StreamEntry(
        stream="EVENTS-1", incarnation="1", created="c1", config={}, first_sequence=1,
        last_sequence=entries[-1].last_sequence if entries else last, head=f"head of {backup_id}", segments=entries,
    )  # fmt: skip
    return Manifest(
        backup_id=backup_id, type="incremental" if parent else "full", description="", created_by="", parent=parent,
        parent_sha256=None, covered_at="1970-01-01T00:00:01.000Z", completed_at="1970-01-01T00:00:01.000Z", key_id="k",
        streams={"EVENTS": stream},
    )  # fmt: skip


def test_an_incremental_goes_on_where_its_parent_ended():
    parent = make_manifest("a", [make_entry(1, 10, (1, 10))])
    kind, (work,) = plan_take("incremental", parent, [make_state(15)])
    assert (kind, work.first, work.covered_from, work.previous) == ("incremental", 11, 1, "head of a")


def test_a_full_reads_everything_anew_and_is_linked_to_the_old_head():
    parent = make_manifest("a", [make_entry(1, 10, (1, 10))])
    kind, (work,) = plan_take("full", parent, [make_state(15, first=4)])
    assert (kind, work.first, work.covered_from, work.previous) == ("full", 4, 4, "head of a")


def test_an_incremental_becomes_full_without_a_parent_or_in_another_life_of_the_stream():
    parent = make_manifest("a", [make_entry(1, 10, (1, 10))])
    assert plan_take("incremental", None, [make_state(15)])[0] == "full"
    assert plan_take("incremental", parent, [make_state(15, created="c2")])[0] == "full"
    kind, (work,) = plan_take("incremental", parent, [make_state(9)])
    assert (kind, work.previous) == ("full", "0" * 64)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=20), st.integers(1, 60))
def test_expiry_never_breaks_what_stays(backups, days):
    points = []
    for number, (is_full, age) in enumerate(sorted(backups, key=lambda item: -item[1])):
        parent = None if is_full or not points else points[-1][0]
        points.append((f"b{number}", parent, NOW - timedelta(days=age, seconds=-number)))
    expired = find_expired(points, NOW, days=days)
    kept = {backup_id for backup_id, _, _ in points} - set(expired)
    parents = {backup_id: parent for backup_id, parent, _ in points}
    assert all(parents[backup_id] is None or parents[backup_id] in kept for backup_id in kept)
    assert not points or points[-1][0] in kept
    times = {backup_id: time for backup_id, _, time in points}
    assert all(times[backup_id] < NOW - timedelta(days=days) for backup_id in expired)
    for place, backup_id in enumerate(expired):
        assert parents[backup_id] not in expired[:place], "a parent goes after its children"


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_restore_to_a_sequence_takes_exactly_its_past(split, sequence):
    total = 30
    split = min(split, total - 1)
    entries = [make_entry(1, split, (1, split)), make_entry(split + 1, total, (split + 1, total))]
    covered = find_range([make_manifest("a", entries[:1]), make_manifest("b", entries[1:], parent="a")], "EVENTS")
    moment = Moment(sequence=sequence)
    assert check_moment(moment, covered) is None
    chosen = [entry for _, entry in select_segments(moment, covered)]
    messages = [
        message
        for entry in chosen
        for message in select_messages(
            moment, [Message(n, n, "s", b"", b"") for n in range(entry.first_sequence, entry.last_sequence + 1)]
        )
    ]
    assert [message.sequence for message in messages] == list(range(1, sequence + 1))


def test_moments_that_nothing_covers_are_refused_in_words():
    covered = find_range([make_manifest("a", [make_entry(1, 10, (100, 200))])], "EVENTS")
    assert "1 to 10" in (check_moment(Moment(sequence=11), covered) or "")
    assert "earlier" in (check_moment(Moment(time_ns=99), covered) or "")
    assert "later" in (check_moment(Moment(time_ns=2_000_000_000), covered) or "")
    assert check_moment(Moment(time_ns=150), covered) is None
    assert check_moment(Moment(), covered) is None


def test_a_time_takes_the_messages_before_the_first_later_one():
    messages = [Message(1, 10, "s", b"", b""), Message(2, 20, "s", b"", b""), Message(3, 30, "s", b"", b"")]
    assert select_messages(Moment(time_ns=29), messages) == messages[:2]


def test_times_keep_their_microseconds():
    moment = datetime(2026, 11, 20, 10, 0, 0, 123457, tzinfo=UTC)
    assert convert_time_ns(moment) % 1_000_000_000 == 123_457_000

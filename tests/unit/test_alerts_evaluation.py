"""Filters, entries, counting, and what a series makes of it."""

from datetime import UTC, datetime, timedelta

import pytest

from services.alerts.contract.rules import Rule
from services.alerts.domain import OwnedRule, complete_rule
from services.alerts.evaluation import RuleSet, Tally, count_batch
from services.alerts.filters import compile_filter, find_event_types
from services.alerts.series import Series, move
from shared.envelope import Event
from shared.errors import AppError
from shared.projector import Received

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def at(second):
    return (START + timedelta(seconds=second)).isoformat()


def record(number, second=0, *, status=200, event_type="request_completed", late=0, **data):
    known = {"status_code": status, "route": "orders", "ip_address": "10.0.0.1", "method": "GET"} | data
    event = Event(
        id=f"e{number}",
        source="/gatehouse/gateway/a/b/c",
        type=event_type,
        time=at(second),
        data=known,
        tenant="default",
    )
    return Received(event, "traffic.a", number, START + timedelta(seconds=second + late))


def build(*, every_tenant=True, **fields):
    body = {"name": "r", "type": "frequency", "severity": "high", "window_seconds": 60, "threshold": 3} | fields
    return OwnedRule(complete_rule(Rule.model_validate(body)), "default", every_tenant, at(0), at(0))


def count(owned, items):
    rules = RuleSet([owned])
    return rules, count_batch(rules, items, Tally())


def run(owned, *batches, until=None):
    rules, series, alert, outbox, states = RuleSet([owned]), {}, {}, [], []
    for items in batches:
        for key, delta in count_batch(rules, items, Tally()).deltas.items():
            rule = rules.by_name[key[0]]
            one = series.setdefault(key, Series(*key, delta.group, rule.shape_id))
            moved = move(one, rule, alert.get(one.alert_id), delta=delta)
            alert |= moved.alerts
            outbox += moved.outbox
    for one in series.values() if until else ():
        until_ms = int((START + timedelta(seconds=until)).timestamp() * 1000)
        moved = move(one, rules.by_name[one.rule], alert.get(one.alert_id), until_ms=until_ms)
        alert |= moved.alerts
        outbox += moved.outbox
    states = [(item.state, item.notified) for item in alert.values() if item]
    return states, [(row.kind, row.transition) for row in outbox], alert


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event.event_type == 'a'", {"a"}),
        ("event.route == 'x' && event.event_type in ['a', 'b']", {"a", "b"}),
        ("event.route == 'x' || event.event_type == 'a'", None),
        ("!(event.event_type == 'a')", None),
        ("(event.event_type == 'a') == false", None),
        ("event.path == '&& event.event_type == \\'a\\''", None),
        ("event.path == r'\\' && event.event_type == 'a'", None),
        ("true ? event.event_type == 'a' : true", None),
        ("", None),
    ],
)
def test_a_filter_is_indexed_only_by_types_that_it_plainly_demands(text, expected):
    assert find_event_types(text) == (frozenset(expected) if expected else None)


@pytest.mark.parametrize(
    ("text", "position"),
    [("event.route == ", "line 1, column"), ("evnt.route == 'a'", "line 1, column 5"), ("1 + 1", "line 1, column 1")],
)
def test_a_wrong_filter_is_refused_with_the_field_and_the_position(text, position):
    with pytest.raises(AppError) as refused:
        compile_filter(text)
    assert position in refused.value.fields["filter"]


def test_rule_types_of_later_versions_are_refused_in_a_sentence():
    with pytest.raises(AppError, match="not evaluated by this version yet"):
        build(type="anomaly")


def test_a_filter_that_cannot_be_evaluated_does_not_match_and_is_counted():
    _, tally = count(build(filter="event.details.nothing.here == 1"), [record(1)])
    assert tally.deltas == {}
    assert tally.filter_errors == {"frequency": 1}


def test_auth_failures_are_grouped_by_address_unless_said_otherwise():
    owned = build(type="auth_failures")
    assert owned.rule.group_by == ["ip_address"]
    assert build(type="auth_failures", group_by=[]).rule.group_by == []
    items = [record(n, event_type="auth_failed", status=401, ip_address=f"10.0.0.{n % 2}") for n in range(4)]
    _, tally = count(owned, [*items, record(9)])
    assert sorted(delta.group["ip_address"] for delta in tally.deltas.values()) == ["10.0.0.0", "10.0.0.1"]


def test_a_summary_of_refusals_counts_for_all_of_them():
    summary = record(1, event_type="requests_summarised", status=401, count=250, reason="unauthenticated")
    _, tally = count(build(type="auth_failures", group_by=[]), [summary])
    assert [list(delta.buckets.values()) for delta in tally.deltas.values()] == [[[250, 250]]]


def test_an_error_rate_counts_failures_not_denials():
    owned = build(type="error_rate", threshold=0.5, minimum=4)
    statuses = [200, 500, 404, 401, 403, 429]
    _, tally = count(owned, [record(n, status=status) for n, status in enumerate(statuses)])
    assert [list(delta.buckets.values()) for delta in tally.deltas.values()] == [[[6, 2]]]


def test_a_rule_of_one_tenant_does_not_see_the_events_of_another():
    _, tally = count(build(every_tenant=False, filter="event.tenant == 'acme'"), [record(1)])
    assert tally.deltas == {}


def test_what_comes_too_late_is_counted_and_joins_only_a_count_of_events():
    late = [record(1, late=601)]
    rules, tally = count(build(type="error_rate", threshold=0.5), late)
    assert (tally.late, tally.deltas) == (1, {})
    rules, tally = count(build(), late)
    delta = next(iter(tally.deltas.values()))
    assert list(delta.buckets) == [rules.by_name["r"].shape.find_bucket(int(late[0].stored_at.timestamp() * 1000))]


def test_an_alert_fires_once_and_resolves_and_tells_the_streams_and_the_channels():
    owned = build(channels=["hook"])
    states, sent, alerts = run(owned, [record(n, n) for n in range(5)], until=100)
    assert states == [("resolved", True)]
    assert sent == [(kind, turn) for turn in ("fired", "resolved") for kind in ("events", "nats", "webhook")]
    alert = next(iter(alerts.values()))
    assert alert.explanation["counts"]["matching"] == 3
    assert alert.resolved_at == "2026-01-01T12:01:02.999Z"


def test_a_second_firing_within_the_cooldown_is_recorded_and_not_sent():
    again = [record(10 + n, 200 + n) for n in range(5)]
    states, sent, _ = run(build(channels=["hook"]), [record(n, n) for n in range(5)], again)
    assert states == [("resolved", True), ("fired", False)]
    assert sent[-1] == ("events", "fired")


def test_a_second_firing_after_the_cooldown_is_sent():
    again = [record(10 + n, 200 + n) for n in range(5)]
    states, _, _ = run(build(cooldown_seconds=100), [record(n, n) for n in range(5)], again)
    assert states == [("resolved", True), ("fired", True)]


def test_a_group_is_kept_out_of_the_event_stream():
    _, _, alerts = run(build(group_by=["ip_address"]), [record(n, n) for n in range(5)])
    alert = next(iter(alerts.values()))
    assert alert.group_values == {"ip_address": "10.0.0.1"}
    rules = RuleSet([build(group_by=["ip_address"])])
    tally = count_batch(rules, [record(n, n) for n in range(5)], Tally())
    ((key, delta),) = tally.deltas.items()
    moved = move(Series(*key, delta.group, rules.by_name["r"].shape_id), rules.by_name["r"], None, delta=delta)
    by_kind = {row.kind: row.payload for row in moved.outbox}
    assert "10.0.0.1" not in by_kind["events"]
    assert "10.0.0.1" in by_kind["nats"]

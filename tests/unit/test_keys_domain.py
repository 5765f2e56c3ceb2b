"""Keys' decisions: pure, and folding what was decided equals the state that a command returns."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from services.keys.contract.events import ApiKeyCreated, Secret, Verifier
from services.keys.contract.requests import Route, UpdateKey
from services.keys.domain import Key, decide_put_route, decide_revoke, decide_rotate, decide_update, evolve, fold
from shared.errors import AppError, Category

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TIME = "2026-01-01T00:00:00.000Z"
ROUTE = Route(name="r", path_prefix="/r", upstream=["http://127.0.0.1:1"])


def seal(mac: str) -> Secret:
    return Secret(verifier=Verifier(pepper_version=1, mac=mac))


def build_created(**changes: object) -> ApiKeyCreated:
    fields = {
        "key_id": "key_A", "name": "n", "tenant": "t", "owner": "o", "created_by": "o", "permissions": ("read",),
        "rate_limit": 10, "secret": seal("m0"),
    }  # fmt: skip
    return ApiKeyCreated(**(fields | changes))


def build_key(**changes: object) -> Key:
    return evolve(None, build_created(**changes), TIME, 1)


STEPS = st.lists(
    st.one_of(
        st.builds(lambda n: ("rotate", n), st.integers(0, 100)),
        st.builds(lambda n: ("limit", n), st.integers(1, 5)),
        st.just(("revoke", 0)),
    ),
    max_size=12,
)


@given(STEPS)
def test_the_fold_of_all_events_is_the_state_after_each(steps: list[tuple[str, int]]) -> None:
    created = build_created()
    events: list[tuple[BaseModel, str, int]] = [(created, TIME, 1)]
    key = evolve(None, created, TIME, 1)
    refused: list[tuple[Category, str | None]] = []
    for kind, number in steps:
        try:
            if kind == "rotate":
                decided = decide_rotate(key, seal(f"m{number}"), grace_seconds=number, now=NOW)
            elif kind == "limit":
                decided = decide_update(key, UpdateKey(rate_limit=number))
            else:
                decided = decide_revoke(key, "why")
        except AppError as error:
            refused.append((error.category, key.revoked_at))
            continue
        for data in decided:
            events.append((data, TIME, len(events) + 1))
            key = evolve(key, *events[-1])
    assert fold(events) == key
    assert set(refused) <= {(Category.CONFLICT, TIME)}


def test_nothing_follows_a_revocation() -> None:
    revoked = evolve(build_key(), decide_revoke(build_key(), "x")[0], TIME, 2)
    assert decide_revoke(revoked, "again") == []
    for decide in (
        lambda: decide_update(revoked, UpdateKey(name="b")),
        lambda: decide_rotate(revoked, seal("m"), grace_seconds=0, now=NOW),
    ):
        with pytest.raises(AppError, match="revoked"):
            decide()


def test_a_second_rotation_ends_the_first_grace() -> None:
    key = build_key()
    for number in (2, 3):
        key = evolve(key, decide_rotate(key, seal(f"m{number}"), grace_seconds=60, now=NOW)[0], TIME, number)
    assert (key.mac, key.previous_mac) == ("m3", "m2")


def test_status_goes_by_time() -> None:
    key = build_key(expires_at="2026-01-02T00:00:00.000Z")
    assert key.status_at(NOW) == "active"
    assert key.status_at(NOW + timedelta(days=1)) == "expired"
    rotating = evolve(key, decide_rotate(key, seal("m1"), grace_seconds=60, now=NOW)[0], TIME, 2)
    assert rotating.status_at(NOW) == "rotating"
    assert rotating.status_at(NOW + timedelta(seconds=60)) == "active"


def test_an_update_that_changes_nothing_is_no_event() -> None:
    assert decide_update(build_key(), UpdateKey(rate_limit=10, name="n")) == []


def test_routes() -> None:
    assert decide_put_route(ROUTE, ROUTE, must_be_new=False) == []
    with pytest.raises(AppError, match="already"):
        decide_put_route(ROUTE, ROUTE, must_be_new=True)


def test_a_missing_key_is_not_found() -> None:
    with pytest.raises(AppError, match="no such key"):
        decide_revoke(None, "x")

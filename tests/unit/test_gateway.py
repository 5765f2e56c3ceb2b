"""The gateway's pure parts: paths, credentials, permissions, limits, endpoints, addresses, second names."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.api.aliases import resolve_alias
from services.gateway.authenticate import Authenticator, RefusedError, pick_credential
from services.gateway.endpoints import EndpointNames, build_template
from services.gateway.identity import AddressFinder, continue_trace, is_host, pick_request_id
from services.gateway.limits import Limiter
from services.gateway.proxy.headers import filter_response_headers
from services.gateway.proxy.paths import encode_target, normalise_path
from services.gateway.upstream import UpstreamResponse
from services.gateway.upstream.connection import UpstreamConnection
from services.gateway.view import View
from services.keys.contract.credentials import complete_key, compute_mac, read_key_id
from services.keys.contract.permissions import allows, find_lacking
from services.keys.contract.requests import ReadRoute
from services.keys.contract.view import KeyEntry, RouteEntry

PEPPER = bytes(32)
KEY = complete_key("live", "A" * 12, "b" * 32)

GRACE = {"mac": "0" * 64, "previous_mac": compute_mac(PEPPER, KEY), "previous_valid_until": "2999-01-01T00:00:00Z"}


def build_view(**changes: object) -> View:
    entry = KeyEntry(
        sequence=1, key_id="key_AAAAAAAAAAAA", name="k", tenant="default", owner="user:a", permissions=("read",),
        rate_limit=10, mac=compute_mac(PEPPER, KEY),
    ).model_copy(update=changes)  # fmt: skip
    view = View()
    view.apply("key.key_AAAAAAAAAAAA", entry.model_dump_json().encode())
    return view


@given(st.text(max_size=40))
def test_no_path_climbs_out_of_the_root(path: str) -> None:
    parts = normalise_path(path).split("/")
    assert parts[0] == ""
    assert ".." not in parts
    assert "." not in parts


@pytest.mark.parametrize(
    ("path", "prefix", "target"),
    [("/demo/x", "/demo", "/x"), ("/demo", "/demo", "/"), ("/a b/ü", "/", "/a%20b/%C3%BC"), ("/a?b", "", "/a%3Fb")],
)
def test_the_target_is_encoded_without_its_prefix(path: str, prefix: str, target: str) -> None:
    assert encode_target(path, prefix) == target


def test_a_route_matches_whole_segments_and_the_longest_wins() -> None:
    view = View()
    for name, prefix in (("short", "/a"), ("long", "/a/b"), ("root", "/")):
        route = ReadRoute(name=name, path_prefix=prefix, upstream=["http://127.0.0.1:1"])
        view.apply(f"config.route.{name}", RouteEntry(sequence=1, route=route).model_dump_json().encode())
    found = {path: view.find_route(path) for path in ("/a", "/a/bc", "/a/b/c", "/ab")}
    names = {path: route.route.name if route else None for path, route in found.items()}
    assert names == {"/a": "short", "/a/bc": "short", "/a/b/c": "long", "/ab": "root"}


def test_the_view_only_moves_upward() -> None:
    view = build_view(sequence=5, revoked=True)
    older = build_view(sequence=4).keys["key_AAAAAAAAAAAA"]
    assert older.revoked is False
    view.apply("key.key_AAAAAAAAAAAA", KeyEntry(
        sequence=4, key_id="key_AAAAAAAAAAAA", name="k", tenant="t", owner="o", permissions=(), rate_limit=1, mac="",
    ).model_dump_json().encode())  # fmt: skip
    assert view.keys["key_AAAAAAAAAAAA"].revoked


def test_a_good_key_is_its_principal() -> None:
    principal = Authenticator(PEPPER).authenticate(build_view(), KEY, "127.0.0.1")
    assert (principal.name, principal.may("audit:read"), principal.may("keys:write")) == (
        "key:key_AAAAAAAAAAAA",
        True,
        False,
    )


@pytest.mark.parametrize(
    ("key", "changes", "reason"),
    [
        (KEY[:-1], {}, "malformed"),
        (KEY.replace("b", "c", 1), {}, "malformed"),
        (complete_key("live", "A" * 12, "c" * 32), {}, "wrong"),
        (complete_key("live", "B" * 12, "c" * 32), {}, "unknown"),
        (KEY, {"revoked": True}, "revoked"),
        (KEY, {"expires_at": "2020-01-01T00:00:00.000Z"}, "expired"),
        (KEY, GRACE | {"previous_valid_until": "2020-01-01T00:00:00Z"}, "rotated"),
        (KEY, {"allowed_ips": ("10.0.0.0/8",)}, "ip_not_allowed"),
        ("gk_live_" + "é" * 50, {}, "malformed"),
        ("gk_" + "x" * 10_000, {}, "malformed"),
    ],
)  # fmt: skip
def test_a_bad_key_is_refused_and_the_record_says_why(key: str, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        Authenticator(PEPPER).authenticate(build_view(**changes), key, "127.0.0.1")
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"revoked": True}, "revoked"),
        ({"expires_at": "2020-01-01T00:00:00.000Z"}, "expired"),
        ({"mac": "0" * 64}, "wrong"),
        (GRACE | {"previous_valid_until": "2020-01-01T00:00:00Z"}, "rotated"),
    ],
)
def test_a_key_that_was_right_is_checked_anew_once_it_changed(changes: dict[str, object], reason: str) -> None:
    authenticator = Authenticator(PEPPER)
    view = build_view()
    first = authenticator.authenticate(view, KEY, "127.0.0.1")
    assert authenticator.authenticate(view, KEY, "127.0.0.1") is first
    with pytest.raises(RefusedError) as refused:
        authenticator.authenticate(build_view(sequence=2, **changes), KEY, "127.0.0.1")
    assert refused.value.reason == reason
    with pytest.raises(RefusedError):
        authenticator.authenticate(View(), KEY, "127.0.0.1")


def test_a_grace_ends_by_the_clock_also_for_a_secret_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator, view = Authenticator(PEPPER), build_view(**GRACE)
    authenticator.authenticate(view, KEY, "127.0.0.1")
    monkeypatch.setattr("services.gateway.authenticate.time.time", lambda: 40_000_000_000.0)
    with pytest.raises(RefusedError) as refused:
        authenticator.authenticate(view, KEY, "127.0.0.1")
    assert refused.value.reason == "rotated"


def test_the_old_secret_works_within_its_grace() -> None:
    assert Authenticator(PEPPER).authenticate(build_view(**GRACE), KEY, "127.0.0.1").sunset is not None


@given(st.text(alphabet="0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", min_size=12, max_size=12))
def test_a_key_carries_its_id_and_no_single_change_passes(public_id: str) -> None:
    key = complete_key("test", public_id, "s" * 32)
    assert read_key_id(key) == f"key_{public_id}"
    damaged = key[:20] + ("x" if key[20] != "x" else "y") + key[21:]
    assert read_key_id(damaged) is None


def test_credentials_are_picked_by_header() -> None:
    assert pick_credential(KEY, "Bearer other") == (KEY, "x-api-key")
    assert pick_credential(None, f"Bearer {KEY}") == (KEY, "authorization")
    assert pick_credential(None, "Bearer somebody-elses-token") == (None, None)


def test_every_connection_header_of_an_answer_is_looked_at() -> None:
    hops = [("connection", "x-hop"), ("connection", "keep-alive"), ("x-hop", "1")]
    response = UpstreamResponse(cast("UpstreamConnection", None), 200, [("content-type", "a/b"), *hops])
    assert filter_response_headers(response) == [("content-type", "a/b")]


@pytest.mark.parametrize(
    ("host", "is_fine"), [("a.example:80", True), ("a b", False), ("a" * 256, False), (None, True)]
)
def test_a_host_is_short_and_well_formed(host: str | None, *, is_fine: bool) -> None:
    assert is_host(host) is is_fine


def test_bundles_and_nobody_grants_what_they_lack() -> None:
    assert allows(("write",), "events:publish")
    assert not allows(("read",), "events:publish")
    assert allows(("keys:read",), "keys:read:own")
    assert not allows(("keys:read:own",), "keys:read")
    assert find_lacking(("read",), ["keys:read", "keys:write"]) == "keys:write"
    assert find_lacking(("admin",), ["admin", "tenants:all"]) is None


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 3)), max_size=120), st.integers(1, 20))
def test_a_window_never_admits_more_than_twice_and_denied_ones_do_not_count(
    steps: list[tuple[float, int]], limit: int
) -> None:
    """The two-cell estimate bounds any 60 s to below twice the limit, and one cell to the limit."""
    limiter, now = Limiter(), 0.0
    cells: dict[int, int] = {}
    for wait, cost in steps:
        now += wait
        if limiter.take("p", "s", limit, cost=cost, now=now).admitted:
            cells[int(now // 60)] = cells.get(int(now // 60), 0) + cost
    assert all(count <= limit for count in cells.values())


def test_cost_zero_only_looks() -> None:
    limiter = Limiter()
    assert limiter.take("p", "s", 1, cost=0, now=0).remaining == 1
    assert limiter.take("p", "s", 1, now=0).admitted
    assert not limiter.take("p", "s", 1, now=1).admitted
    assert limiter.take("p", "s", 1, now=200).admitted


def test_endpoints_are_templates_and_bounded() -> None:
    assert build_template("/orders/7/items/0197c2f4-7d2e-7000-8000-000000000000") == "/orders/{id}/items/{id}"
    assert build_template("/v1/orders/list") == "/v1/orders/list"
    names = EndpointNames()
    seen = {
        names.name(
            "r",
            "GET",
            f"/{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10 % 10]}{'uvwxyzabcd'[n // 100 % 10]}{'efghijklmn'[n // 1000]}",
        )
        for n in range(1500)
    }
    assert len(seen) == 1001
    assert "other" in seen


def test_forwarded_addresses_are_believed_only_from_trusted_proxies() -> None:
    assert AddressFinder("").find("1.2.3.4:5", "9.9.9.9") == "1.2.3.4"
    finder = AddressFinder("10.0.0.0/8")
    assert finder.find("10.0.0.1:5", "6.6.6.6, 9.9.9.9, 10.0.0.2") == "9.9.9.9"
    assert finder.find("1.2.3.4:5", "9.9.9.9") == "1.2.3.4"
    assert finder.find("10.0.0.1:5", "rubbish") == "10.0.0.1"
    assert finder.find("[::1]:80", None) == "::1"


def test_ids_are_taken_when_well_formed() -> None:
    assert pick_request_id("abc-1") == "abc-1"
    assert pick_request_id("a b") != "a b"
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    assert continue_trace(trace).split("-")[1] == "a" * 32
    assert continue_trace("00-" + "0" * 32 + "-" + "b" * 16 + "-01").split("-")[1] != "0" * 32


@pytest.mark.parametrize(
    ("method", "path", "resolved"),
    [
        ("GET", "/api/keys", ("GET", "/api/keys/list")),
        ("POST", "/api/keys", ("POST", "/api/keys/generate")),
        ("GET", "/api/keys/key_x", ("GET", "/api/keys/key_x/info")),
        ("DELETE", "/api/keys/key_x", ("POST", "/api/keys/key_x/revoke")),
        ("GET", "/admin/audit/logs", ("GET", "/api/audit/logs")),
        ("GET", "/audit/logs", ("GET", "/api/audit/logs")),
        ("POST", "/alerts/history/alr_1/resolve", ("POST", "/api/alerts/alr_1/resolve")),
        ("GET", "/api/keys/list", ("GET", "/api/keys/list")),
    ],
)
def test_second_names_lead_to_the_main_path(method: str, path: str, resolved: tuple[str, str]) -> None:
    assert resolve_alias(method, path, b"")[:2] == resolved


def test_second_names_of_parameters() -> None:
    assert (
        resolve_alias("GET", "/admin/audit/logs", b"user_id=key%3Ax&severity=high")[2]
        == b"actor=key%3Ax&severity_filter=high"
    )

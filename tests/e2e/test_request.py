"""One request travels the whole house: authenticated, limited, forwarded, recorded, searchable, counted."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.e2e.eventually import eventually
from tests.fixtures.stack import Stack
from tests.fixtures.upstreams import RawUpstream


def find_entry(stack: Stack, request_id: str, event_type: str | None = None) -> dict[str, Any]:
    query = {"request_id": request_id} | ({"event_type": event_type} if event_type else {})
    return eventually(lambda: stack.api.get("/api/audit/logs", params=query).json()["items"])[0]


def honoured(stack: Stack, secret: str) -> httpx.Client:
    client = stack.client_for(secret)
    eventually(lambda: client.get("/demo/ready").status_code == 200)
    return client


def test_a_request_is_forwarded_and_its_record_is_found(stack: Stack) -> None:
    answer = stack.proxy.get(
        "/demo/orders/7?x=1", headers={"User-Agent": "tester/1", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    )
    assert answer.status_code == 200
    assert answer.json() == {
        "message": "Hello from the sample upstream.",
        "method": "GET",
        "path": "/orders/7",
        "received_bytes": 0,
    }
    assert {"auth", "limit", "upstream", "record"} <= {
        part.split(";")[0].strip() for part in answer.headers["server-timing"].split(",")
    }
    entry = find_entry(stack, answer.headers["x-request-id"])
    expected = {
        "event_type": "request_completed", "method": "GET", "path": "/demo/orders/7", "endpoint": "GET /demo/orders/{id}",
        "status_code": 200, "status": "success", "action": "read", "route": "demo", "resource": "route/demo",
        "category": "traffic", "actor_type": "key", "tenant": "default", "ip_address": "127.0.0.1",
        "user_agent": "tester/1", "trace_id": "a" * 32, "bytes_out": len(answer.content), "severity": "low",
    }  # fmt: skip
    assert {name: entry[name] for name in expected} == expected
    assert stack.api.get(f"/api/audit/logs/{entry['id']}").json()["index"] == entry["index"]


def test_without_a_valid_credential_nothing_is_forwarded_and_the_reason_is_recorded(stack: Stack) -> None:
    nonsense = "gk_live_nonsense"
    bad = [{}, {"X-API-Key": nonsense}, {"Authorization": f"Bearer {nonsense}"}, {"X-API-Key": "gk_" + "x" * 5000}]
    for headers in bad:
        answer = httpx.get(f"{stack.document['proxy']}/demo/x", headers=headers, trust_env=False)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"]
        assert answer.json()["code"] == "unauthenticated"
        entry = find_entry(stack, answer.headers["x-request-id"])
        assert (entry["event_type"], entry["status"], entry["severity"]) == ("auth_failed", "denied", "medium")
        assert entry["details"]["reason"] in {"absent", "malformed"}


def test_the_limit_of_a_key_is_kept_and_said(stack: Stack) -> None:
    client = honoured(stack, stack.new_key(rate_limit=5)["full_key_secret"])
    answers = [client.get("/demo/x") for _ in range(6)]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert answers[0].headers["ratelimit-policy"] == '"per-key";q=5;w=60'
    assert answers[0].headers["x-ratelimit-limit"] == "5"
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["violated-policies"] == ["per-key"]
    assert find_entry(stack, refused.headers["x-request-id"])["event_type"] == "rate_limit_exceeded"


def test_a_revoked_key_is_refused_at_once(stack: Stack) -> None:
    issued = stack.new_key()
    client = honoured(stack, issued["full_key_secret"])
    revoked = stack.api.post(f"/api/keys/{issued['key_id']}/revoke", json={"reason": "left"}).json()
    assert (revoked["status"], revoked["revoked_reason"]) == ("revoked", "left")
    eventually(lambda: client.get("/demo/x").status_code == 401)
    assert stack.api.patch(f"/api/keys/{issued['key_id']}", json={"name": "b"}).status_code == 409
    assert stack.api.post(f"/api/keys/{issued['key_id']}/rotate", json={}).status_code == 409
    assert stack.api.delete(f"/api/keys/{issued['key_id']}").status_code == 200


def test_a_rotated_key_works_until_the_grace_ends(stack: Stack) -> None:
    issued = stack.new_key()
    old = honoured(stack, issued["full_key_secret"])
    rotated = stack.api.post(f"/api/keys/{issued['key_id']}/rotate", json={"grace_seconds": 600}).json()
    assert rotated["key_id"] == issued["key_id"]
    honoured(stack, rotated["full_key_secret"])
    answer = eventually(lambda: (found := old.get("/demo/x")).headers.get("sunset") and found)
    assert answer.status_code == 200
    assert answer.headers["deprecation"].startswith("@")
    final = stack.api.post(f"/api/keys/{issued['key_id']}/rotate", json={"grace_seconds": 0}).json()
    honoured(stack, final["full_key_secret"])
    eventually(lambda: old.get("/demo/x").status_code == 401)


def test_a_key_may_only_what_it_was_granted(stack: Stack) -> None:
    reader = stack.new_key(permissions=["audit:read"])["full_key_secret"]
    api = stack.client_for(reader, door="api")
    eventually(lambda: api.get("/api/audit/status").status_code == 200)
    assert api.post("/api/keys/generate", json={"name": "x"}).status_code == 403
    refused = stack.client_for(reader).get("/demo/x")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert find_entry(stack, refused.headers["x-request-id"])["event_type"] == "policy_denied"


def test_nobody_grants_what_they_lack(stack: Stack) -> None:
    writer = stack.new_key(permissions=["keys:write", "keys:read"])["full_key_secret"]
    api = stack.client_for(writer, door="api")
    eventually(lambda: api.get("/api/keys/list").status_code == 200)
    answer = api.post("/api/keys/generate", json={"name": "x", "permissions": ["admin"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_key_usage_comes_from_the_records(stack: Stack) -> None:
    issued = stack.new_key()
    client = honoured(stack, issued["full_key_secret"])
    used = sum(client.get(path).is_success or 1 for path in ("/demo/a", "/demo/b", "/demo/error"))

    def counted() -> dict[str, Any] | None:
        info = stack.api.get(f"/api/keys/{issued['key_id']}/info").json()
        return info if info["requests_count"] > used else None

    info = eventually(counted)
    assert info["statistics"]["errors_last_24h"] == 1
    assert info["statistics"]["last_ip"] == "127.0.0.1"


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
def test_bodies_of_any_size_arrive_whole_both_ways(stack: Stack, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    with RawUpstream() as upstream, upstream.routed(stack, "echo"):
        answer = stack.proxy.post("/echo/x", content=body[:size])
        assert answer.status_code == 200
        assert answer.content == body[:size]
        chunked = stack.proxy.post("/echo/x", content=iter([body[:size], b"end"]))
        assert chunked.content == body[:size] + b"end"
        entry = find_entry(stack, chunked.headers["x-request-id"])
        assert (entry["bytes_in"], entry["bytes_out"]) == (size + 3, size + 3)


def test_an_event_stream_is_recorded_before_its_first_byte_and_at_its_end(stack: Stack) -> None:
    with stack.proxy.stream("GET", "/demo/stream") as answer:
        request_id = answer.headers["x-request-id"]
        assert find_entry(stack, request_id, "request_started")
        assert "".join(answer.iter_text()).count("data: tick") == 5
    assert find_entry(stack, request_id, "request_completed")["bytes_out"] > 0


def test_what_the_upstream_sees(stack: Stack) -> None:
    with RawUpstream(mode="headers") as upstream, upstream.routed(stack, "seen"):
        key = stack.document["admin_key"]
        answer = stack.proxy.get(
            "/seen/a%20b?q=%2F",
            headers={
                "X-Gatehouse-Tenant": "forged",
                "Authorization": "Bearer other",
                "Connection": "x-hop",
                "X-Hop": "1",
            },
        )
        head = answer.text
    lines = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head.split("\r\n")[1:] if line}
    assert head.split("\r\n")[0] == "GET /a%20b?q=%2F HTTP/1.1"
    assert key not in head
    assert "x-hop" not in lines
    assert lines["authorization"] == "Bearer other"
    assert lines["x-gatehouse-tenant"] == "default"
    assert lines["x-request-id"] == answer.headers["x-request-id"]
    assert "traceparent" in lines
    assert lines["x-forwarded-for"] == "127.0.0.1"


def test_no_credential_of_this_house_reaches_the_upstream(stack: Stack) -> None:
    other = stack.new_key()["full_key_secret"]
    with RawUpstream(mode="headers") as upstream, upstream.routed(stack, "kept"):
        head = stack.proxy.get("/kept/x", headers={"Authorization": f"Bearer {other}"}).text
    assert head.startswith("GET /x")
    assert "gk_" not in head


def test_an_upstream_that_is_away_is_502_and_recorded(stack: Stack) -> None:
    body = {"name": "gone", "path_prefix": "/gone", "upstream": "http://127.0.0.1:9", "retries": 0}
    assert stack.api.post("/api/routes", json=body).status_code == 201
    answer = eventually(lambda: (found := stack.proxy.get("/gone/x")).status_code == 502 and found)
    assert answer.json()["code"] == "upstream_failed"
    assert find_entry(stack, answer.headers["x-request-id"])["status"] == "failure"
    assert stack.api.delete("/api/routes/gone").status_code == 204


def test_routes_are_unique_and_follow_their_changes(stack: Stack) -> None:
    body = {"name": "one", "path_prefix": "/one", "upstream": "http://127.0.0.1:9"}
    assert stack.api.post("/api/routes", json=body).status_code == 201
    assert stack.api.post("/api/routes", json=body).status_code == 409
    assert stack.api.post("/api/routes", json=body | {"name": "two"}).status_code == 409
    moved = stack.api.put("/api/routes/one", json=body | {"path_prefix": "/moved"})
    assert (moved.status_code, moved.json()["upstream"]) == (200, ["http://127.0.0.1:9"])
    assert stack.api.put("/api/routes/two", json=body | {"name": "two"}).status_code == 201
    for name in ("one", "two"):
        assert stack.api.delete(f"/api/routes/{name}").status_code == 204
    assert stack.api.get("/api/routes/one").status_code == 404


def test_the_log_is_paged_without_gap_or_repeat(stack: Stack) -> None:
    stack.proxy.get("/demo/page")
    size = stack.api.get("/api/audit/logs", params={"limit": 1}).json()["tree_size"]
    for order in ("asc", "desc"):
        seen: list[int] = []
        cursor = None
        while True:
            query = {"limit": 7, "order": order, "as_of": size, "time_range_hours": 0} | (
                {"cursor": cursor} if cursor else {}
            )
            page = stack.api.get("/api/audit/logs", params=query).json()
            seen += [item["index"] for item in page["items"]]
            if not (cursor := page["next_cursor"]):
                break
        assert seen == sorted(range(size), reverse=order == "desc")


def test_the_events_of_a_day(stack: Stack) -> None:
    stack.proxy.get("/demo/today")
    today = datetime.now(UTC).date().isoformat()

    def list_events(date: str) -> list[dict[str, Any]]:
        return stack.api.get("/api/events", params={"date": date, "limit": 5}).json()["items"]

    assert all(item["timestamp"].startswith(today) for item in eventually(lambda: list_events(today)))
    assert list_events("2001-01-01") == list_events("9999-12-31") == []
    assert stack.api.get("/api/events", params={"date": "yesterday"}).status_code == 422


def test_the_live_tail_resumes_without_gap_or_repeat(stack: Stack) -> None:
    first = stack.proxy.get("/demo/tail").headers["x-request-id"]
    start = find_entry(stack, first)["index"]
    later = [stack.proxy.get("/demo/tail").headers["x-request-id"] for _ in range(5)]
    seen: list[str] = []
    with stack.api.stream(
        "GET", "/api/audit/stream", params={"endpoint": "GET /demo/tail"}, headers={"Last-Event-ID": str(start)}
    ) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line[6:])["request_id"])
            if len(seen) == 5:
                break
    assert seen == later


def test_the_api_answers_the_same_way_everywhere(stack: Stack) -> None:
    base = stack.document["api"]
    assert httpx.get(f"{base}/health", trust_env=False).json() == {"status": "ok"}
    assert httpx.get(f"{base}/ready", trust_env=False).json()["parts"] == {"view": "ok", "nats": "ok", "recorder": "ok"}
    given = httpx.get(f"{base}/api/routes", headers={"X-Request-Id": "mine-1"}, trust_env=False)
    assert (given.status_code, given.headers["x-request-id"], given.json()["request_id"]) == (401, "mine-1", "mine-1")
    other = {"X-API-Key": stack.document["admin_key"], "Authorization": f"Bearer {stack.document['admin_key'][:-1]}x"}
    assert httpx.get(f"{base}/api/routes", headers=other, trust_env=False).json()["code"] == "two_credentials"
    assert stack.api.get("/nowhere").json()["code"] == "not_found"
    wrong = stack.api.put("/api/keys/list")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    for path in ("/docs", "/redoc"):
        page = httpx.get(f"{base}{path}", trust_env=False)
        assert page.status_code == 200
        assert "https://" not in page.text
    for second, main in (("/api/keys", "/api/keys/list"), ("/admin/audit/summary", "/api/audit/summary")):
        assert stack.api.get(second).json().keys() == stack.api.get(main).json().keys()


def test_forged_and_malformed_headers_do_not_travel(stack: Stack) -> None:
    with RawUpstream(mode="headers") as upstream, upstream.routed(stack, "forged"):
        head = stack.proxy.get("/forged/x", headers={"X_Gatehouse_Tenant": "forged", "X-Forwarded-For": "6.6.6.6"}).text
        assert "forged\r" not in head
        assert "6.6.6.6" not in head
        bad = stack.proxy.get("/forged/x", headers={"Host": 'a";for=1.2.3.4;x="'})
        assert (bad.status_code, bad.json()["code"]) == (400, "malformed")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a", "expires_at": "0001-01-01T00:00:00Z"},
        {"name": "a", "expires_at": "9999-12-31T23:59:59-12:00"},
        {"name": "a", "permissions": ["proxy:\u0000"]},
        {"name": "a\u0000"},
        {"name": "a", "metadata": {"a": 2**70}},
        {"name": "a", "metadata": {"a": "x" * 20_000}},
        {"name": "a", "rate_limit": 0},
        {"name": "a", "allowed_ips": ["nonsense"]},
        {"name": "a", "unknown": 1},
        [],
    ],
)
def test_absurd_keys_are_refused_and_hurt_nobody(stack: Stack, body: object) -> None:
    answer = stack.api.post("/api/keys/generate", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]
    assert stack.proxy.get("/demo/x").status_code == 200


def test_whoever_rotates_a_key_must_hold_what_it_holds(stack: Stack) -> None:
    writer = stack.client_for(stack.new_key(permissions=["write"])["full_key_secret"], door="api")
    eventually(lambda: writer.get("/api/keys/list").status_code == 200)
    admin = stack.document["admin_key"].split("_")[2][:12]
    assert writer.post(f"/api/keys/key_{admin}/rotate", json={}).status_code == 403
    assert writer.patch(f"/api/keys/key_{admin}", json={"rate_limit": 1}).status_code == 403


def test_the_docs_pages_have_their_assets(stack: Stack) -> None:
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "redoc.standalone.js"):
        asset = httpx.get(f"{stack.document['api']}/docs/assets/{name}", trust_env=False)
        assert asset.status_code == 200
        assert len(asset.content) > 100_000

"""Idempotency-Key on every POST that creates: one effect, one answer, however often it is sent and whoever dies."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.eventually import eventually
from tests.fixtures.stack import Stack, run_stack

_RULE = {"name": "once", "type": "frequency", "severity": "low", "threshold": 5, "window_seconds": 60}
_CREATIONS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/api/keys/generate", {"name": "once", "expires_in_days": 3}, {"name": "twice"}),
    (
        "/api/routes",
        {"name": "once", "path_prefix": "/once", "upstream": "http://127.0.0.1:9"},
        {"path_prefix": "/twice"},
    ),
    ("/api/alerts/configs", _RULE, {"threshold": 6}),
    (
        "/api/alerts/channels",
        {"name": "once", "url": "https://example.com/hook", "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]},
        {"url": "https://example.com/other"},
    ),
    ("/api/backups", {"type": "full", "description": "once"}, {"description": "twice"}),
    ("/api/restores", {"sequence": 1}, {"sequence": 2}),
]
_PATHS = [path for path, _, _ in _CREATIONS]


@pytest.mark.parametrize(("path", "body", "change"), _CREATIONS, ids=_PATHS)
def test_a_repeated_post_creates_once(stack: Stack, path: str, body: dict[str, Any], change: dict[str, Any]) -> None:
    if path == "/api/restores":
        make_a_backup(stack)
    headers = {"Idempotency-Key": "once-1"}
    first, again = (stack.api.post(path, json=body, headers=headers) for _ in range(2))
    assert first.status_code in (201, 202), first.text
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    other = stack.api.post(path, json=body | change, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def make_a_backup(stack: Stack) -> None:
    backup_id = stack.api.post("/api/backups", json={"type": "full"}).json()["backup_id"]
    eventually(lambda: stack.api.get(f"/api/backups/{backup_id}").json()["state"] == "completed")


def test_a_repeated_rotation_rotates_once(stack: Stack) -> None:
    key_id = stack.new_key()["key_id"]
    headers = {"Idempotency-Key": "turn-1"}
    secrets = {
        stack.api.post(f"/api/keys/{key_id}/rotate", json={}, headers=headers).json()["full_key_secret"]
        for _ in range(2)
    }
    assert len(secrets) == 1
    answer = stack.client_for(secrets.pop()).get("/demo/x")
    assert "deprecation" not in answer.headers  # a second rotation would have made it the old secret


def test_a_body_nested_too_deeply_is_refused_with_a_key_as_without(stack: Stack) -> None:
    deep = '{"a":' + "[" * 300 + "]" * 300 + "}"
    for path, body in (
        ("/api/keys/generate", f'{{"name": "deep", "metadata": {deep}}}'),
        ("/api/events", f'{{"event_type": "deep", "details": {deep}}}'),
    ):
        headers = {"Idempotency-Key": "deep-1", "Content-Type": "application/json"}
        assert stack.api.post(path, content=body, headers=headers).status_code == 422


def test_a_retry_after_a_death_brings_no_retired_secret_back(tmp_path: Path) -> None:
    """The first rotation's answer was lost with its owner; somebody rotates again; the retry must not undo that."""
    deadly = {"FAILPOINTS_KEYS": "answers.before_keep=kill", "FAILPOINTS_LOG": str(tmp_path / "fired")}
    with run_stack(**deadly) as stack:
        key_id = stack.new_key()["key_id"]
        path = f"/api/keys/{key_id}/rotate"
        assert stack.api.post(path, json={}, headers={"Idempotency-Key": "crash"}).status_code == 503
        newest = eventually(lambda: (found := stack.api.post(path, json={})).status_code == 201 and found)
        secret = newest.json()["full_key_secret"]
        retried = create_at_last(stack, path, {}, is_first=False)
        assert retried.json()["full_key_secret"] != secret
        assert stack.client_for(secret).get("/demo/x").status_code == 200


def test_a_repeated_short_event_is_one_entry(stack: Stack) -> None:
    headers = {"Idempotency-Key": "event-1"}
    ids = [
        stack.api.post("/api/events", json={"event_type": "agent_deployed", "resource": name}, headers=headers).json()[
            "ids"
        ][0]
        for name in ("agent/1", "agent/1", "agent/2")
    ]
    assert ids[0] == ids[1] != ids[2]
    found = eventually(lambda: find_entries(stack, ids[2]) and find_entries(stack, ids[0]))
    assert len(found) == 1


def find_entries(stack: Stack, source_id: str) -> list[dict[str, Any]]:
    return stack.api.get("/api/audit/logs", params={"source_id": source_id}).json()["items"]


def test_an_absurd_key_is_refused(stack: Stack) -> None:
    for headers in ([("Idempotency-Key", "")], [("Idempotency-Key", "x" * 256)], [("Idempotency-Key", "a")] * 2):
        answer = stack.api.post("/api/keys/generate", json={"name": "x"}, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "idempotency-key")


@pytest.mark.timeout(120)
def test_a_retry_after_a_death_meets_what_the_first_attempt_made(tmp_path: Path) -> None:
    """The owner dies between the effect and keeping its answer: the retry answers like the first, and nothing is double."""
    log_file = tmp_path / "fired"
    point = "answers.before_keep=kill"
    deadly = {f"FAILPOINTS_{name}": point for name in ("KEYS", "ALERTS", "BACKUP")}
    creations = [
        (path, body) for path, body, _ in _CREATIONS if path in ("/api/routes", "/api/alerts/configs", "/api/backups")
    ]
    with run_stack(**deadly, FAILPOINTS_LOG=str(log_file)) as stack, ThreadPoolExecutor() as pool:
        stack.api.post("/api/alerts/channels")  # the pool of connections is open before the threads share it
        created = list(pool.map(lambda creation: create_at_last(stack, *creation), creations))
        assert [answer.status_code for answer in created] == [201, 201, 202], [answer.text for answer in created]
        assert log_file.read_text().count("answers.before_keep") == len(creations)
        for (path, body), answer in zip(creations, created, strict=True):
            again = stack.api.post(path, json=body, headers={"Idempotency-Key": "crash"})
            assert again.json() == answer.json()
        backups = stack.api.get("/api/backups").json()["items"]
        assert [item["description"] for item in backups].count("once") == 1


def create_at_last(stack: Stack, path: str, body: dict[str, Any], *, is_first: bool = True) -> httpx.Response:
    """Post until somebody answers for good; a first attempt must have been broken off."""

    def post() -> httpx.Response:
        return stack.api.post(path, json=body, headers={"Idempotency-Key": "crash"})

    assert not is_first or post().status_code == 503
    return eventually(lambda: (answer := post()).status_code not in (409, 503) and answer, bound_seconds=60)

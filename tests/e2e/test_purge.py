"""A running stack purges what all have read, loses nothing by it, and keeps what its last backup does not have."""

import httpx

from tests.e2e.eventually import eventually
from tests.fixtures.stack import Stack, run_stack


def test_a_stream_is_purged_and_the_log_is_whole() -> None:
    with run_stack(STREAM_RETENTION_HOURS="0", PURGE_SECONDS="0.3") as stack:
        eventually(lambda: stack.proxy.get("/demo/ready").status_code == 200)
        ids = [ask(stack) for _ in range(20)]
        make_a_backup(stack)
        eventually(lambda: find_traffic(stack)["first_sequence"] > len(ids))
        ids += [ask(stack) for _ in range(20)]
        for request_id in ids:
            query = {"request_id": request_id}
            entries = eventually(lambda q=query: stack.api.get("/api/audit/logs", params=q).json()["items"])
            assert len(entries) == 1
        assert stack.api.get("/api/audit/completeness").json()["complete"] is True
        backup_id = make_a_backup(stack)
        assert stack.api.post(f"/api/backups/{backup_id}/verify").json()["ok"]


def ask(stack: Stack) -> str:
    answer: httpx.Response = stack.proxy.get("/demo/purged")
    return answer.headers["x-request-id"]


def make_a_backup(stack: Stack) -> str:
    made = stack.api.post("/api/backups", json={"type": "incremental"})
    assert made.status_code == 202, made.text
    backup_id: str = made.json()["backup_id"]
    eventually(lambda: stack.api.get(f"/api/backups/{backup_id}").json()["state"] == "completed")
    return backup_id


def find_traffic(stack: Stack) -> dict[str, int]:
    streams = stack.api.get("/api/diagnostics").json()["streams"]
    return next(item for item in streams if item["name"] == "TRAFFIC")

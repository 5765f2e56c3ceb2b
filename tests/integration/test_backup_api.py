"""Backups and restores through the doors that people use: the HTTP API and the command line."""

import asyncio

from shared.testing.waiting import wait_until


def ask_until_ended(stack, path):
    async def ended():
        found = stack.api.get(path).json()
        return found if found["state"] != "running" else None

    return asyncio.run(wait_until(ended))


def test_a_backup_is_taken_verified_and_restored_over_http(stack):
    key = stack.new_key()
    made = stack.api.post("/api/backups", json={"type": "full", "description": "by hand"})
    assert made.status_code == 202
    backup = ask_until_ended(stack, f"/api/backups/{made.json()['backup_id']}")
    assert (backup["state"], backup["description"], backup["progress"]) == ("completed", "by hand", 1.0)
    last = backup["streams"]["EVENTS"]["last"]
    assert stack.api.post(f"/api/backups/{backup['backup_id']}/verify").json()["ok"]
    stack.api.post(f"/api/keys/{key['key_id']}/revoke")
    planned = stack.api.post("/api/restores", json={"sequence": last})
    assert planned.status_code == 202
    plan = ask_until_ended(stack, f"/api/restores/{planned.json()['restore_id']}")
    assert plan["plan"]["removes"]["by_type"]["api_key_revoked"] >= 1
    into = f"look-{backup['backup_id'][4:]}"
    restored = stack.api.post("/api/restores", json={"sequence": last, "into": into, "dry_run": False})
    found = ask_until_ended(stack, f"/api/restores/{restored.json()['restore_id']}")
    assert (found["state"], found["error"]) == ("completed", None)
    assert stack.api.get("/api/backups/status").json()["rpo_seconds"] >= 0


def test_what_may_not_be_is_refused(stack):
    assert stack.api.post("/api/restores", json={"sequence": 1, "dry_run": False}).status_code == 409
    assert stack.api.post("/api/restores", json={"sequence": 10**9}).status_code == 422
    assert stack.api.post("/api/restores", json={"sequence": 1, "into": "a b"}).status_code == 422
    assert stack.api.post("/api/backups", json={"type": "other"}).status_code == 422
    assert stack.api.get("/api/backups/bkp_none").status_code == 404
    assert stack.api.get("/api/restores/rst_none").status_code == 404
    reader = stack.client_for(stack.new_key(permissions=["read"])["full_key_secret"], door="api")

    async def is_honoured():
        return reader.get("/api/backups").status_code == 200

    asyncio.run(wait_until(is_honoured))
    assert reader.post("/api/backups", json={}).status_code == 403
    assert reader.post("/api/restores", json={"sequence": 1}).status_code == 403


def test_the_command_line_takes_verifies_plans_and_restores(stack):
    backup = stack.cli("backup", "create", "--type", "full", "--wait")
    assert backup["state"] == "completed"
    backup_id = backup["backup_id"]
    assert stack.cli("backup", "show", backup_id)["backup_id"] == backup_id
    assert stack.cli("backup", "verify", backup_id)["ok"]
    assert backup_id in {item["backup_id"] for item in stack.cli("backup", "list")}
    assert stack.cli("backup", "status")["last_backup"]
    assert stack.cli("restore", "plan", "--backup-id", backup_id)["state"] == "planned"
    restored = stack.cli("restore", "run", "--backup-id", backup_id, "--into", f"cli-{backup_id[4:]}", "--wait")
    assert restored["state"] == "completed"
    assert stack.cli("restore", "status", restored["restore_id"])["phase"] == "verify"
    assert restored["restore_id"] in {item["restore_id"] for item in stack.cli("restore", "list")}
    done = stack.run("restore", "run", "--backup-id", backup_id)
    assert done.returncode == 5
    assert "not part of this version" in done.stderr

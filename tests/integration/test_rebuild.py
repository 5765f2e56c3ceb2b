"""Every table that EVENTS alone feeds equals, rebuilt, the live one: `COPY (SELECT … ORDER BY pk)`, byte by byte."""

import asyncio
import io
import json
from types import SimpleNamespace

import asyncpg
import pytest

from cli.stack.home import Home
from services.alerts.projections import build_projections as build_alerts
from services.keys.projections import ViewWriter, build_projections
from tests.e2e.eventually import eventually
from tests.fixtures.stack import Stack

TABLES = [("keys", "directory", "api_key"), ("keys", "directory", "route"), ("alerts", "rules", "rule")]


def dump(stack: Stack, service: str, table: str) -> str:
    async def copy() -> str:
        home = Home(stack.home)
        secrets = json.loads((home.secrets / "secrets.json").read_text())
        connection = await asyncpg.connect(
            host=str(home.sockets), user=service, password=secrets[f"{service}_password"], database=service
        )
        out = io.BytesIO()
        await connection.copy_from_query(f"SELECT t.* FROM {table} AS t ORDER BY 1", output=out)
        await connection.close()
        return out.getvalue().decode()

    return asyncio.run(copy())


def fill(stack: Stack) -> None:
    issued = [
        stack.new_key(metadata={"n": [number, {"deep": None}]}, allowed_ips=["127.0.0.0/8"]) for number in range(5)
    ]
    stack.api.patch(f"/api/keys/{issued[0]['key_id']}", json={"name": "b", "expires_at": "2999-01-01T00:00:00+02:00"})
    stack.api.post(f"/api/keys/{issued[1]['key_id']}/rotate", json={"grace_seconds": 5})
    stack.api.post(f"/api/keys/{issued[2]['key_id']}/revoke", json={"reason": "x"})
    for name in ("r-one", "r-two"):
        stack.api.put(
            f"/api/routes/{name}", json={"name": name, "path_prefix": f"/{name}", "upstream": "http://127.0.0.1:9"}
        )
    stack.api.delete("/api/routes/r-one")
    rule = {"name": "rebuilt", "type": "frequency", "severity": "low", "window_seconds": 60, "threshold": 1e9}
    stack.api.post("/api/alerts/configs", json=rule)
    stack.api.patch("/api/alerts/configs/rebuilt", json={"threshold": 5e8})


@pytest.mark.parametrize(("service", "projection", "table"), TABLES)
def test_a_rebuilt_table_equals_the_live_one(stack: Stack, service: str, projection: str, table: str) -> None:
    fill(stack)
    eventually(lambda: not any(item["lag_messages"] for item in stack.cli("projections", "status")))
    before = dump(stack, service, table)
    assert before
    answer = stack.api.post(f"/api/projections/{service}/{projection}/rebuild")
    assert answer.status_code == 200, answer.text
    assert dump(stack, service, table) == before


def test_every_rebuildable_table_is_compared_here() -> None:
    projections = [("keys", item) for item in build_projections(ViewWriter(None, None))]
    projections += [("alerts", item) for item in build_alerts(SimpleNamespace(apply=print))]
    known = {(service, item.name, table) for service, item in projections for table in item.tables}
    assert known == set(TABLES)

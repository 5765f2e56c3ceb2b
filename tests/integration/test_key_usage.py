"""The counts of uses on a real Postgres: by hour and in all, the last use only forward."""

from datetime import UTC, datetime
from types import SimpleNamespace

import orjson
import pytest

import services.keys.app
from services.keys.projections import decode_uses, project_usage
from shared.db import Pool, migrate
from shared.envelope import EnvelopeError
from shared.projector import Delivery, Received

START = datetime(2026, 1, 1, 10, tzinfo=UTC)


def build(time: str, ip: str = "10.0.0.1", status: int = 200, key: str | None = "key_a", kind: str = "done") -> object:
    data = {"key_id": key, "status_code": status, "ip_address": ip, "path": "/x"}
    return {"specversion": "1.0", "id": "1", "source": "/s", "type": kind, "time": time, "data": data}


async def project(pool: Pool, *records: object) -> None:
    events = decode_uses(SimpleNamespace(data=orjson.dumps(records)))
    received = [Received(event, "traffic.a", 1, START) for event in events]
    async with pool.acquire() as connection, connection.transaction():
        await project_usage(connection, Delivery(received, 1))


async def test_uses_are_counted_by_hour_and_in_all(pool: Pool) -> None:
    await migrate(pool, services.keys.app.__file__)
    await project(
        pool,
        build("2026-01-01T10:59:59.999Z", status=404),
        build("2026-01-01T11:00:00.000Z", ip="10.0.0.2"),
        build("2026-01-01T12:30:00.000+02:00", ip="10.0.0.3"),
        build("2026-01-01T11:00:00.000Z", key="key_b"),
        build("2026-01-01T11:00:00.000Z", key=None),
        build("2026-01-01T11:00:00.000Z", kind="request_started"),
    )
    await project(pool, build("2026-01-01T10:00:00.000Z", ip="10.0.0.4", status=500))
    hours = await pool.fetch("SELECT key_id, hour, requests, errors FROM key_usage_hour ORDER BY key_id, hour")
    eleven = START.replace(hour=11)
    assert [tuple(row) for row in hours] == [("key_a", START, 3, 2), ("key_a", eleven, 1, 0), ("key_b", eleven, 1, 0)]
    keys = await pool.fetch("SELECT key_id, requests_count, last_used, last_ip FROM key_usage ORDER BY key_id")
    assert [tuple(row) for row in keys] == [("key_a", 4, eleven, "10.0.0.2"), ("key_b", 1, eleven, "10.0.0.1")]


async def test_a_record_that_is_no_event_is_refused(pool: Pool) -> None:
    with pytest.raises(EnvelopeError, match="specversion"):
        await project(pool, build("2026-01-01T10:00:00.000Z"), {"id": "1", "source": "/s", "type": "t", "data": {}})

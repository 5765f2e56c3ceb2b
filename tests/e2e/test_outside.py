"""Other services publish, other programs subscribe: over NATS with the credentials of the embedded stack, and by HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from shared.ids import new_uuid7
from tests.e2e.eventually import eventually
from tests.fixtures.stack import Stack

ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


def build(event_type: str = "agent_run_completed", **changes: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "id": new_uuid7(), "source": "/mine", "type": event_type, "data": {"duration_ms": 5}}
    return event | changes


@pytest.fixture
async def publisher(stack: Stack) -> AsyncIterator[Client]:
    client = await nats.connect(stack.document["nats"], nkeys_seed=stack.document["nats_creds"]["publisher"])
    yield client
    await client.close()


def find(stack: Stack, source_id: str) -> dict[str, Any]:
    return eventually(lambda: stack.api.get("/api/audit/logs", params={"source_id": source_id}).json()["items"])[0]


async def test_an_event_over_nats_becomes_an_entry_with_the_credentials_identity(
    stack: Stack, publisher: Client
) -> None:
    event = build(actor="user:forged", tenant="forged", sourceseq="7", severity="high", subject="agent/a")
    headers = {"Nats-Msg-Id": f"demo/{event['id']}"}
    for _ in range(2):
        await publisher.jetstream().publish("ext.demo.agent_run_completed", json.dumps(event).encode(), headers=headers)
    entry = find(stack, event["id"])
    expected = {
        "source": "/ext/demo", "origin": "/mine", "actor": "service:demo", "onbehalfof": "user:forged", "tenant": "default",
        "severity": "high", "resource": "agent/a", "category": "data", "status": "success",
    }  # fmt: skip
    assert {name: entry[name] for name in expected} == expected
    assert len(stack.api.get("/api/audit/logs", params={"source_id": event["id"]}).json()["items"]) == 1


async def test_a_copy_under_another_message_id_is_stored_once(stack: Stack, publisher: Client) -> None:
    event = build("custom.type", data={})
    for number in range(3):
        headers = {"Nats-Msg-Id": f"copy-{number}-{event['id']}"}
        await publisher.jetstream().publish("ext.demo.custom.type", json.dumps(event).encode(), headers=headers)
    marker = build("custom.type")
    await publisher.jetstream().publish("ext.demo.custom.type", json.dumps(marker).encode())
    find(stack, marker["id"])
    assert len(stack.api.get("/api/audit/logs", params={"source_id": event["id"]}).json()["items"]) == 1


BAD = [
    (b"not json", "not JSON"),
    (b"[]", "must be a JSON object"),
    (b'{"specversion": "1.0"}', "id must be"),
    (json.dumps(build("api_key_created")).encode(), "type of the house"),
    (json.dumps(build(data={"duration_ms": -5})).encode(), "duration_ms"),
    (json.dumps(build(data={"x": "a\x00b"})).encode(), "zero byte"),
    (json.dumps(build(time="yesterday")).encode(), "time"),
    (json.dumps(build(data={"x": "y" * 300_000})).encode(), "larger than"),
]


@pytest.mark.parametrize(("payload", "reason"), BAD)
async def test_bad_events_go_to_quarantine_and_block_nothing(
    stack: Stack, publisher: Client, payload: bytes, reason: str
) -> None:
    known = {item["id"] for item in stack.api.get("/api/events/quarantine", params={"limit": 200}).json()["items"]}
    await publisher.jetstream().publish("ext.demo.broken", payload)
    good = build()
    await publisher.jetstream().publish("ext.demo.agent_run_completed", json.dumps(good).encode())
    find(stack, good["id"])

    def quarantined() -> list[dict[str, Any]]:
        items = stack.api.get("/api/events/quarantine", params={"limit": 200}).json()["items"]
        return [item for item in items if item["id"] not in known]

    item = eventually(quarantined)[0]
    assert reason in item["reason"]
    assert item["subject"] == "ext.demo.broken"
    assert stack.api.delete(f"/api/events/quarantine/{item['id']}").status_code == 204
    assert stack.api.delete(f"/api/events/quarantine/{item['id']}").status_code == 404


async def test_what_a_publisher_may_not(stack: Stack, publisher: Client) -> None:
    for subject in (
        "ext.other.x",
        "ext._api.default.x",
        "evt.keys.key.a.api_key_created",
        "traffic.x",
        "rpc.keys.generate",
    ):
        with pytest.raises(NatsError):
            await publisher.request(subject, b"{}", timeout=0.3)
    with pytest.raises(Exception, match=r"(?i)authorization"):
        await nats.connect(stack.document["nats"], allow_reconnect=False, connect_timeout=2)


async def test_a_late_subscriber_replays_records_and_sees_no_domain_events(stack: Stack) -> None:
    request_id = stack.proxy.get("/demo/subscriber").headers["x-request-id"]
    client = await nats.connect(stack.document["nats"], nkeys_seed=stack.document["nats_creds"]["subscriber"])
    found = asyncio.Event()

    async def look(message: Any) -> None:
        if any(event.get("requestid") == request_id for event in json.loads(message.data)):
            found.set()

    await client.jetstream().subscribe("traffic.>", stream="TRAFFIC", cb=look)
    await asyncio.wait_for(found.wait(), 10)
    for verb in ("DELETE", "MSG.NEXT"):
        with pytest.raises(NatsError):
            await client.request(f"$JS.API.CONSUMER.{verb}.TRAFFIC.audit-traffic", b"", timeout=0.3)
    for subject in ("evt.keys.>", "evt.>", "ext.>"):
        with pytest.raises(Exception, match=r"(?i)timeout|permission|no response"):
            await client.jetstream(timeout=0.5).subscribe(subject)
    await client.close()


def test_the_three_forms_over_http(stack: Stack) -> None:
    short = stack.api.post(
        "/api/events", json={"event_type": "agent_deployed", "resource": "agent/x", "details": {"v": 1}}
    )
    assert (short.status_code, short.json()["accepted"]) == (202, 1)
    entry = find(stack, short.json()["ids"][0])
    assert (entry["source"], entry["details"], entry["resource"]) == ("/ext/default", {"v": 1}, "agent/x")
    one = build(id=f"mine-{new_uuid7()}")
    for _ in range(2):
        answer = stack.api.post("/api/events", content=json.dumps(one), headers={"content-type": ONE})
        assert answer.json()["ids"] == [one["id"]]
    assert find(stack, one["id"])["actor"].startswith("key:")
    batch = [build(), build("api_key_created"), build()]
    answer = stack.api.post("/api/events", content=json.dumps(batch), headers={"content-type": BATCH}).json()
    assert (answer["accepted"], [item["index"] for item in answer["rejected"]]) == (2, [1])
    assert find(stack, answer["ids"][1])


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"{}", "application/json", 422),
        (b'{"event_type": "x", "more": 1}', "application/json", 422),
        (b'{"event_type": "route_changed"}', "application/json", 422),
        (b'{"event_type": "a..b"}', "application/json", 422),
        (b'{"event_type": "a\\u0000b"}', "application/json", 422),
        (b'{"event_type": "x", "details": {"a": "\\u0000"}}', "application/json", 422),
        (b"[]", BATCH, 422),
        (b"[1]", BATCH, 422),
        (b"{}", "text/plain", 415),
        (json.dumps(build(data={"x": "y" * 300_000})).encode(), ONE, 413),
        (b"x" * 9_000_000, "application/json", 413),
    ],
)
def test_bad_events_over_http_are_refused_and_nothing_of_them_is_stored(
    stack: Stack, body: bytes, media_type: str, status: int
) -> None:
    answer = stack.api.post("/api/events", content=body, headers={"content-type": media_type})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"

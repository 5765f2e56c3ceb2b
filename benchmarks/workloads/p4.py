"""P4: how fast audit takes records in, sustained: from the first one published until the last one is an entry."""

import asyncio
import time
from typing import Any

import nats
import orjson
from nats.aio.client import Client

from benchmarks.context import Context, Outcome
from benchmarks.gatehouse import Stack, run_stack
from shared.clock import SystemClock, format_time
from shared.envelope import BATCH_CONTENT_TYPE
from shared.ids import new_uuid7

_SUBJECT = "traffic.bench"
_BATCH = 100
_IN_FLIGHT = 64
_BOUND_SECONDS = 600.0
_ENDPOINTS = ("orders", "invoices", "users", "search", "reports")


def run(context: Context) -> Outcome:
    """Publish, wait for audit, and return the rate."""
    outcome = Outcome("P4 audit intake, sustained", ("events", "published/s", "taken in/s", "seconds"))
    with run_stack(context.folder / "p4-home") as stack:
        before = _find_progress(stack)
        if before is None:
            outcome.notes.append("skipped: the audit service does not run in this stack")
            return outcome
        messages = build_messages(context.events)
        outcome.numbers["bytes_a_record"] = round(sum(len(payload) for _, payload in messages) / context.events)
        began = time.perf_counter()
        asyncio.run(_publish(stack, messages))
        published = time.perf_counter() - began
        taken = _wait(stack, before + context.events, began)
    rates = (context.events / published, context.events / taken)
    outcome.rows.append((f"{context.events:,}", f"{rates[0]:,.0f}", f"{rates[1]:,.0f}", f"{taken:.1f}"))
    outcome.numbers |= {"events": context.events, "published_rate": rates[0], "rate": rates[1], "seconds": taken}
    return outcome


def build_messages(count: int) -> list[tuple[str, bytes]]:
    """Return (id, payload) of CloudEvents batches with `count` records of one source, before anything is timed."""
    source = f"/gatehouse/gateway/bench/proxy/{new_uuid7()}"
    moment = format_time(SystemClock().now())
    batches = []
    for first in range(1, count + 1, _BATCH):
        numbers = range(first, min(first + _BATCH, count + 1))
        batches.append((new_uuid7(), orjson.dumps([_build_record(source, number, moment) for number in numbers])))
    return batches


def _build_record(source: str, number: int, moment: str) -> dict[str, Any]:
    place = _ENDPOINTS[number % len(_ENDPOINTS)]
    return {
        "type": "request_completed", "time": moment, "subject": "route/bench", "datacontenttype": "application/json",
        "schemaversion": 1, "actor": f"key:key_bench{number % 50:07d}", "tenant": "default", "severity": "low",
        "requestid": new_uuid7(), "traceparent": f"00-{number:032x}-{number:016x}-01",
        "data": {
            "method": "GET", "path": f"/bench/{place}/{number}", "endpoint": f"GET /bench/{place}/{{id}}",
            "status_code": 200 if number % 20 else 404, "duration_ms": number % 97 / 10,
            "bytes_in": 0, "bytes_out": 1024, "route": "bench", "key_id": f"key_bench{number % 50:07d}",
            "ip_address": f"10.0.{number % 8}.{number % 250}",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64) bench/1.0",
        },
        "specversion": "1.0", "id": new_uuid7(), "source": source, "sourceseq": str(number),
    }  # fmt: skip


async def _publish(stack: Stack, messages: list[tuple[str, bytes]]) -> None:
    """Publish as the gateway does: each message acked, a bounded number in flight."""
    seed = str(stack.home / "secrets" / "gateway.nk")
    client = await nats.connect(stack.nats, nkeys_seed=seed, inbox_prefix="_INBOX_gateway")
    free = asyncio.Semaphore(_IN_FLIGHT)
    async with asyncio.TaskGroup() as group:
        for message_id, payload in messages:
            await free.acquire()
            group.create_task(_publish_one(client, message_id, payload)).add_done_callback(lambda _: free.release())
    await client.close()


async def _publish_one(client: Client, message_id: str, payload: bytes) -> None:
    headers = {"Nats-Msg-Id": message_id, "Content-Type": BATCH_CONTENT_TYPE}
    ack = orjson.loads((await client.request(_SUBJECT, payload, timeout=30, headers=headers)).data)
    if "error" in ack:
        raise RuntimeError(f"TRAFFIC refused a message: {ack['error']}")


def _find_progress(stack: Stack) -> int | None:
    """Return how many entries audit has; None when there is no audit service."""
    status = stack.ask("GET", "/api/audit/status")
    return status and int(status["tree_size"])


def _wait(stack: Stack, wanted: int, began: float) -> float:
    """Return the seconds since `began` at which audit had `wanted` entries. Raises RuntimeError when it gets stuck."""
    while (progress := _find_progress(stack) or 0) < wanted:
        if time.perf_counter() - began > _BOUND_SECONDS:
            raise RuntimeError(f"P4 is void: audit has {progress} of {wanted} entries after {_BOUND_SECONDS:.0f} s.")
        time.sleep(0.05)
    return time.perf_counter() - began

"""Sends what the outbox holds, from one replica at a time (an advisory lock that goes with its connection).

Streams: until they acknowledge, for ever; nothing doubles, by the message's id and by what stands on the subject.
Webhooks: at least once, with backoff and jitter, and given up visibly. Nothing is sent inside a transaction; what was
sent but not settled when a process died is sent again under the same id.
"""

import asyncio
import contextlib
import random
from collections import Counter
from typing import Any

import structlog
from nats.aio.client import Client

from services.alerts import metrics
from services.alerts.channels.webhook import Outcome, WebhookSender
from services.alerts.outbox import OutboxRow, render_failure
from services.alerts.settings import Settings
from services.alerts.store import SQL, AlertStore, add_to_outbox
from shared.clock import Clock, format_time
from shared.db import own_session
from shared.envelope import CONTENT_TYPE
from shared.testing import failpoints

log = structlog.get_logger(__name__)
_STREAM_ROWS = 500
_WEBHOOKS_AT_ONCE = 32
_WEBHOOKS_A_CHANNEL = 4
_LONGEST_WAIT_SECONDS = 3600.0
_ASK_EVERY_SECONDS = 1.0


class Deliverer:
    """The only reader of the outbox."""

    def __init__(
        self, store: AlertStore, client: Client, sender: WebhookSender, *, clock: Clock, settings: Settings
    ) -> None:
        self._store = store
        self._client = client
        self._sender = sender
        self._clock = clock
        self._settings = settings
        self._wakes = {kind: asyncio.Event() for kind in ("nats", "events", "webhook")}
        self._sending: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Lead when nobody else does, until cancelled."""
        while True:
            try:
                async with own_session(self._store.pool, timeout_seconds=10) as connection:
                    if await connection.fetchval(SQL["delivery_try_lead"]):
                        await self._lead(connection)
            except Exception as error:  # noqa: BLE001  (an edge that must not die: what is queued has to go out)
                log.warning("delivery interrupted", reason=repr(error))
            await asyncio.sleep(_ASK_EVERY_SECONDS)

    async def _lead(self, connection: Any) -> None:
        await connection.add_listener("delivery", self._on_notify)
        loops = [asyncio.ensure_future(loop) for loop in (
            self._repeat("nats", self._send_streams), self._repeat("events", self._send_streams),
            self._repeat("webhook", self._start_webhooks), self._watch(connection),
        )]  # fmt: skip
        try:
            await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in [*loops, *self._tasks]:
                task.cancel()
            await asyncio.gather(*loops, *self._tasks, return_exceptions=True)
            self._sending.clear()
            if not connection.is_closed():
                await connection.remove_listener("delivery", self._on_notify)

    async def _watch(self, connection: Any) -> None:
        """End when the lock's connection does: from then on somebody else may lead."""
        while not connection.is_closed():
            for row in await connection.fetch(SQL["delivery_count_queued"]):
                metrics.queued.labels(row["kind"]).set(row["queued"])
            await asyncio.sleep(_ASK_EVERY_SECONDS)

    def _on_notify(self, *_: object) -> None:
        for wake in self._wakes.values():
            wake.set()

    async def _repeat(self, kind: str, work: Any) -> None:
        wake = self._wakes[kind]
        while True:
            wake.clear()
            if await work(kind):
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ASK_EVERY_SECONDS):
                    await wake.wait()

    async def _send_streams(self, kind: str) -> bool:
        rows = [_read(row) for row in await self._store.fetch("delivery_list_due", kind, [], [], _STREAM_ROWS)]
        answers = await asyncio.gather(*(self._send_stream(row) for row in rows), return_exceptions=True)
        sent = [row.delivery_id for row, answer in zip(rows, answers, strict=True) if answer is None]
        failpoints.hit("alerts.sent")
        if sent:
            await self._store.pool.execute(SQL["delivery_settle_sent"], sent)
        metrics.deliveries.labels(kind, "delivered").inc(len(sent))
        metrics.deliveries.labels(kind, "failed").inc(len(rows) - len(sent))
        return bool(sent)

    async def _send_stream(self, row: OutboxRow) -> None:
        if row.kind == "events":
            await self._store.append_once(row.subject, row.payload.encode())
            return
        headers = {"Nats-Msg-Id": row.transition_id, "Content-Type": CONTENT_TYPE}
        await self._client.jetstream().publish(row.subject, row.payload.encode(), timeout=5, headers=headers)

    async def _start_webhooks(self, kind: str) -> bool:
        busy = Counter(self._sending.values())
        full = [channel for channel, count in busy.items() if count >= _WEBHOOKS_A_CHANNEL]
        room = _WEBHOOKS_AT_ONCE - len(self._sending)
        rows = await self._store.fetch("delivery_list_due", kind, list(self._sending), full, max(room, 0))
        started = 0
        for row in map(_read, rows):
            if busy[row.channel] >= _WEBHOOKS_A_CHANNEL:
                continue
            busy[row.channel] += 1
            started += 1
            self._sending[row.delivery_id] = row.channel
            task = asyncio.create_task(self._send_webhook(row))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return started > 0

    async def _send_webhook(self, row: OutboxRow) -> None:
        try:
            await self._settle(row, await self._try_webhook(row))
        except Exception as error:  # noqa: BLE001  (one delivery must not end the others; it is still queued)
            log.warning("a delivery was not settled", delivery=row.delivery_id, reason=repr(error))
            await asyncio.sleep(_ASK_EVERY_SECONDS)
        finally:
            self._sending.pop(row.delivery_id, None)
            self._wakes["webhook"].set()

    async def _try_webhook(self, row: OutboxRow) -> Outcome:
        found = await self._store.fetch("channel_find", row.channel)
        if not found or found[0]["tenant"] != row.tenant:
            return Outcome(delivered=False, gone=True, reason="there is no such channel")
        channel = found[0]
        if not channel["enabled"]:
            return Outcome(delivered=False, gone=True, reason="the channel is switched off")
        outcome = await self._sender.send(
            channel["url"], channel["secrets"], message_id=row.transition_id, body=row.payload, now=self._clock.now()
        )
        failpoints.hit("alerts.webhook_sent")
        if outcome.gone:
            await self._store.pool.execute(SQL["channel_disable"], row.channel, outcome.reason)
        return outcome

    async def _settle(self, row: OutboxRow, outcome: Outcome) -> None:
        """Write what became of a try: delivered, tried again later, or given up, which the event stream is told."""
        tries = await self._store.fetch("delivery_find_attempts", row.delivery_id)
        attempts = tries[0]["attempts"] + 1 if tries else 1
        is_last = outcome.gone or attempts >= self._settings.alert_delivery_attempts
        state = "delivered" if outcome.delivered else "failed" if is_last else "queued"
        wait = self._find_wait(attempts, outcome) if state == "queued" else None
        async with self._store.pool.acquire() as connection, connection.transaction():
            settled = await connection.fetchrow(
                SQL["delivery_settle"], row.delivery_id, state, outcome.status, outcome.reason, wait
            )
            if settled and state == "failed":
                at, reason = format_time(self._clock.now()), outcome.reason or ""
                failure = render_failure(row, attempts=attempts, status=outcome.status, reason=reason, at=at)
                await add_to_outbox(connection, [failure])
        metrics.deliveries.labels("webhook", state).inc()

    def _find_wait(self, attempts: int, outcome: Outcome) -> float:
        """Return the wait until the next try: fourfold each time, jittered, never shorter than the receiver asked for."""
        wait = min(self._settings.alert_retry_seconds * 4.0 ** min(attempts - 1, 20), _LONGEST_WAIT_SECONDS)
        return max(wait * random.uniform(0.8, 1.2), outcome.retry_after_seconds or 0.0)  # noqa: S311  (jitter)


def _read(row: Any) -> OutboxRow:
    known = {name: row[name] for name in OutboxRow.__dataclass_fields__ if name != "created_at"}
    return OutboxRow(**known, created_at=format_time(row["created_at"]))

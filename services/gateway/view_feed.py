"""Keeps a View in step with the KV bucket: an ordered consumer of our own with a one-second heartbeat.

Not `KeyValue.watch`, which notices silence only after 10–20 s and stays stale when the bucket is made anew. After any gap,
silence or reconnect everything is loaded again beside the view that serves, and swapped when whole.
"""

import asyncio
import contextlib
import time

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js import api

from services.gateway.view import View
from services.keys.contract.streams import VIEW, VIEW_BUCKET
from shared.ids import new_uuid7

log = structlog.get_logger(__name__)
HEARTBEAT_SECONDS = 1.0
_SILENCE_SECONDS = 3.0
_PREFIX = f"$KV.{VIEW_BUCKET}."


class _FeedBrokenError(RuntimeError):
    """Something was missed; load again."""


class ViewFeed:
    """Owns the view; `view` is None until it was whole once."""

    def __init__(self, client: Client) -> None:
        self.view: View | None = None
        self._client = client
        self._heard_at = 0.0

    @property
    def age_seconds(self) -> float:
        """How long ago the view was known to be up to date; infinite before it was whole."""
        return time.monotonic() - self._heard_at if self.view is not None else float("inf")

    async def run(self) -> None:
        """Follow the bucket until cancelled."""
        while True:
            try:
                await self._follow()
            except Exception as error:  # noqa: BLE001  (an edge that must not die: without it no revocation arrives)
                log.warning("the view is loaded again", reason=repr(error))
                await asyncio.sleep(0.1)

    async def _follow(self) -> None:
        reconnects = self._client.stats["reconnects"]
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox, pending_msgs_limit=-1, pending_bytes_limit=-1)
        name = f"view-{new_uuid7()}"
        try:
            info = await self._client.jetstream().add_consumer(VIEW.name, _build_config(name, inbox), timeout=2)
            waiting = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
            fresh = View()
            delivered = 0
            if waiting == 0:
                if self.view is not None and self.view.keys:
                    raise _FeedBrokenError("the bucket is empty; what was known is kept until it is filled again")
                self._install(fresh)
            while True:
                message = await self._next(subscription, reconnects)
                if message.header and message.header.get("Status") == "100":
                    if int(message.header.get("Nats-Last-Consumer", "0")) > delivered:
                        raise _FeedBrokenError("a heartbeat is ahead of what was delivered")
                else:
                    delivered += 1
                    if message.metadata.sequence.consumer != delivered:
                        raise _FeedBrokenError("a delivery was missed")
                    _apply(fresh, message.subject.removeprefix(_PREFIX), message.data)
                if delivered >= waiting:
                    self._install(fresh)
        finally:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()
                await self._client.jetstream().delete_consumer(VIEW.name, name)

    def _install(self, view: View) -> None:
        self.view = view
        self._heard_at = time.monotonic()

    async def _next(self, subscription: Subscription, reconnects: int) -> Msg:
        deadline = time.monotonic() + _SILENCE_SECONDS
        while time.monotonic() < deadline:
            if self._client.stats["reconnects"] != reconnects:
                raise _FeedBrokenError("NATS was connected to again")
            with contextlib.suppress(NatsError):
                return await subscription.next_msg(timeout=HEARTBEAT_SECONDS / 2)
        raise _FeedBrokenError("silence")


def _apply(view: View, name: str, payload: bytes) -> None:
    """Take an entry; one that cannot be read, or was deleted, is dropped from the view: it fails closed, alone."""
    try:
        view.apply(name, payload)
    except ValueError as error:
        log.warning("an entry of the view cannot be read", entry=name, reason=str(error)[:300])
        view.drop(name)


def _build_config(name: str, inbox: str) -> api.ConsumerConfig:
    return api.ConsumerConfig(
        name=name,
        filter_subject=f"{_PREFIX}>",
        deliver_subject=inbox,
        deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT,
        ack_policy=api.AckPolicy.NONE,
        idle_heartbeat=HEARTBEAT_SECONDS,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=5,
    )

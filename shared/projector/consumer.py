"""A durable pull consumer that is made anew at the position before each start, and checked for gaps as it delivers.

One request takes what waits, up to a number and a size, or waits for the first message and returns at once with it.
"""

import asyncio
import contextlib
from dataclasses import dataclass

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from shared.bus.streams import find_incarnation

_ACK_WAIT_SECONDS = 30
_MAX_ACK_PENDING = 10_000
_NEGLECTED_SECONDS = 3600
_BATCH_BYTES = 8 * 1024**2
_LATE_SECONDS = 0.5
# How a request ends in the ordinary way: nothing waits, its time is over, or the batch is full by number or by bytes.
_ENDED = frozenset({api.StatusCode.NO_MESSAGES.value, api.StatusCode.REQUEST_TIMEOUT.value})
_FULL = frozenset({"Batch Completed", "Message Size Exceeds MaxBytes"})


class DeliveryGapError(RuntimeError):
    """The consumer's or the stream's sequence jumped: something was redelivered, lost or left out; start again."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """What of a stream exists: its incarnation and the range of its sequences."""

    incarnation: str
    first_sequence: int
    last_sequence: int


class _Arrivals:
    """What came in on one inbox: messages in order, and how the request that asked for them ended."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._wanted = 1
        self._request = ""
        self._failure: Msg | None = None
        self._messages: list[Msg] = []

    def expect(self, wanted: int, request: str) -> None:
        """Wait anew: for so many messages, or for the end of this request; how an earlier one ended is no matter."""
        self._wanted, self._request, self._failure = wanted, request, None
        self.ended.clear()

    async def take(self, message: Msg) -> None:
        """Take a message, or the status that ends a request: only that has no address to be acked to."""
        if message.reply:
            self._messages.append(message)
            if len(self._messages) >= self._wanted:
                self.ended.set()
            return
        if message.subject != self._request:
            return
        headers = message.headers or {}
        if headers.get(api.Header.STATUS) not in _ENDED and headers.get(api.Header.DESCRIPTION) not in _FULL:
            self._failure = message
        self.ended.set()

    def hand_over(self) -> list[Msg]:
        """Return the messages that came since the last time. Raises APIError when the server refused the request."""
        messages, self._messages = self._messages, []
        if self._failure and not messages:
            APIError.from_msg(self._failure)
        return messages


class StreamReader:
    """Delivers the messages of one filter in order, from a given sequence on."""

    def __init__(self, client: Client, stream: str, consumer: str, subject_filter: str) -> None:
        self.stream = stream
        self._client = client
        self._consumer = consumer
        self._filter = subject_filter
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = ""
        self._requests = 0
        self._arrivals = _Arrivals()
        self._subscription: Subscription | None = None
        self._delivered = 0
        self._is_whole = False
        self._last = 0

    async def find_state(self) -> StreamState:
        """Return the stream's incarnation and range."""
        reply = await self._client.request(f"$JS.API.STREAM.INFO.{self.stream}", b"", timeout=2)
        info = orjson.loads(reply.data)
        self._is_whole = info["config"].get("subjects") == [self._filter]
        state = info["state"]
        return StreamState(await find_incarnation(self._client, self.stream), state["first_seq"], state["last_seq"])

    async def start(self, sequence: int) -> None:
        """Make the consumer anew, so that the next message is the first of the filter at or after `sequence`.

        Acked messages never come again to the same durable; a position that went back (a restored database) needs this.
        """
        if self._subscription:
            await self._subscription.unsubscribe()
        stream = self._client.jetstream()
        with contextlib.suppress(NotFoundError):
            await stream.delete_consumer(self.stream, self._consumer)
        config = api.ConsumerConfig(
            name=self._consumer,
            durable_name=self._consumer,
            filter_subject=self._filter,
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=sequence,
            ack_policy=api.AckPolicy.ALL,
            ack_wait=_ACK_WAIT_SECONDS,
            max_ack_pending=_MAX_ACK_PENDING,
            inactive_threshold=_NEGLECTED_SECONDS,
        )
        await stream.add_consumer(self.stream, config)
        self._inbox, self._arrivals = self._client.new_inbox(), _Arrivals()
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._arrivals.take)
        self._delivered, self._last = 0, sequence - 1

    async def fetch(self, batch: int, wait_seconds: float) -> list[Msg]:
        """Return up to `batch` messages; none when nothing came within the wait.

        Raises DeliveryGapError, and APIError when the consumer is gone. nats-py's own fetch costs a task a message.
        """
        arrivals = self._arrivals
        self._requests += 1
        inbox = f"{self._inbox}.{self._requests}"
        arrivals.expect(batch, inbox)
        request = {
            "batch": batch,
            "expires": int(wait_seconds * 1e9),
            "no_wait": True,
            "max_bytes": max(_BATCH_BYTES, 2 * self._client.max_payload),
        }
        await self._client.publish(self._next, orjson.dumps(request), reply=inbox)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds + _LATE_SECONDS):
                await arrivals.ended.wait()
        messages = arrivals.hand_over()
        for message in messages:
            meta = message.metadata
            if meta.sequence.consumer != self._delivered + 1 or meta.num_delivered != 1:
                raise DeliveryGapError(f"delivery {meta.sequence.consumer} after {self._delivered}")
            self._delivered += 1
        if messages and self._is_whole:
            await self._check_stream_order([message.metadata.sequence.stream for message in messages])
        return messages

    async def _check_stream_order(self, sequences: list[int]) -> None:
        """A reader of everything misses nothing that the stream has: else somebody altered its consumer on the way.

        Raises DeliveryGapError.
        """
        before, self._last = self._last, sequences[-1]
        if sequences[0] == before + 1 and sequences[-1] - before == len(sequences):
            return
        body = orjson.dumps({"deleted_details": True})
        reply = await self._client.request(f"$JS.API.STREAM.INFO.{self.stream}", body, timeout=2)
        state = orjson.loads(reply.data)["state"]
        kept = range(max(before + 1, state["first_seq"]), sequences[-1])
        left_out = set(kept).difference(sequences, state.get("deleted") or ())
        if left_out:
            raise DeliveryGapError(f"{len(left_out)} messages before {sequences[-1]} were left out")

    async def remove(self) -> None:
        """Delete the consumer; for readers that are done."""
        if self._subscription:
            await self._subscription.unsubscribe()
            await self._client.jetstream().delete_consumer(self.stream, self._consumer)

"""A durable pull consumer that is made anew at the position before each start, and checked for gaps as it delivers."""

import contextlib
from dataclasses import dataclass

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from shared.bus.streams import find_incarnation

_ACK_WAIT_SECONDS = 30
_MAX_ACK_PENDING = 10_000
_NEGLECTED_SECONDS = 3600


class DeliveryGapError(RuntimeError):
    """The consumer's delivery sequence jumped: something was redelivered or lost on the way; start again."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """What of a stream exists: its incarnation and the range of its sequences."""

    incarnation: str
    first_sequence: int
    last_sequence: int


class StreamReader:
    """Delivers the messages of one filter in order, from a given sequence on."""

    def __init__(self, client: Client, stream: str, consumer: str, subject_filter: str) -> None:
        self.stream = stream
        self._client = client
        self._consumer = consumer
        self._filter = subject_filter
        self._subscription: JetStreamContext.PullSubscription | None = None
        self._delivered = 0

    async def find_state(self) -> StreamState:
        """Return the stream's incarnation and range."""
        reply = await self._client.request(f"$JS.API.STREAM.INFO.{self.stream}", b"", timeout=2)
        state = orjson.loads(reply.data)["state"]
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
        self._subscription = await stream.pull_subscribe_bind(self._consumer, self.stream)
        self._delivered = 0

    async def fetch(self, batch: int, wait_seconds: float) -> list[Msg]:
        """Return up to `batch` messages; none when nothing came within the wait. Raises DeliveryGapError."""
        assert self._subscription is not None  # noqa: S101  (start comes first)
        try:
            messages = await self._subscription.fetch(batch, timeout=wait_seconds)
        except (nats.errors.TimeoutError, TimeoutError):
            return []
        for message in messages:
            meta = message.metadata
            if meta.sequence.consumer != self._delivered + 1 or meta.num_delivered != 1:
                raise DeliveryGapError(f"delivery {meta.sequence.consumer} after {self._delivered}")
            self._delivered += 1
        return messages

    async def remove(self) -> None:
        """Delete the consumer; for readers that are done."""
        if self._subscription:
            await self._subscription.unsubscribe()
            await self._client.jetstream().delete_consumer(self.stream, self._consumer)

"""What a projection is: which messages, how to read them, what to do with them, and what to do with a bad one."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

import msgspec
from nats.aio.msg import Msg

from shared.db import Connection
from shared.envelope import Event, decode_batch, decode_event


class Repeats(Enum):
    """How a second copy of an event, at a new sequence, is known."""

    IMPOSSIBLE = "the publisher's expected sequences exclude it"
    BY_NUMBER = "records carry sourceseq: interval sets a source"
    BY_IDENTITY = "(source, id) is kept for 8 days"


class OnPoison(Enum):
    """What happens to an event that can never be applied."""

    STOP = "the projection stops there and says so"
    PARK = "the message goes to the dead letter stream with its reason"


class Received(msgspec.Struct, frozen=True, gc=False):
    """An event with where and when the stream stored it."""

    event: Event
    subject: str
    sequence: int
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """A run of new events in stream order, and the last sequence that it covers (some messages may be repeats)."""

    received: list[Received]
    last_sequence: int


Apply = Callable[[Connection, Delivery], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """One ordered reader.

    `apply` runs inside the transaction: no network, no clock, no serial. `prepare` runs before it, for stores outside
    Postgres; it must bear being repeated. `pace_seconds` is the least time from batch to batch while they are not
    full: under load they grow and transactions become few, while a lone event after a pause is not delayed. `tables`
    are what a rebuild makes anew (only of those fed by the event stream). `find_stream` is a stream's name or `evt.>`
    for the live event stream.
    """

    name: str
    find_stream: str
    subject_filter: str
    decode: Callable[[Msg], Sequence[Event]]
    apply: Apply
    prepare: Callable[[Delivery], Awaitable[None]] | None = None
    repeats: Repeats = Repeats.IMPOSSIBLE
    on_poison: OnPoison = OnPoison.STOP
    batch: int = 500
    pace_seconds: float = 0.0
    tables: tuple[str, ...] = field(default=())


def decode_one(message: Msg) -> Sequence[Event]:
    """Decode a message that is one event. Raises EnvelopeError."""
    return [decode_event(message.data)]


def decode_records(message: Msg) -> Sequence[Event]:
    """Decode a message that is a batch of records. Raises EnvelopeError."""
    return decode_batch(message.data)


def receive(projection: Projection, message: Msg) -> list[Received]:
    """Return the events of a message with where and when the stream stored it. Raises what `decode` raises."""
    meta = message.metadata
    stored_at = meta.timestamp.astimezone(UTC) if meta.timestamp else datetime.now(UTC)
    subject, sequence = message.subject, meta.sequence.stream
    return [Received(event, subject, sequence, stored_at) for event in projection.decode(message)]

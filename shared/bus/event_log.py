"""The event log: append with expected sequences, and read the events of one entity.

Optimistic concurrency is JetStream's: `Nats-Expected-Last-Subject-Sequence` over a subject filter; several events go as
one atomic batch (ADR-50), so either all of them are stored or none.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import APIError
from pydantic import BaseModel

from shared.bus.rpc import Caller
from shared.clock import format_time
from shared.envelope import CONTENT_TYPE, Event, EventType, decode_event
from shared.errors import AppError, Category, unavailable
from shared.ids import new_uuid7

_WRONG_LAST_SEQUENCE = 10071
_BATCH_HOLDS_DUPLICATE = 10201
_READ_NEGLECTED_SECONDS = 1
_APPEND_ATTEMPTS = 3
_CONFLICT_ATTEMPTS = 5
T = TypeVar("T")
_APPEND_TIMEOUT_SECONDS = 2.0


class WrongExpectationError(AppError):
    """Somebody else appended to the entity, or claimed the value, first."""

    def __init__(self) -> None:
        super().__init__("conflict", Category.CONFLICT, "Somebody else changed this at the same time; try again.")


@dataclass(frozen=True, slots=True)
class Expectation:
    """The last sequence that any subject of the filter must have; 0 = none yet."""

    subject_filter: str
    last_sequence: int


@dataclass(frozen=True, slots=True)
class Append:
    """One event on its subject, with what must hold for it to be stored."""

    subject: str
    event: Event
    expected: Expectation | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as the stream has it."""

    event: Event
    subject: str
    sequence: int


def build_event(
    kind: EventType,
    data: BaseModel,
    *,
    source: str,
    subject: str,
    caller: Caller,
    now: datetime,
    tenant: str | None = None,
) -> Event:
    """Return the event of what a caller did to `subject` (``<entity>/<id>``); of the caller's tenant unless told."""
    return Event(
        id=new_uuid7(),
        source=source,
        type=kind.name,
        schemaversion=kind.version,
        time=format_time(now),
        subject=subject,
        severity=kind.severity,
        actor=caller.principal,
        tenant=tenant or caller.tenant,
        requestid=caller.request_id,
        traceparent=caller.traceparent,
        causationid=caller.cause,
        data=data.model_dump(mode="json"),
    )


class EventLog:
    """The live event stream, as one service sees it through its own subjects."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self.stream = stream

    async def append(self, appends: Sequence[Append]) -> int:
        """Store the events in one piece and return the sequence of the last one.

        Raises WrongExpectationError when an expectation does not hold (nothing was stored), AppError unavailable when no
        ack came in three tries. A try repeats the same events, so an ack that was lost costs nothing: the server judges
        expectations before ids, therefore a refusal is only believed when our own event is not what stands there.
        """
        batch = new_uuid7()
        for _ in range(_APPEND_ATTEMPTS):
            try:
                return await self._try_append(appends, batch)
            except WrongExpectationError:
                stored = await self._find_stored(appends[-1])
                if stored is None:
                    raise
                return stored
            except (NatsError, TimeoutError):
                batch = new_uuid7()
        raise unavailable("the event stream")

    async def _try_append(self, appends: Sequence[Append], batch: str) -> int:
        for place, append in enumerate(appends[:-1], 1):
            headers = _headers(append) | {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(place)}
            await self._client.publish(append.subject, append.event.encode(), headers=headers)
        last = appends[-1]
        headers = _headers(last)
        if len(appends) > 1:
            headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(len(appends)), "Nats-Batch-Commit": "1"}
        reply = await self._client.request(
            last.subject, last.event.encode(), timeout=_APPEND_TIMEOUT_SECONDS, headers=headers
        )
        return await self._read_ack(orjson.loads(reply.data), last.subject)

    async def _read_ack(self, ack: dict[str, object], subject: str) -> int:
        error = ack.get("error")
        if not isinstance(error, dict):
            return int(str(ack["seq"]))
        if error.get("err_code") == _WRONG_LAST_SEQUENCE:
            raise WrongExpectationError
        if error.get("err_code") == _BATCH_HOLDS_DUPLICATE:
            return (await self.read(subject))[-1].sequence
        raise APIError.from_error(error)

    async def _find_stored(self, append: Append) -> int | None:
        """Return the sequence of this very event when it is stored already."""
        for item in await self.read(append.subject):
            if item.event.id == append.event.id:
                return item.sequence
        return None

    async def read(self, subject_filter: str) -> list[Stored]:
        """Return all events of the filter, in order; several hundred at most, as of one entity.

        Needs only the right to create a consumer with this one filter, no direct get. Raises AppError unavailable.
        """
        try:
            return await self._read(subject_filter)
        except (NatsError, TimeoutError) as error:
            raise unavailable("the event stream") from error

    async def find_made(self, subject_filter: str, caller: Caller) -> list[Stored]:
        """Return the events up to the one that a try before this one stored, under its Idempotency-Key; else none."""
        stored = await self.read(subject_filter) if caller.cause else []
        made = [place for place, item in enumerate(stored, 1) if item.event.causationid == caller.cause]
        return stored[: made[-1]] if made else []

    async def _read(self, subject_filter: str) -> list[Stored]:
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox)
        config = api.ConsumerConfig(
            name=f"read-{new_uuid7()}",
            filter_subject=subject_filter,
            deliver_subject=inbox,
            ack_policy=api.AckPolicy.NONE,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=_READ_NEGLECTED_SECONDS,
        )
        try:
            info = await self._client.jetstream().add_consumer(self.stream, config, timeout=2)
            waiting = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
            return [_stored(await subscription.next_msg(timeout=2)) for _ in range(waiting)]
        finally:
            await subscription.unsubscribe()


async def retry_conflicts(attempt: Callable[[], Awaitable[T]]) -> T:
    """Run a load-decide-append anew while somebody else was faster; the last time let the conflict out."""
    for _ in range(_CONFLICT_ATTEMPTS - 1):
        try:
            return await attempt()
        except WrongExpectationError:
            continue
    return await attempt()


def _headers(append: Append) -> dict[str, str]:
    headers = {"Nats-Msg-Id": append.event.id, "Content-Type": CONTENT_TYPE}
    if append.event.traceparent:
        headers["traceparent"] = append.event.traceparent
    if append.expected:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(append.expected.last_sequence)
        headers["Nats-Expected-Last-Subject-Sequence-Subject"] = append.expected.subject_filter
    return headers


def _stored(message: Msg) -> Stored:
    return Stored(decode_event(message.data), message.subject, message.metadata.sequence.stream)

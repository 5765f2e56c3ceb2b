"""The running of one projection: lease, consumer, batches, faults.

Order is judged in the consumer's own delivery sequence: any gap or redelivery recreates the consumer from the position in
Postgres, which alone is the truth. JetStream's position is a hint for whoever watches.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.bus.streams import EVENT_SUBJECTS, wait_for_stream
from shared.db import Connection, Pool, load_statements
from shared.ids import new_uuid7
from shared.projector.consumer import DeliveryGapError, StreamReader
from shared.projector.dead_letters import park
from shared.projector.faults import Fault, FencedError, classify
from shared.projector.metrics import ProjectionMetrics
from shared.projector.projection import Delivery, OnPoison, Projection, Received, Repeats, receive
from shared.projector.repeats import NumberedSources, forget_old, keep_unseen
from shared.telemetry import tracing
from shared.testing import failpoints

SQL = load_statements(__file__)
log = structlog.get_logger(__name__)
_FETCH_WAIT_SECONDS = 1.0
_RETRY_SECONDS = 0.5


class StoppedError(RuntimeError):
    """A projection of the event stream met what it cannot apply, or a position that cannot be; it waits for people."""


class Projector:
    """Runs one projection as its single active writer, or stands by until the lease is free."""

    def __init__(
        self, projection: Projection, *, pool: Pool, client: Client, service: str, lease_seconds: float = 3.0
    ) -> None:
        self.projection = projection
        self.service = service
        self.stopped_reason: str | None = None
        self.is_active = False
        self.metrics = ProjectionMetrics(service, projection.name)
        self._pool = pool
        self._client = client
        self._lease_seconds = lease_seconds
        self._holder = f"{socket.gethostname()}/{new_uuid7()}"
        self._sources = NumberedSources(projection.name)
        self._token = 0
        self._incarnation = ""
        self._sequence = 0

    @property
    def position(self) -> tuple[str, int]:
        """The (incarnation, sequence) that this writer last committed."""
        return self._incarnation, self._sequence

    async def run(self) -> None:
        """Work until cancelled; every trouble but a stop is waited out."""
        try:
            while self.stopped_reason is None:
                try:
                    await self._run_once()
                except StoppedError as error:
                    await self._stop(str(error))
                except Exception as error:  # noqa: BLE001  (an edge that must not die: the reader tries again)
                    log.warning("projection interrupted", projection=self.projection.name, reason=repr(error))
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            await self._release()

    async def _run_once(self) -> None:
        if not await self._take_lease():
            await asyncio.sleep(self._lease_seconds / 3)
            return
        renewal = asyncio.create_task(self._renew())
        forgetting = asyncio.create_task(forget_old(self._pool, self.projection))
        try:
            await self._read_stream(renewal)
        finally:
            self.is_active = False
            renewal.cancel()
            forgetting.cancel()
            await asyncio.gather(renewal, forgetting, return_exceptions=True)

    async def _take_lease(self) -> bool:
        name = self.projection.name
        row = await self._pool.fetchrow(SQL["projection_take_lease"], name, self._holder, self._lease_seconds)
        if row is None:
            return False
        self._token, self._incarnation, self._sequence = row["token"], row["incarnation"], row["sequence"]
        self._sources.forget()
        return True

    async def _renew(self) -> None:
        """Keep the lease; ends when a standby took over. Trouble with Postgres is left to the lease's end."""
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            with contextlib.suppress(OSError, TimeoutError):
                name = self.projection.name
                if not await self._pool.fetchrow(SQL["projection_renew_lease"], name, self._token, self._lease_seconds):
                    return

    async def _release(self) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(
                self._pool.execute(SQL["projection_release_lease"], self.projection.name, self._token), 2
            )

    async def _read_stream(self, renewal: asyncio.Task[None]) -> None:
        stream = await wait_for_stream(self._client, self.projection.find_stream)
        reader = StreamReader(
            self._client, stream, f"{self.service}-{self.projection.name}", self.projection.subject_filter
        )
        await self._settle(reader)
        self.is_active = True
        while not renewal.done():
            await reader.start(self._sequence + 1)
            with contextlib.suppress(DeliveryGapError):
                await self._apply_all(reader, renewal)

    async def _settle(self, reader: StreamReader) -> None:
        """Bring the stored position and the stream together, or stop with a sentence."""
        state = await reader.find_state()
        if self._incarnation and self._incarnation != state.incarnation:
            if self.projection.find_stream == EVENT_SUBJECTS:
                raise StoppedError(
                    f"{self.projection.name} stands in EVENTS-{self._incarnation}, but EVENTS-{state.incarnation} is live."
                )
            log.warning("stream was made anew", stream=reader.stream, projection=self.projection.name)
        if self._incarnation != state.incarnation:
            self._sequence = 0
            await self._pool.execute(
                SQL["projection_enter_incarnation"], self.projection.name, self._token, state.incarnation, 0
            )
            self._incarnation = state.incarnation
        if self._sequence > state.last_sequence:
            raise StoppedError(
                f"{self.projection.name} stands at {self._sequence}, ahead of {reader.stream}, which ends at "
                f"{state.last_sequence}: the stream was lost or restored. Restore it, or rebuild this store."
            )
        if state.first_sequence > self._sequence + 1 and state.first_sequence > 1:
            lost = (self.projection.name, self._incarnation, self._sequence + 1, state.first_sequence - 1)
            await self._pool.execute(SQL["loss_insert"], *lost)
            log.error("messages were purged before they were applied", projection=self.projection.name, lost=lost[2:])

    async def _apply_all(self, reader: StreamReader, renewal: asyncio.Task[None]) -> None:
        next_at = 0.0
        while not renewal.done():
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
            messages = await reader.fetch(self.projection.batch, _FETCH_WAIT_SECONDS)
            if not messages:
                self.metrics.caught_up()
                continue
            began_at = time.monotonic()
            await self._apply_messages(messages)
            failpoints.hit("projector.before_ack")
            await messages[-1].ack()
            is_full = len(messages) >= self.projection.batch
            next_at = 0.0 if is_full else began_at + self.projection.pace_seconds

    async def _apply_messages(self, messages: Sequence[Msg]) -> None:
        """Apply a run of messages; when it fails, one by one, so that only the bad one is treated as bad."""
        while True:
            try:
                await self._commit(messages)
                return
            except Exception as error:
                self._sources.forget()
                fault = classify(error)
                if fault is Fault.FENCED:
                    raise
                if fault is Fault.RETRY:
                    log.warning("projection waits", projection=self.projection.name, reason=repr(error))
                    await asyncio.sleep(_RETRY_SECONDS)
                elif len(messages) > 1:
                    for message in messages:
                        await self._apply_messages([message])
                    return
                else:
                    await self._treat_poison(messages[0], error)
                    return

    async def _treat_poison(self, message: Msg, error: Exception) -> None:
        sequence = message.metadata.sequence.stream
        if self.projection.on_poison is OnPoison.STOP:
            raise StoppedError(f"{self.projection.name} cannot apply event {sequence}: {error}") from error
        log.warning("message parked", projection=self.projection.name, sequence=sequence, reason=str(error)[:500])
        await park(self._client, self.service, self.projection.name, message, str(error))
        self.metrics.parked.inc()
        async with self._pool.acquire() as connection, connection.transaction():
            await self._advance(connection, sequence)
        self._sequence = sequence

    async def _commit(self, messages: Sequence[Msg]) -> None:
        received = [item for message in messages for item in receive(self.projection, message)]
        causes = (item.event.traceparent for item in received)
        with tracing.consume(f"{self.projection.find_stream} {self.projection.name}", causes):
            await self._commit_received(received, messages[-1].metadata)

    async def _commit_received(self, received: list[Received], last: Msg.Metadata) -> None:
        if self.projection.prepare:
            await self.projection.prepare(Delivery(received, last.sequence.stream))
        async with self._pool.acquire() as connection, connection.transaction():
            if self.projection.repeats is Repeats.BY_NUMBER:
                received = await self._sources.keep_new(connection, received)
            await self._advance(connection, last.sequence.stream)
            if self.projection.repeats is Repeats.BY_IDENTITY and received:
                received = await keep_unseen(connection, self.projection.name, received)
            if received:
                await self.projection.apply(connection, Delivery(received, last.sequence.stream))
            failpoints.hit("projector.before_commit")
        self._sequence = last.sequence.stream
        self.metrics.applied(len(received), lag=last.num_pending, stored_at=last.timestamp)

    async def _advance(self, connection: Connection, sequence: int) -> None:
        place = (self.projection.name, self._token, self._incarnation, self._sequence, sequence)
        moved = await connection.fetchrow(SQL["projection_advance"], *place, *self._sources.take_changed())
        if moved is None:
            raise FencedError(f"{self.projection.name} is not at {self._sequence} under token {self._token} any more")

    async def _stop(self, reason: str) -> None:
        self.stopped_reason = reason
        self.metrics.stopped.set(1)
        log.critical("projection stopped", projection=self.projection.name, reason=reason)
        await self._pool.execute(SQL["projection_stop"], self.projection.name, reason)

"""Group commit without a timer, into memory that is bounded by reservation.

The first record of an idle recorder goes out at once; those that arrive while acks are in flight form the next message.
Room is taken before the work that will be recorded.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from shared.envelope import BATCH_CONTENT_TYPE
from shared.ids import new_uuid7
from shared.recorder.metrics import RecorderMetrics
from shared.recorder.record import Record, encode
from shared.recorder.spool import Frozen, Spool, adopt_orphans
from shared.testing import failpoints

log = structlog.get_logger(__name__)
_PROBE_SECONDS = 1.0
_PROBE_PAUSE_SECONDS = 0.25
_WATCH_SECONDS = 0.05
_WORTH_A_MESSAGE = 32  # records: what costs is work per message, here, in NATS and in every reader


class NotDurableError(Exception):
    """Neither NATS nor the disk takes the record: it is kept in memory and tried again, but nothing may be promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderLimits:
    """Bounds of one recorder; `record_bytes` is what a reservation sets aside."""

    memory_bytes: int = 64 * 1024 * 1024
    spool_bytes: int = 1024 * 1024 * 1024
    message_bytes: int = 512 * 1024
    record_bytes: int = 8 * 1024
    in_flight: int = 4
    ack_deadline_seconds: float = 0.25


class Ticket:
    """A group of records that become durable together.

    `settled` resolves when they have, or raises NotDurableError; `stored` goes on waiting until they have.
    """

    __slots__ = ("records", "settled", "size", "stored")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.records: list[bytes] = []
        self.size = 2
        self.settled: asyncio.Future[None] = loop.create_future()
        self.stored: asyncio.Future[None] = loop.create_future()

    def give_up(self) -> None:
        """Tell those who wait that the records are not durable; the records stay."""
        if not self.settled.done():
            self.settled.set_exception(NotDurableError())
            self.settled.exception()  # seen: nobody waits for the records of a buffered route


@dataclass(slots=True)
class _Sent:
    message: Frozen
    ticket: Ticket
    sent_at: float


class Recorder:
    """Publishes the records of one process boot on one subject.

    `source` names the boot; every record carries it and the next `sourceseq`. `record` needs a reservation, taken by
    `reserve` before the work; `release` gives back one that is not used.
    """

    def __init__(
        self, client: Client, *, subject: str, source: str, folder: Path, limits: RecorderLimits | None = None
    ) -> None:
        self.source = source
        self.limits = limits or RecorderLimits()
        self.is_live = True
        self.metrics = RecorderMetrics()
        self._client = client
        self._subject = subject
        self._folder = folder
        self._boot = source.rsplit("/", 1)[-1]
        self._note = folder / f"{source.rsplit('/', 2)[-2]}.boot"
        self._spool = Spool(folder, self._boot, max_bytes=self.limits.spool_bytes)
        self._loop = asyncio.get_running_loop()
        self._next_number = 1
        self._reserved = 0
        self._held_bytes = 0
        self._open = Ticket(self._loop)
        self._flush_is_due = False
        self._sent: dict[str, _Sent] = {}
        self._to_spool: list[_Sent] = []
        self._spool_has_work = asyncio.Event()
        self._drain_has_work = asyncio.Event()
        self._spool_is_broken = False
        self._replaces: str | None = None
        self._inbox = f"{client._inbox_prefix.decode()}.record.{self._boot}"  # noqa: SLF001  (nats-py has no accessor)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen for acks, adopt what earlier boots left behind, and begin to drain."""
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)
        for work in (self._watch_deadlines, self._write_spool, self._drain_spool, self._adopt):
            self._tasks.append(self._loop.create_task(work()))

    async def close(self) -> None:
        """Flush: return when everything recorded is acked or in the spool. Nothing may be recorded afterwards."""
        while self._open.records or self._sent or self._to_spool:
            self._flush()
            await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._spool.close()

    # Room

    @property
    def has_room(self) -> bool:
        """Whether one more record would find room."""
        needed = self._held_bytes + (self._reserved + 1) * self.limits.record_bytes
        if needed > self.limits.memory_bytes or self._spool_is_broken:
            return False
        return self.is_live or self._spool.has_room(needed)

    def reserve(self) -> bool:
        """Set room for one record aside; False when there is none."""
        if not self.has_room:
            return False
        self._reserved += 1
        return True

    def release(self) -> None:
        """Give back room that was not used."""
        self._reserved -= 1

    @property
    def spooled_bytes(self) -> int:
        """What lies in the spool now."""
        return self._spool.size_bytes

    # Recording

    def record(self, record: Record) -> Ticket:
        """Take a record into the open group, and give it its identity and number.

        Uses up a reservation. Await the ticket's `settled` for durability.
        """
        self._reserved -= 1
        record.id = record.id or new_uuid7()
        record.source = self.source
        record.sourceseq = str(self._next_number)
        replaces, self._replaces = self._replaces, None
        if replaces is not None:
            record.replaces = replaces
        self._next_number += 1
        encoded = encode(record)
        if self._open.size + len(encoded) > self.limits.message_bytes:
            self._close_group()
        ticket = self._open
        ticket.records.append(encoded)
        ticket.size += len(encoded) + 1
        self._held_bytes += len(encoded)
        if replaces is not None:
            ticket.stored.add_done_callback(lambda _: self._note.write_text(self.source))
        self._flush_soon()
        return ticket

    def _flush_soon(self) -> None:
        """Flush once everybody whose turn it is in this round of the loop has recorded: they share the message."""
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        waiting, in_flight = len(self._open.records), len(self._sent)
        is_worth_it = not in_flight or (in_flight < self.limits.in_flight and waiting >= _WORTH_A_MESSAGE)
        if waiting and (is_worth_it or not self.is_live):
            self._close_group()

    def _close_group(self) -> None:
        """Freeze the open group into a message and send it, live or to the spool."""
        ticket, self._open = self._open, Ticket(self._loop)
        message = Frozen(new_uuid7(), b"[" + b",".join(ticket.records) + b"]")
        sent = _Sent(message, ticket, time.monotonic())
        if self.is_live and self._client.is_connected:
            self._sent[message.id] = sent
            self._loop.create_task(self._publish(sent))
        else:
            self.is_live = False
            self._queue_for_spool(sent)

    async def _publish(self, sent: _Sent) -> None:
        failpoints.hit("recorder.before_send")
        reply = f"{self._inbox}.{sent.message.id}"
        headers = {"Nats-Msg-Id": sent.message.id, "Content-Type": BATCH_CONTENT_TYPE}
        with contextlib.suppress(NatsError):  # what was not sent is not acked: the deadline takes it to the spool
            await self._client.publish(self._subject, sent.message.payload, reply=reply, headers=headers)

    async def _on_ack(self, message: Msg) -> None:
        sent = self._sent.get(message.subject.rpartition(".")[2])
        if sent is None:
            return
        if not _is_ack(message):
            self._give_up_live(str(message.data[:200] or message.headers))
            return
        del self._sent[sent.message.id]
        self.metrics.acked(len(sent.ticket.records), time.monotonic() - sent.sent_at)
        self._settle(sent)
        self._flush_soon()

    def _settle(self, sent: _Sent) -> None:
        self._held_bytes -= sum(map(len, sent.ticket.records))
        for waited in (sent.ticket.settled, sent.ticket.stored):
            if not waited.done():
                waited.set_result(None)

    # Spool

    async def _watch_deadlines(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            oldest = next(iter(self._sent.values()), None)
            if oldest and time.monotonic() - oldest.sent_at > self.limits.ack_deadline_seconds:
                self._give_up_live("no ack within the deadline")

    def _give_up_live(self, reason: str) -> None:
        """Send everything that waits for an ack to the spool, and what comes next straight there."""
        if self.is_live:
            log.warning("recording goes to the spool", reason=reason)
        self.is_live = False
        sent, self._sent = self._sent, {}
        for item in sent.values():
            self._queue_for_spool(item)
        self._flush()

    def _queue_for_spool(self, sent: _Sent) -> None:
        self._to_spool.append(sent)
        self._spool_has_work.set()

    async def _write_spool(self) -> None:
        while True:
            await self._spool_has_work.wait()
            self._spool_has_work.clear()
            while self._to_spool:
                group = list(self._to_spool)
                self._spool.begin_append()
                try:
                    places = await asyncio.to_thread(self._spool.append, [sent.message for sent in group])
                except OSError as error:
                    self._spool.end_append()
                    await self._note_broken_spool(error)
                    continue
                self._spool.end_append()
                del self._to_spool[: len(group)]
                self._spool_is_broken = False
                self._spool.note(places)
                self._drain_has_work.set()
                self.metrics.spooled(sum(len(sent.ticket.records) for sent in group), self._spool.size_bytes)
                for sent in group:
                    self._settle(sent)
                self._flush()

    async def _note_broken_spool(self, error: OSError) -> None:
        """Refuse new work, keep what is held, and try again: on disk, and live in case NATS is back.

        Whoever waits for a record is told, so that no request hangs until somebody makes room on the disk.
        """
        if not self._spool_is_broken:
            log.error("the spool cannot be written", reason=str(error))
        self._spool_is_broken = True
        for sent in list(self._to_spool):
            if await self._publish_and_wait(sent.message):
                self._to_spool.remove(sent)
                self._settle(sent)
            else:
                break
        for sent in self._to_spool:
            sent.ticket.give_up()
        if not self._to_spool:
            self._spool_is_broken = False
            self.is_live = True
        await asyncio.sleep(_PROBE_PAUSE_SECONDS)

    async def _drain_spool(self) -> None:
        """Send the spool's messages under their old ids; the first ack shows that NATS is back."""
        while True:
            await self._drain_has_work.wait()
            message = self._spool.oldest()
            if message is None and not len(self._spool):
                self._drain_has_work.clear()
                continue
            if message is None:
                log.error("a spooled message was damaged on disk")
            elif not await self._publish_and_wait(message):
                await asyncio.sleep(_PROBE_PAUSE_SECONDS)
                continue
            failpoints.hit("recorder.drained_one")
            self._go_live()
            self._spool.forget_oldest()
            self.metrics.drained(self._spool.size_bytes)

    def _go_live(self) -> None:
        if not self.is_live:
            log.info("recording is live again", spooled_bytes=self._spool.size_bytes)
            self.is_live = True

    async def _adopt(self) -> None:
        """Drain what earlier boots left in the folder; only then may a record say which boots it replaces.

        The note names every boot that no durable record has replaced yet, this one last.
        """
        for orphan in adopt_orphans(self._folder):
            for message in orphan.messages():
                while not await self._publish_and_wait(message):
                    await asyncio.sleep(_PROBE_PAUSE_SECONDS)
            orphan.remove()
        earlier = self._note.read_text().split() if self._note.exists() else []
        self._replaces = " ".join(earlier) or None
        self._note.write_text(" ".join([*earlier, self.source]))

    async def _publish_and_wait(self, message: Frozen) -> bool:
        headers = {"Nats-Msg-Id": message.id, "Content-Type": BATCH_CONTENT_TYPE}
        try:
            reply = await self._client.request(self._subject, message.payload, timeout=_PROBE_SECONDS, headers=headers)
        except (NatsError, TimeoutError, OSError):
            return False
        return _is_ack(reply)


def _is_ack(message: Msg) -> bool:
    """Say whether a reply is JetStream's ack: not an error, and not the status of nobody listening."""
    return bool(message.data) and "error" not in orjson.loads(message.data)

"""Batches of a stream's messages as they are: raw header blocks, whole nanoseconds, every delivery accounted for."""

import asyncio

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.backup.errors import ReadError
from services.backup.segment import Message

_BATCH_MESSAGES = 2000
_BATCH_BYTES = 8 * 1024 * 1024
_BATCH_TIMEOUT_SECONDS = 30
_STATUS_SPACE = 8  # "NATS/1.0 404": a status line has a space where a plain header block has its line's end


class RawHeaders(dict[str, str]):
    """The headers of a message as it came; `raw` is the block with its first line."""

    raw = b""


class RawClient(Client):
    """A NATS client that keeps the header blocks of messages: what is stored must be what was sent, byte for byte."""

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        if not headers or headers[_STATUS_SPACE : _STATUS_SPACE + 1] == b" ":
            parsed: dict[str, str] | None = await super()._process_headers(headers)
            return parsed
        kept = RawHeaders()
        kept.raw = bytes(headers)
        return kept


class Pull:
    """Takes batches from one consumer; messages are collected by a callback, which costs a third of awaiting each."""

    def __init__(self, client: Client, target: str, inbox: str) -> None:
        self._client = client
        self._target = target
        self._prefix = inbox
        self._delivered = 0
        self._received: list[Msg] = []
        self._ended = asyncio.Event()

    async def open(self) -> None:
        """Listen; each request has an inbox of its own below the prefix, so that a late end is not mistaken."""
        self._subscription = await self._client.subscribe(f"{self._prefix}.*", cb=self._collect)

    async def close(self) -> None:
        """Listen no longer."""
        await self._subscription.unsubscribe()

    async def _collect(self, received: Msg) -> None:
        if not received.reply and received.subject != f"{self._prefix}.{self._delivered}":
            return
        self._received.append(received)
        if not received.reply or len(self._received) == _BATCH_MESSAGES:
            self._ended.set()

    async def take(self) -> tuple[list[Message], int]:
        """Return a batch and how many messages wait behind it. Raises ReadError, TimeoutError."""
        self._received, self._ended = [], asyncio.Event()
        body = orjson.dumps({"batch": _BATCH_MESSAGES, "max_bytes": _BATCH_BYTES, "no_wait": True})
        inbox = f"{self._prefix}.{self._delivered}"
        await self._client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{self._target}", body, reply=inbox)
        async with asyncio.timeout(_BATCH_TIMEOUT_SECONDS):
            await self._ended.wait()
        batch: list[Message] = []
        pending = 0
        for received in self._received:
            if not received.reply:
                _check_status(received, is_empty=not batch)
                break
            message, number, pending = read_message(received)
            if number != self._delivered + 1:
                raise ReadError("a message was lost between NATS and here")
            self._delivered = number
            batch.append(message)
        return batch, pending


def _check_status(received: Msg, *, is_empty: bool) -> None:
    """Pass the end of a pull: of one that brought messages always, of an empty one only when nothing waits (404, 408)."""
    status = (received.headers or {}).get("Status", "")
    if is_empty and status not in {"404", "408"}:
        raise ReadError(f"JetStream ended a pull with status {status or 'none'}")


def read_message(received: Msg) -> tuple[Message, int, int]:
    """Return a delivered message, the delivery's number, and how many wait, by the reply's tokens (ADR-15, both forms)."""
    tokens = received.reply.split(".")
    start = 5 if len(tokens) == 9 else 7  # noqa: PLR2004  ($JS.ACK without and with domain and account)
    sequence, number, time_ns, pending = map(int, tokens[start : start + 4])
    raw = received.headers.raw if isinstance(received.headers, RawHeaders) else b""
    return Message(sequence, time_ns, received.subject, raw, received.data), number, pending

"""Reads a stream as it is: raw header blocks, times in whole nanoseconds, and never a hole that was not there.

A pull consumer without acks numbers its deliveries: a message lost on the way shows as a jump in that number, so a gap in
the stream's own sequences can only be a deletion.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.backup.contract.streams import BOOKMARKS
from services.backup.errors import ReadError
from services.backup.segment import Message
from services.backup.stream_pull import Pull, RawClient
from shared.bus import connection_options, find_event_stream, find_incarnation
from shared.ids import new_uuid7
from shared.settings import CommonSettings

log = structlog.get_logger(__name__)
EVENTS = "EVENTS"
STREAMS = (EVENTS, "TRAFFIC", "EXTERNAL")
_API_TIMEOUT_SECONDS = 5
_NEGLECTED_NS = 60_000_000_000
_PASSING: Final[dict[str, Any]] = {"mem_storage": True, "num_replicas": 1, "inactive_threshold": _NEGLECTED_NS}
_NOT_FOUND = 404


async def _note_error(error: Exception) -> None:
    log.debug("nats", error=repr(error))


async def connect_raw(settings: CommonSettings) -> Client:
    """Return a connection of its own for the reader."""
    client = RawClient()
    seed = str(settings.nats_seed_file) if settings.nats_seed_file else None
    await client.connect(**connection_options(settings, name="backup"), nkeys_seed=seed, error_cb=_note_error)
    return client


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream at a moment; `name` is what backups call it, `stream` its name on the server, `created` tells its lives."""

    name: str
    stream: str
    incarnation: str
    created: str
    config: dict[str, Any]
    first: int
    last: int


async def ask_api(client: Client, subject: str, body: Any = None) -> dict[str, Any]:
    """Return JetStream's answer, errors included under `error`. Raises ReadError when none came."""
    try:
        payload = b"" if body is None else orjson.dumps(body)
        reply = await client.request(f"$JS.API.{subject}", payload, timeout=_API_TIMEOUT_SECONDS)
    except (NatsError, TimeoutError) as error:
        raise ReadError(f"JetStream does not answer {subject.rsplit('.', 1)[0]}") from error
    answer: dict[str, Any] = orjson.loads(reply.data)
    return answer


def is_missing(answer: dict[str, Any]) -> bool:
    """Say whether JetStream answered that there is no such thing. Raises ReadError for any other error."""
    error = answer.get("error")
    if error and error.get("code") != _NOT_FOUND:
        raise ReadError(str(error.get("description")))
    return bool(error)


class StreamReader:
    """Reads the streams of the house."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def find_state(self, name: str) -> StreamState | None:
        """Return the stream's state now; None when it does not exist. EVENTS stands for whatever owns `evt.>`."""
        stream = await find_event_stream(self._client) if name == EVENTS else name
        if not stream:
            return None
        info = await ask_api(self._client, f"STREAM.INFO.{stream}")
        if is_missing(info):
            return None
        return StreamState(
            name=name,
            stream=stream,
            incarnation=await find_incarnation(self._client, stream),
            created=info["created"],
            config=info["config"],
            first=info["state"]["first_seq"],
            last=info["state"]["last_seq"],
        )

    async def read(self, stream: str, first: int, last: int) -> AsyncIterator[list[Message]]:
        """Yield the messages of first..last in order, some thousand at a time.

        Raises ReadError when NATS goes away or a delivery is lost on the way.
        """
        if first > last:
            return
        consumer = f"backup-{new_uuid7()}"
        pull = Pull(self._client, f"{stream}.{consumer}", self._client.new_inbox())
        await pull.open()
        try:
            await self._create_consumer(stream, consumer, first)
            while True:
                batch, pending = await pull.take()
                wanted = [message for message in batch if message.sequence <= last]
                if wanted:
                    yield wanted
                if not pending or len(wanted) < len(batch) or wanted[-1].sequence == last:
                    return
        except (NatsError, TimeoutError) as error:
            raise ReadError(f"{stream} could not be read: NATS does not answer") from error
        finally:
            await pull.close()
            await self._client.publish(f"$JS.API.CONSUMER.DELETE.{stream}.{consumer}")

    async def put_bookmark(self, stream: str, last: int) -> None:
        """Say on the stream that everything up to `last` is in a recovery point: nothing later may be purged.

        A bookmark stands at every moment: where the first name is taken, the second is made before the first goes.
        """
        first, second = BOOKMARKS
        try:
            await self._create_consumer(stream, first, last + 1, {"durable_name": first})
        except ReadError:
            await self._delete_consumer(stream, second)
            await self._create_consumer(stream, second, last + 1, {"durable_name": second})
            await self._delete_consumer(stream, first)
        else:
            await self._delete_consumer(stream, second)

    async def _delete_consumer(self, stream: str, consumer: str) -> None:
        is_missing(await ask_api(self._client, f"CONSUMER.DELETE.{stream}.{consumer}"))

    async def _create_consumer(self, stream: str, consumer: str, first: int, kind: dict[str, Any] = _PASSING) -> None:
        config = kind | {
            "name": consumer, "deliver_policy": "by_start_sequence", "opt_start_seq": max(first, 1), "ack_policy": "none",
            "replay_policy": "instant",
        }  # fmt: skip
        body = {"stream_name": stream, "config": config}
        answer = await ask_api(self._client, f"CONSUMER.CREATE.{stream}.{consumer}", body)
        if "error" in answer:
            raise ReadError(f"{stream} could not be read: {answer['error'].get('description')}")

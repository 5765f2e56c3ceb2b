"""Restores a selection into a scratch stream by the server's own archive, and compares the two message by message.

The stream lives while it is written, under a name and subjects that nothing else uses; unless it equals the backup in the
end it is deleted.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from nats.aio.client import Client

from services.backup import archive, snappy
from services.backup.archive_transfer import Transfer
from services.backup.domain import NS
from services.backup.errors import RestoreError
from services.backup.reader import StreamReader, ask_api, is_missing
from services.backup.restore_plan import RestorePlanner, Selection
from services.backup.segment import Message
from shared.errors import conflict, invalid
from shared.testing import failpoints

OWNER_KEY = "gatehouse_restore"
_RESERVED = ("EVENTS", "TRAFFIC", "EXTERNAL", "ALERTS", "DLQ", "KV_", "OBJ_")
Report = Callable[[str, int, int], Awaitable[None]]


def check_name(into: str) -> None:
    """Refuse names that streams of the house have or may get. Raises AppError invalid."""
    if into.upper().startswith(_RESERVED):
        raise invalid("is a name that streams of the house have", field="into")


def build_config(into: str, restore_id: str, live: dict[str, Any]) -> dict[str, Any]:
    """Return the scratch stream's configuration: inert subjects, no bound of size or age, and whose it is."""
    return {
        "name": into,
        "subjects": [f"restored.{into}.>"],
        "description": f"Restored from a backup of {live['name']}.",
        "retention": "limits",
        "storage": "file",
        "num_replicas": live.get("num_replicas", 1),
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "discard": "old",
        "allow_direct": True,
        "metadata": {OWNER_KEY: restore_id},
    }


def _format_time_ns(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns // NS, UTC):%Y-%m-%dT%H:%M:%S}.{time_ns % NS:09d}Z"


def build_state(selection: Selection) -> dict[str, Any]:
    """Return the state that the archive announces; a gap at the end is padded up to last_seq by the server."""
    state: dict[str, Any] = {"messages": selection.messages, "bytes": selection.bytes, "consumer_count": 0}
    state |= {"first_seq": selection.first, "last_seq": selection.last}
    return state | {
        "first_ts": _format_time_ns(selection.first_time_ns),
        "last_ts": _format_time_ns(selection.last_time_ns),
    }


class RestoreRunner:
    """Runs restores; several at once are allowed."""

    def __init__(self, client: Client, reader: StreamReader, planner: RestorePlanner) -> None:
        self._client = client
        self._reader = reader
        self._planner = planner

    async def check_free(self, into: str) -> None:
        """Refuse a name that a stream has. Raises AppError conflict, ReadError."""
        if not is_missing(await ask_api(self._client, f"STREAM.INFO.{into}")):
            raise conflict(f"A stream {into} exists already; choose another name.")

    async def run(self, restore_id: str, into: str, selection: Selection, report: Report) -> None:
        """Restore and compare; `report` hears (phase, messages, bytes).

        Raises RestoreError, ReadError or CancelledError; then no stream is left.
        """
        await self.check_free(into)
        config = build_config(into, restore_id, selection.stream.config)
        try:
            expected = await self._send(into, config, selection, report)
            await self._compare(into, selection, expected, report)
        except BaseException:
            await asyncio.shield(self.discard(restore_id, into))
            raise

    async def discard(self, restore_id: str, into: str) -> None:
        """Delete the scratch stream of a restore, if it exists and is that restore's. Raises ReadError."""
        info = await ask_api(self._client, f"STREAM.INFO.{into}")
        if is_missing(info) or info["config"].get("metadata", {}).get(OWNER_KEY) != restore_id:
            return
        is_missing(await ask_api(self._client, f"STREAM.DELETE.{into}"))

    async def _send(self, into: str, config: dict[str, Any], selection: Selection, report: Report) -> dict[int, str]:
        """Send the archive; return the digest of all records up to each segment's last message."""
        body = {"config": config, "state": build_state(selection)}
        answer = await ask_api(self._client, f"STREAM.RESTORE.{into}", body)
        if "error" in answer:
            raise RestoreError(f"NATS refuses the restore: {answer['error'].get('description')}")
        transfer = Transfer(self._client, answer["deliver_subject"])
        await transfer.send(snappy.STREAM_IDENTIFIER, archive.encode_start(body["state"]))
        digest, digests = hashlib.sha256(), {}
        count = size = 0
        async for messages in self._planner.read(selection):
            await transfer.send(b"", await asyncio.to_thread(archive.encode_messages, messages))
            await asyncio.to_thread(_update, digest, messages)
            failpoints.hit("restore.mid")
            if messages:
                digests[messages[-1].sequence] = digest.hexdigest()
            count, size = count + len(messages), size + sum(len(message.payload) for message in messages)
            await report("restore", count, size)
        await transfer.send(b"", archive.SENTINEL)
        await transfer.finish()
        return digests

    async def _compare(self, into: str, selection: Selection, expected: dict[int, str], report: Report) -> None:
        """Read the stream back: count, sequences, subjects, headers, payloads and times must be the backup's."""
        comparison = _Comparison(expected)
        async for batch in self._reader.read(into, 1, selection.last):
            comparison.add(batch)
            await report("verify", comparison.messages, comparison.bytes)
        state = await self._reader.find_state(into)
        is_whole = not comparison.left and comparison.messages == selection.messages
        if not is_whole or state is None or state.last != selection.last:
            raise RestoreError("the restored stream has other messages than the backup")


def _update(digest: "hashlib._Hash", messages: list[Message]) -> None:
    for message in messages:
        digest.update(message.encode())


class _Comparison:
    """Follows a restored stream and holds its digest against the backup's at the end of each segment."""

    def __init__(self, expected: dict[int, str]) -> None:
        self._expected = expected
        self._digest = hashlib.sha256()
        self.left = sorted(expected)
        self.messages = 0
        self.bytes = 0

    def add(self, batch: list[Message]) -> None:
        """Add messages. Raises RestoreError at the end of the first segment that differs."""
        for message in batch:
            self.messages += 1
            self.bytes += len(message.payload)
            self._digest.update(message.encode())
            if self.left and message.sequence >= self.left[0]:
                end = self.left.pop(0)
                if message.sequence != end or self._digest.hexdigest() != self._expected[end]:
                    raise RestoreError(f"the restored stream differs from the backup at or before sequence {end}")

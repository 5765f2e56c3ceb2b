"""An archive on its way to NATS: `$JS.API.STREAM.RESTORE`, in requests below the server's max_payload."""

import asyncio

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.backup import snappy
from services.backup.errors import ReadError, RestoreError

_CHUNK_BYTES = 512 * 1024
_CHUNK_TIMEOUT_SECONDS = 30


class Transfer:
    """Snappy chunks, gathered into requests; the server stores what came while more is sent."""

    def __init__(self, client: Client, subject: str) -> None:
        self._client = client
        self._subject = subject
        self._buffer = bytearray()

    async def send(self, prefix: bytes, data: bytes) -> None:
        """Frame and send what fills requests; the rest waits. Raises RestoreError."""
        self._buffer += prefix
        for framed in await asyncio.to_thread(list, snappy.frame(data)):
            self._buffer += framed
            if len(self._buffer) >= _CHUNK_BYTES:
                await self._request()

    async def finish(self) -> None:
        """Send the rest and the end. Raises RestoreError when the server did not take the archive."""
        if self._buffer:
            await self._request()
        answer = orjson.loads(await self._ask(b""))
        if "error" in answer:
            raise RestoreError(f"NATS refuses the archive: {answer['error'].get('description')}")

    async def _request(self) -> None:
        data = bytes(self._buffer)
        self._buffer.clear()
        if answer := await self._ask(data):
            raise RestoreError(f"NATS refuses the archive: {answer[:200].decode(errors='replace')}")

    async def _ask(self, data: bytes) -> bytes:
        try:
            reply = await self._client.request(self._subject, data, timeout=_CHUNK_TIMEOUT_SECONDS)
        except (NatsError, TimeoutError) as error:
            raise ReadError("NATS stopped taking the archive") from error
        return bytes(reply.data)

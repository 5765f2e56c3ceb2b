"""What goes to an upstream and what comes back: request, response, and the two ways to fail."""

from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from services.gateway.upstream.connection import UpstreamConnection

_NO_BODY = frozenset({204, 304})
_NOT_MODIFIED = 304
_MOST_NAMES = 1024
_LONGEST_NAME = 64
KNOWN_NAMES: dict[bytes, str] = {}


class UpstreamFailedError(Exception):
    """The upstream could not be reached, or broke off. `nothing_sent` when a retry cannot repeat an effect."""

    def __init__(self, reason: str, *, nothing_sent: bool = False) -> None:
        super().__init__(reason)
        self.nothing_sent = nothing_sent


class UpstreamTimeoutError(Exception):
    """The upstream did not answer, or fell silent, within its time."""


class UpstreamRequest(Struct):
    """A request ready for the wire: `head` up to and with the empty line; `body` whole, or None when it is streamed."""

    method: str
    head: bytes
    body: bytes | None
    stream: AsyncIterator[bytes] | None = None
    is_chunked: bool = False


class UpstreamResponse:
    """A response whose head has come; `length` is its Content-Length, None when unknown, 0 without a body.

    `headers` are as they came with their names in lower case, `fields` the last of each name, `coding` the last transfer
    coding, which says how the message ends (RFC 9112, section 6.3). An answer that is not `is_bare` leaves a connection
    behind on which more of it may come.
    """

    __slots__ = ("_connection", "coding", "fields", "headers", "is_bare", "length", "status")

    def __init__(
        self, connection: "UpstreamConnection", status: int, headers: list[tuple[str, str]], *, is_head: bool = False
    ) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers
        self.fields = dict(headers)
        coding = self.fields.get("transfer-encoding")
        self.coding = None if coding is None else coding.rpartition(",")[2].strip().lower()[:_LONGEST_NAME]
        self.is_bare = True
        if is_head or status in _NO_BODY:
            self.length: int | None = 0
            self.is_bare = not is_head and self._announces_nothing()
        else:
            length = self.fields.get("content-length") if coding is None else None
            self.length = None if length is None else int(length)

    @property
    def is_whole(self) -> bool:
        """Whether the last of the body has come."""
        return self._connection.is_whole

    def take(self) -> bytes:
        """Return the body of a whole response."""
        return self._connection.take()

    def _announces_nothing(self) -> bool:
        """Say whether an answer without a body announces none, so that nothing of it can come behind.

        A 304 may name the length that the body would have had (RFC 9110, section 15.4.5).
        """
        is_announced = self.status != _NOT_MODIFIED and self.fields.get("content-length", "0") != "0"
        return not is_announced and self.coding is None

    def read(self) -> Awaitable[bytes]:
        """Return the whole body. Raises UpstreamFailedError when it breaks off, UpstreamTimeoutError in silence."""
        return self._connection.read_all()

    def next_chunk(self) -> Awaitable[bytes | None]:
        """Return the next piece of the body, None after the last. Raises as `read`."""
        return self._connection.next_chunk()

    def abort(self) -> None:
        """Give the rest up and close the connection."""
        self._connection.close()


def learn_name(name: bytes) -> str:
    """Return a header's name in lower case, and know it from now on: upstreams repeat theirs, and bounds keep others out."""
    text = str(name, "latin-1").lower()
    if len(KNOWN_NAMES) < _MOST_NAMES and len(name) <= _LONGEST_NAME:
        KNOWN_NAMES[name] = text
    return text

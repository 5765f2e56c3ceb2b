"""The message-level archive that NATS 2.15 restores a stream from (server/archive/archive.go): NATSARC1. Pure.

Entries: state.json first, messages ascending, an entry of zeros last. Sequences, nanoseconds, headers and gaps are kept.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from services.backup.segment import Message

MAGIC = b"NATSARC1"
SENTINEL = bytes(5)


def _write_varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:  # noqa: PLR2004  (seven bits a byte)
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def encode_entry(name: bytes, body: bytes, *, time_ns: int = 0, sequence: int = 0, header_bytes: int = 0) -> bytes:
    """Return one entry; the body is the header block followed by the payload."""
    sizes = (sequence, header_bytes, len(body) - header_bytes)
    zigzag = time_ns << 1 if time_ns >= 0 else (-time_ns << 1) - 1
    numbers = b"".join(map(_write_varint, (len(name), zigzag, *sizes)))
    return numbers + name + body


def encode_start(state: dict[str, Any]) -> bytes:
    """Return the archive's beginning; `state` is the stream's state in the server's own JSON."""
    return MAGIC + encode_entry(b"state.json", orjson.dumps(state))


def encode_messages(messages: Iterable[Message]) -> bytes:
    """Return the entries of messages, which must ascend by sequence."""
    return b"".join(
        encode_entry(
            message.subject.encode(),
            message.headers + message.payload,
            time_ns=message.time_ns,
            sequence=message.sequence,
            header_bytes=len(message.headers),
        )
        for message in messages
    )

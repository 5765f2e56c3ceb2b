"""The plaintext of a segment: a run of one stream's messages, byte for byte as the stream has them. Pure.

Layout (docs/backup-format.md): one line of JSON, then the records one after the other. What a segment covers is the whole
range first_sequence..last_sequence; a sequence without a record was deleted, and stands in `deleted`.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict

from services.backup.errors import DamagedError

FORMAT = "gatehouse-segment/1"
NO_PREVIOUS = "0" * 64
RECORD = struct.Struct(">QqIII")


class Message(NamedTuple):
    """A message of a stream: raw header block (empty when there is none), time in nanoseconds since 1970."""

    sequence: int
    time_ns: int
    subject: str
    headers: bytes
    payload: bytes

    def encode(self) -> bytes:
        """Return the record: its fixed part, then subject, headers and payload."""
        subject = self.subject.encode()
        fixed = RECORD.pack(self.sequence, self.time_ns, len(subject), len(self.headers), len(self.payload))
        return b"".join((fixed, subject, self.headers, self.payload))


class SegmentHeader(BaseModel):
    """The first line of a segment; `previous` is the SHA-256 of the plaintext before it in the chain."""

    model_config = ConfigDict(frozen=True)

    format: str = FORMAT
    stream: str
    incarnation: str
    first_sequence: int
    last_sequence: int
    first_time_ns: int
    last_time_ns: int
    messages: int
    deleted: list[tuple[int, int]]
    previous: str


class Segment(NamedTuple):
    """A segment before it is sealed; `sha256` is of the plaintext and is what the next one names as `previous`."""

    header: SegmentHeader
    plaintext: bytes
    sha256: str


def find_deleted(first: int, last: int, sequences: Iterable[int]) -> list[tuple[int, int]]:
    """Return the ranges within first..last that hold none of the ascending sequences."""
    deleted = []
    expected = first
    for sequence in sequences:
        if sequence > expected:
            deleted.append((expected, sequence - 1))
        expected = sequence + 1
    if expected <= last:
        deleted.append((expected, last))
    return deleted


def build_segment(
    stream: str, incarnation: str, messages: Sequence[Message], *, first: int, last: int, previous: str
) -> Segment:
    """Return the segment that covers first..last; the messages are those of the range, ascending."""
    header = SegmentHeader(
        stream=stream,
        incarnation=incarnation,
        first_sequence=first,
        last_sequence=last,
        first_time_ns=messages[0].time_ns if messages else 0,
        last_time_ns=messages[-1].time_ns if messages else 0,
        messages=len(messages),
        deleted=find_deleted(first, last, (message.sequence for message in messages)),
        previous=previous,
    )
    line = orjson.dumps(header.model_dump(), option=orjson.OPT_SORT_KEYS) + b"\n"
    plaintext = b"".join((line, *(message.encode() for message in messages)))
    return Segment(header, plaintext, hashlib.sha256(plaintext).hexdigest())


def read_segment(plaintext: bytes) -> tuple[SegmentHeader, list[Message]]:
    """Return what a plaintext says. Raises DamagedError when it is no segment, or contradicts itself."""
    try:
        line, _, _ = plaintext.partition(b"\n")
        header = SegmentHeader.model_validate_json(line)
        messages = list(_read_records(memoryview(plaintext)[len(line) + 1 :]))
    except (ValueError, struct.error) as error:
        raise DamagedError("the segment cannot be read") from error
    deleted = find_deleted(header.first_sequence, header.last_sequence, (message.sequence for message in messages))
    if header.format != FORMAT or len(messages) != header.messages or deleted != header.deleted:
        raise DamagedError("the segment contradicts its own header")
    return header, messages


def _read_records(view: memoryview) -> Iterator[Message]:
    offset = 0
    while offset < len(view):
        sequence, time_ns, *sizes = RECORD.unpack_from(view, offset)
        offset += RECORD.size
        parts = []
        for size in sizes:
            parts.append(bytes(view[offset : offset + size]))
            offset += size
        if offset > len(view):
            raise ValueError("a record is cut short")
        yield Message(sequence, time_ns, parts[0].decode(), parts[1], parts[2])

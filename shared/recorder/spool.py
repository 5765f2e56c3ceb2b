"""The spool: frozen messages on disk while NATS is away. Append-only, checksummed, fsynced in groups.

One set of files a process boot, guarded by a lock that dies with its process; whoever starts in the folder adopts sets
whose lock is free. A torn last entry (a crash while writing) was never promised to anybody and is left out.
"""

import fcntl
import os
import struct
import uuid
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

_ENTRY = struct.Struct(">II16s")  # payload length, CRC-32 of id and payload, id
_SEGMENT_BYTES = 16 * 1024 * 1024
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A message as it was first sent: neither its id nor its bytes ever change."""

    id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    offset: int
    size: int


class Spool:
    """The spool of one boot; `append` may run in a thread, everything else belongs to the event loop."""

    def __init__(self, folder: Path, boot: str, *, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._boot = boot
        self._max_bytes = max_bytes
        self._places: deque[_Place] = deque()
        self._segment: Path | None = None
        self._segments = 0
        self._lock_path = folder / f"{boot}.lock"
        self._lock = os.open(self._lock_path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._is_appending = False
        self.size_bytes = 0

    def begin_append(self) -> None:
        """Say, in the event loop, that `append` is about to run in a thread: its file must stay until it is done."""
        self._is_appending = True

    def end_append(self) -> None:
        """Say that `append` is done, noted or failed."""
        self._is_appending = False

    def __len__(self) -> int:
        return len(self._places)

    def has_room(self, size: int) -> bool:
        """Say whether `size` more bytes fit under the bound."""
        return self.size_bytes + size <= self._max_bytes

    def append(self, messages: Sequence[Frozen]) -> list[_Place]:
        """Write the messages and fsync once. Raises OSError; then nothing of it counts.

        Returns the places, to be given to `note` in the event loop.
        """
        path = self._segment or self._folder / f"{self._boot}.{self._segments:06d}.spool"
        places = []
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        start = os.fstat(descriptor).st_size
        try:
            offset = start
            for message in messages:
                entry = _encode(message)
                _write_all(descriptor, entry)
                places.append(_Place(path, offset, len(entry)))
                offset += len(entry)
            os.fsync(descriptor)
            if self._segment is None:
                _fsync_folder(self._folder)
        except OSError:
            os.ftruncate(descriptor, start)
            raise
        finally:
            os.close(descriptor)
        self._segment = path
        return places

    def note(self, places: Sequence[_Place]) -> None:
        """Take what `append` wrote into the queue; start a new segment when this one is large."""
        self._places.extend(places)
        self.size_bytes += sum(place.size for place in places)
        if self._segment and places[-1].offset > _SEGMENT_BYTES:
            self._start_segment()

    def oldest(self) -> Frozen | None:
        """Return the message to drain next; None when the spool is empty."""
        if not self._places:
            return None
        place = self._places[0]
        with place.path.open("rb") as file:
            file.seek(place.offset)
            return _decode(file.read(place.size))

    def forget_oldest(self) -> None:
        """Drop the message that was drained; a segment is removed with its last message."""
        place = self._places.popleft()
        self.size_bytes -= place.size
        if not self._places or self._places[0].path != place.path:
            if self._segment == place.path:
                if self._is_appending:
                    return  # the file grows right now; it goes with the last message that is written to it
                self._start_segment()
            place.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give up the lock; an empty spool leaves no file behind."""
        if not self._places:
            self._lock_path.unlink(missing_ok=True)
        os.close(self._lock)

    def _start_segment(self) -> None:
        self._segment = None
        self._segments += 1


def _encode(message: Frozen) -> bytes:
    identity = uuid.UUID(message.id).bytes
    return (
        _ENTRY.pack(len(message.payload), zlib.crc32(message.payload, zlib.crc32(identity)), identity) + message.payload
    )


def _decode(entry: bytes) -> Frozen | None:
    if len(entry) < _ENTRY.size:
        return None
    length, checksum, identity = _ENTRY.unpack_from(entry)
    payload = entry[_ENTRY.size : _ENTRY.size + length]
    if len(payload) != length or zlib.crc32(payload, zlib.crc32(identity)) != checksum:
        return None
    return Frozen(str(uuid.UUID(bytes=identity)), payload)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Orphan:
    """The spool of a boot that is gone; its lock is ours until `remove` or `release`."""

    def __init__(self, lock_path: Path, lock: int) -> None:
        self._lock_path = lock_path
        self._lock = lock
        self._files = sorted(lock_path.parent.glob(f"{lock_path.stem}.*.spool"))

    def messages(self) -> Iterator[Frozen]:
        """Yield the messages in the order they were written; stops a file at a torn or damaged entry and says so."""
        for path in self._files:
            with path.open("rb") as file:
                while header := file.read(_ENTRY.size):
                    length = _ENTRY.unpack(header)[0] if len(header) == _ENTRY.size else 0
                    message = _decode(header + file.read(length))
                    if message is None:
                        log.warning("the spool ends in a torn entry", file=path.name)
                        break
                    yield message

    def remove(self) -> None:
        """Delete the files of a drained orphan, then its lock."""
        for path in self._files:
            path.unlink(missing_ok=True)
        self._lock_path.unlink(missing_ok=True)
        os.close(self._lock)

    def release(self) -> None:
        """Leave the orphan to somebody else."""
        os.close(self._lock)


def adopt_orphans(folder: Path) -> list[Orphan]:
    """Take the locks of all boots in the folder that are gone, and return what they left."""
    orphans = []
    for path in sorted(folder.glob("*.lock")):
        lock = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
        else:
            orphans.append(Orphan(path, lock))
    return orphans

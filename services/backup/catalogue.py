"""The catalogue: manifests and segments in the target. Postgres is only an index of it."""

import asyncio
import hashlib

from services.backup.errors import DamagedError
from services.backup.manifest import Manifest, SegmentEntry, StreamEntry, decode_manifest, encode_manifest
from services.backup.sealing import Keys, seal, unseal
from services.backup.segment import Message, Segment, SegmentHeader, read_segment
from services.backup.targets import Target

MANIFESTS = "manifests"
OBJECTS = "objects"


class Catalogue:
    """What was backed up, under one recovery key."""

    def __init__(self, target: Target, keys: Keys, *, compress: bool, encrypt: bool) -> None:
        self._target = target
        self.keys = keys
        self._compress = compress
        self._encrypt = encrypt

    async def list_ids(self) -> list[str]:
        """Return the ids of all manifests, sound or not."""
        names = await self._target.list(MANIFESTS)
        return [name.removesuffix(".json") for name in names if name.endswith(".json")]

    async def list_objects(self) -> list[str]:
        """Return the names of all objects."""
        return await self._target.list(OBJECTS)

    async def put_manifest(self, manifest: Manifest) -> str:
        """Write a recovery point, read it back, and return its SHA-256. Raises OSError, DamagedError."""
        data, digest = encode_manifest(manifest, self.keys)
        await self._target.put_if_absent(f"{MANIFESTS}/{manifest.backup_id}.json", data)
        await self.get_manifest(manifest.backup_id)
        return digest

    async def get_manifest(self, backup_id: str) -> tuple[Manifest, str]:
        """Return a manifest and its SHA-256. Raises DamagedError when it is missing or not as it was written."""
        name = f"{MANIFESTS}/{backup_id}.json"
        try:
            data = await self._target.get(name)
        except FileNotFoundError as error:
            raise DamagedError("the manifest is missing", name) from error
        return decode_manifest(backup_id, data, self.keys)

    async def get_chain(self, backup_id: str) -> list[Manifest]:
        """Return the manifests of a recovery point, its full backup first, each the one that its child names.

        Raises DamagedError.
        """
        manifest, _ = await self.get_manifest(backup_id)
        chain = [manifest]
        while manifest.parent:
            parent, digest = await self.get_manifest(manifest.parent)
            if digest != manifest.parent_sha256:
                name = f"{MANIFESTS}/{manifest.parent}.json"
                raise DamagedError(f"the manifest is not the one that {manifest.backup_id} follows", name)
            manifest = parent
            chain.append(manifest)
        return chain[::-1]

    async def delete_manifest(self, manifest: Manifest) -> int:
        """Remove a recovery point, the manifest first, then its objects; return how many. Nothing else names them."""
        await self._target.delete(f"{MANIFESTS}/{manifest.backup_id}.json")
        for entry in manifest.segments:
            await self._target.delete(f"{OBJECTS}/{entry.object}")
        return len(manifest.segments)

    async def delete_object(self, name: str) -> None:
        """Remove an object that no manifest names."""
        await self._target.delete(f"{OBJECTS}/{name}")

    async def put_segment(self, segment: Segment) -> SegmentEntry:
        """Seal and store a segment, and read it back. Raises OSError, DamagedError when it does not read back."""
        data = await asyncio.to_thread(seal, segment, self.keys, compress=self._compress, encrypt=self._encrypt)
        name = hashlib.sha256(data).hexdigest()
        await self._target.put_if_absent(f"{OBJECTS}/{name}", data)
        entry = SegmentEntry(
            object=name,
            sha256=segment.sha256,
            bytes=len(segment.plaintext),
            stored_bytes=len(data),
            **segment.header.model_dump(include=_SHARED),
        )
        await self._get_object(entry)
        return entry

    async def get_segment(self, stream: StreamEntry, entry: SegmentEntry) -> list[Message]:
        """Return the messages of a segment. Raises DamagedError, naming the object, unless all is as it was written."""
        data = await self._get_object(entry)
        try:
            header, messages = await asyncio.to_thread(self._open, data, entry)
        except DamagedError as error:
            raise DamagedError(error.reason, entry.object) from error
        named = entry.model_dump(include=_SHARED)
        if header.stream != stream.stream or header.model_dump(include=_SHARED) != named:
            raise DamagedError("the segment is not the one that the manifest names", entry.object)
        return messages

    def _open(self, data: bytes, entry: SegmentEntry) -> tuple[SegmentHeader, list[Message]]:
        plaintext = unseal(data, self.keys)
        if hashlib.sha256(plaintext).hexdigest() != entry.sha256:
            raise DamagedError("the segment's plaintext has another hash than the manifest names")
        return read_segment(plaintext)

    async def _get_object(self, entry: SegmentEntry) -> bytes:
        try:
            data = await self._target.get(f"{OBJECTS}/{entry.object}")
        except FileNotFoundError as error:
            raise DamagedError("the object is missing", entry.object) from error
        if len(data) < entry.stored_bytes:
            raise DamagedError("the object was cut short", entry.object)
        if hashlib.sha256(data).hexdigest() != entry.object:
            raise DamagedError("the object was changed: its hash is not its name", entry.object)
        return data


_SHARED = {"previous", "first_sequence", "last_sequence", "first_time_ns", "last_time_ns", "messages"}

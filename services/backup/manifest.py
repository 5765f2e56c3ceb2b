"""The manifest: one recovery point, signed, written last and once. Pure.

An incremental names only what it adds, and its parent with the parent's hash: a recovery point is the chain of manifests
from its full backup on.
"""

import hashlib
import hmac
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from services.backup.errors import DamagedError
from services.backup.sealing import Keys, sign

FORMAT = "gatehouse-manifest/1"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class SegmentEntry(_Part):
    """A segment: `object` is the SHA-256 of what is stored (and its name), `sha256` of the plaintext; sizes in bytes."""

    object: str
    sha256: str
    previous: str
    first_sequence: int
    last_sequence: int
    first_time_ns: int
    last_time_ns: int
    messages: int
    bytes: int
    stored_bytes: int


class StreamEntry(_Part):
    """A stream: its configuration as the server gave it, what the recovery point covers, and what this manifest adds.

    `head` is the chain's last plaintext hash, and is what the next segment names as `previous`.
    """

    stream: str
    incarnation: str
    created: str
    config: dict[str, Any]
    first_sequence: int
    last_sequence: int
    head: str
    segments: list[SegmentEntry]


class Manifest(_Part):
    """A recovery point; `covered_at` is the moment up to which everything is in it, times are RFC 3339."""

    format: str = FORMAT
    backup_id: str
    type: Literal["full", "incremental"]
    description: str
    created_by: str
    covered_at: str
    completed_at: str
    parent: str | None
    parent_sha256: str | None
    key_id: str
    streams: dict[str, StreamEntry]

    @property
    def segments(self) -> list[SegmentEntry]:
        """All segments that this manifest adds."""
        return [entry for stream in self.streams.values() for entry in stream.segments]


def encode_manifest(manifest: Manifest, keys: Keys) -> tuple[bytes, str]:
    """Return the file and the manifest's SHA-256."""
    text = orjson.dumps(manifest.model_dump(), option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(text).hexdigest()
    document = {"manifest": orjson.Fragment(text), "sha256": digest, "signature": sign(keys, text)}
    return orjson.dumps(document), digest


def decode_manifest(backup_id: str, data: bytes, keys: Keys) -> tuple[Manifest, str]:
    """Return the manifest and its SHA-256.

    Raises DamagedError when it was changed, was signed under another key, or is another backup's.
    """
    name = f"manifests/{backup_id}.json"
    try:
        document = orjson.loads(data)
        text = orjson.dumps(document["manifest"], option=orjson.OPT_SORT_KEYS)
        manifest = Manifest.model_validate(document["manifest"])
        digest = hashlib.sha256(text).hexdigest()
        is_signed = hmac.compare_digest(str(document["signature"]), sign(keys, text))
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise DamagedError("the manifest cannot be read", name) from error
    if manifest.key_id != keys.key_id:
        raise DamagedError("the manifest was written under another BACKUP_KEY", name)
    if not is_signed or digest != document["sha256"]:
        raise DamagedError("the manifest was changed: its signature does not fit", name)
    if manifest.backup_id != backup_id:
        raise DamagedError(f"the manifest is that of {manifest.backup_id}", name)
    return manifest, digest

"""From plaintext to object and back: zstd, then AES-256-GCM, behind one readable line. Pure but for the nonce.

The line says how the rest was made and what it holds (stream, range, previous hash); the whole line is the associated data,
so an object cannot be passed off as another part of the chain.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

import orjson
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.backup.errors import DamagedError
from services.backup.segment import Segment

FORMAT = "gatehouse-object/1"
_NONCE_BYTES = 12
_LONGEST_LINE = 4096
_LARGEST_PLAINTEXT = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Keys:
    """What is derived from the recovery key (HKDF-SHA256, RFC 5869); `key_id` may be shown."""

    encryption: bytes
    signing: bytes
    key_id: str


def derive_keys(recovery_key: bytes) -> Keys:
    """Return the keys of a recovery key."""

    def derive(purpose: str) -> bytes:
        return HKDF(SHA256(), 32, salt=None, info=f"gatehouse backup {purpose}".encode()).derive(recovery_key)

    return Keys(derive("encryption"), derive("signing"), derive("id")[:8].hex())


def sign(keys: Keys, text: bytes) -> str:
    """Return the HMAC-SHA256 of some bytes under the signing key."""
    return hmac.digest(keys.signing, text, hashlib.sha256).hex()


def seal(segment: Segment, keys: Keys, *, compress: bool, encrypt: bool) -> bytes:
    """Return the object of a segment; two calls never return the same bytes, so an object belongs to one manifest."""
    header = segment.header
    nonce = secrets.token_bytes(_NONCE_BYTES)
    line = orjson.dumps(
        {
            "format": FORMAT,
            "compression": "zstd" if compress else "none",
            "encryption": "aes-256-gcm" if encrypt else "none",
            "nonce": nonce.hex(),
            "stream": header.stream,
            "incarnation": header.incarnation,
            "first_sequence": header.first_sequence,
            "last_sequence": header.last_sequence,
            "previous": header.previous,
        },
        option=orjson.OPT_SORT_KEYS,
    )
    body = zstandard.ZstdCompressor(level=3).compress(segment.plaintext) if compress else segment.plaintext
    if encrypt:
        body = AESGCM(keys.encryption).encrypt(nonce, body, line)
    return line + b"\n" + body


def unseal(data: bytes, keys: Keys) -> bytes:
    """Return the plaintext of an object. Raises DamagedError when it cannot be read, or is not what was sealed."""
    line, newline, body = data.partition(b"\n")
    try:
        if not newline or len(line) > _LONGEST_LINE:
            raise ValueError("no first line")
        how = orjson.loads(line)
        if how["format"] != FORMAT:
            raise ValueError("another format")
        if how["encryption"] != "none":
            body = AESGCM(keys.encryption).decrypt(bytes.fromhex(how["nonce"]), body, line)
        if how["compression"] != "none":
            body = zstandard.ZstdDecompressor().decompress(body, max_output_size=_LARGEST_PLAINTEXT)
    except InvalidTag as error:
        raise DamagedError("the object cannot be decrypted: it was changed, or sealed under another key") from error
    except (ValueError, KeyError, TypeError, zstandard.ZstdError) as error:
        raise DamagedError("the object cannot be read") from error
    return body

"""The form of an API key: ``gk_<env>_<12 public id><32 secret><6 CRC-32 of all before>``, base62.

The checksum refuses typos and truncations without a look-up; the secret is only ever compared as HMAC-SHA256 under the
house's pepper, in constant time.
"""

import hashlib
import hmac
import zlib

from shared.ids import BASE62, encode_base62

PREFIX = "gk_"
_PUBLIC_ID_LENGTH = 12
_SECRET_LENGTH = 32
_CHECKSUM_LENGTH = 6
_TAIL_LENGTH = _PUBLIC_ID_LENGTH + _SECRET_LENGTH + _CHECKSUM_LENGTH
_LONGEST = 100
PEPPER_VERSION = 1


def complete_key(environment: str, public_id: str, secret: str) -> str:
    """Return the whole key with its checksum."""
    body = f"{PREFIX}{environment}_{public_id}{secret}"
    return body + _checksum(body)


def _checksum(body: str) -> str:
    return encode_base62(zlib.crc32(body.encode()), length=_CHECKSUM_LENGTH)


def read_key_id(key: str) -> str | None:
    """Return the key id that a well-formed key carries; None when form or checksum is wrong."""
    if len(key) > _LONGEST or not key.isascii() or not key.startswith(PREFIX):
        return None
    environment, _, tail = key[len(PREFIX) :].partition("_")
    if len(tail) != _TAIL_LENGTH or not environment.isalnum() or tail.strip(BASE62):
        return None
    if _checksum(key[:-_CHECKSUM_LENGTH]) != key[-_CHECKSUM_LENGTH:]:
        return None
    return f"key_{tail[:_PUBLIC_ID_LENGTH]}"


def compute_mac(pepper: bytes, key: str) -> str:
    """Return the hex HMAC-SHA256 of a key under the pepper: the only form in which a key is stored."""
    return hmac.digest(pepper, key.encode(), hashlib.sha256).hex()


def is_same_mac(left: str, right: str) -> bool:
    """Compare two MACs in constant time."""
    return hmac.compare_digest(left, right)

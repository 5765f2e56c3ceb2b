"""Identifiers: UUIDv7 (RFC 9562), which sort by the time they were made, and base62 text for people's eyes."""

import secrets

import uuid_utils

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_uuid7() -> str:
    """Return a new UUIDv7 as text; two from one process compare in the order they were made."""
    return str(uuid_utils.uuid7())


def random_base62(length: int) -> str:
    """Return `length` characters of base62 from the system's secure random source."""
    return "".join(secrets.choice(BASE62) for _ in range(length))


def encode_base62(number: int, *, length: int) -> str:
    """Return a non-negative number in base62, padded with zeros to `length`."""
    digits = []
    while number:
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    return "".join(reversed(digits)).rjust(length, "0")

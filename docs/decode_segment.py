# ruff: noqa: T201  (it stands alone, and prints)
"""Reads a backup without Gatehouse: prints a segment's messages, or checks a manifest and lists what it names.

Usage: BACKUP_KEY=… python decode_segment.py OBJECT…          one JSON object a message, on stdout
       BACKUP_KEY=… python decode_segment.py --manifest FILE  the manifest's signature, then its segments

Needs only Python, zstandard and cryptography; the format is described in backup-format.md.
"""

import base64
import hashlib
import hmac
import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

RECORD = struct.Struct(">QqIII")
LARGEST_PLAINTEXT = 256 * 1024 * 1024


def derive(recovery_key: bytes, purpose: str) -> bytes:
    """Return one of the keys that a recovery key stands for."""
    return HKDF(SHA256(), 32, salt=None, info=f"gatehouse backup {purpose}".encode()).derive(recovery_key)


def open_object(data: bytes, recovery_key: bytes) -> bytes:
    """Return the plaintext of an object. Raises InvalidTag when it was changed, or sealed under another key."""
    line, _, body = data.partition(b"\n")
    how = json.loads(line)
    if how["encryption"] == "aes-256-gcm":
        body = AESGCM(derive(recovery_key, "encryption")).decrypt(bytes.fromhex(how["nonce"]), body, line)
    if how["compression"] == "zstd":
        body = zstandard.ZstdDecompressor().decompress(body, max_output_size=LARGEST_PLAINTEXT)
    return body


def read_messages(plaintext: bytes) -> Iterator[dict[str, Any]]:
    """Yield the messages of a segment; headers and payload as text, or in base64 when they are none."""
    offset = plaintext.index(b"\n") + 1
    while offset < len(plaintext):
        sequence, time_ns, *sizes = RECORD.unpack_from(plaintext, offset)
        offset += RECORD.size
        parts = []
        for size in sizes:
            parts.append(plaintext[offset : offset + size])
            offset += size
        subject, headers, payload = map(show, parts)
        yield {"sequence": sequence, "time_ns": time_ns, "subject": subject, "headers": headers, "payload": payload}


def show(data: bytes) -> str:
    """Return some bytes as text."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()


def check_manifest(document: dict[str, Any], recovery_key: bytes) -> dict[str, Any]:
    """Return the manifest. Raises ValueError when its signature does not fit."""
    manifest: dict[str, Any] = document["manifest"]
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    signature = hmac.digest(derive(recovery_key, "signing"), text, hashlib.sha256).hex()
    if not hmac.compare_digest(signature, document["signature"]):
        raise ValueError("the manifest was changed, or signed under another key")
    return manifest


def main(arguments: list[str]) -> None:
    """Do what the usage says."""
    recovery_key = base64.urlsafe_b64decode(os.environ["BACKUP_KEY"])
    if arguments[0] == "--manifest":
        manifest = check_manifest(json.loads(Path(arguments[1]).read_bytes()), recovery_key)
        for name, stream in manifest["streams"].items():
            for entry in stream["segments"]:
                print(name, entry["first_sequence"], entry["last_sequence"], entry["object"])
        return
    for path in map(Path, arguments):
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != path.name:
            raise ValueError(f"{path.name} was changed: its hash is not its name")
        for message in read_messages(open_object(data, recovery_key)):
            print(json.dumps(message, ensure_ascii=False))


if __name__ == "__main__":
    if len(sys.argv) < 2:  # noqa: PLR2004  (the program and one argument)
        sys.exit(str(__doc__))
    main(sys.argv[1:])

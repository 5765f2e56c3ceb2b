"""The stand-alone decoder reads what the service writes, with nothing of the service."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.backup.manifest import encode_manifest
from services.backup.sealing import derive_keys, seal
from services.backup.segment import NO_PREVIOUS, Message, build_segment
from tests.unit.test_backup_segment import make_manifest

DECODER = Path(__file__).parents[2] / "docs" / "decode_segment.py"
KEYS = derive_keys(bytes(32))


def decode(*arguments: str, key: bytes = bytes(32)) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"BACKUP_KEY": base64.urlsafe_b64encode(key).decode()}
    return subprocess.run(
        [sys.executable, "-I", DECODER, *arguments], capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.parametrize("sealed", [True, False])
def test_it_prints_the_messages_of_an_object(tmp_path, sealed):
    messages = [
        Message(3, 1_700_000_000_123_456_789, "evt.ä", b"", "ö".encode()),
        Message(5, 7, "b", b"NATS/1.0\r\n\r\n", b"\xff"),
    ]
    segment = build_segment("EVENTS-1", "1", messages, first=1, last=9, previous=NO_PREVIOUS)
    data = seal(segment, KEYS, compress=sealed, encrypt=sealed)
    path = tmp_path / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    done = decode(str(path))
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == {
        "sequence": 3,
        "time_ns": 1_700_000_000_123_456_789,
        "subject": "evt.ä",
        "headers": "",
        "payload": "ö",
    }
    assert second["payload"] == "base64:/w=="
    path.write_bytes(data[:-1])
    assert "was changed" in decode(str(path)).stderr


def test_it_checks_a_manifest(tmp_path):
    path = tmp_path / "bkp_a.json"
    data, _ = encode_manifest(make_manifest().model_copy(update={"description": "über"}), KEYS)
    path.write_bytes(data)
    assert decode("--manifest", str(path)).returncode == 0
    assert "another key" in decode("--manifest", str(path), key=b"x" * 32).stderr


def test_it_needs_nothing_of_ours():
    text = DECODER.read_text()
    assert "services" not in text
    assert "shared" not in text
    assert len(text.splitlines()) <= 110

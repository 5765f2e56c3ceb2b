"""Segments, sealing, manifests, and the archive's framing."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.backup import snappy
from services.backup.errors import DamagedError
from services.backup.manifest import Manifest, decode_manifest, encode_manifest
from services.backup.sealing import derive_keys, seal, unseal
from services.backup.segment import NO_PREVIOUS, Message, Segment, build_segment, find_deleted, read_segment

KEYS = derive_keys(bytes(32))
_NS = st.integers(-(2**62), 2**62)
_MESSAGE = st.tuples(_NS, st.text("abcd.", min_size=1, max_size=20), st.binary(max_size=40), st.binary(max_size=200))


@st.composite
def _runs(draw: st.DrawFn) -> tuple[int, int, list[Message]]:
    sequences = sorted(draw(st.sets(st.integers(5, 60), max_size=20)))
    messages = [Message(sequence, *draw(_MESSAGE)) for sequence in sequences]
    first = draw(st.integers(1, 5))
    return first, draw(st.integers(60, 65)), messages


def make_segment(count: int = 3, previous: str = NO_PREVIOUS) -> Segment:
    messages = [Message(n, n, "evt.a", b"NATS/1.0\r\nA: b\r\n\r\n", b"{}") for n in range(1, count + 1)]
    return build_segment("EVENTS-1", "1", messages, first=1, last=count, previous=previous)


@given(_runs())
def test_a_segment_reads_back_as_it_was_built(run):
    first, last, messages = run
    segment = build_segment("EVENTS-1", "1", messages, first=first, last=last, previous=NO_PREVIOUS)
    header, read = read_segment(segment.plaintext)
    assert read == messages
    assert header == segment.header
    covered = {n for low, high in header.deleted for n in range(low, high + 1)} | {m.sequence for m in messages}
    assert covered == set(range(first, last + 1))


@given(_runs(), st.booleans(), st.booleans())
def test_an_object_opens_to_its_plaintext(run, compress, encrypt):
    first, last, messages = run
    segment = build_segment("EVENTS-1", "1", messages, first=first, last=last, previous=NO_PREVIOUS)
    data = seal(segment, KEYS, compress=compress, encrypt=encrypt)
    assert unseal(data, KEYS) == segment.plaintext
    assert seal(segment, KEYS, compress=compress, encrypt=encrypt) != data


@given(st.integers(0, 10_000))
def test_any_flipped_bit_of_an_encrypted_object_is_noticed(place):
    data = bytearray(seal(make_segment(), KEYS, compress=True, encrypt=True))
    data[place % len(data)] ^= 1
    with pytest.raises(DamagedError):
        unseal(bytes(data), KEYS)


def test_another_key_does_not_open_an_object():
    data = seal(make_segment(), KEYS, compress=True, encrypt=True)
    with pytest.raises(DamagedError, match="another key"):
        unseal(data, derive_keys(b"x" * 32))


def test_the_chain_is_part_of_the_plaintext():
    assert make_segment().sha256 != make_segment(previous="1" * 64).sha256


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_plaintext_that_was_cut_is_refused(cut):
    with pytest.raises(DamagedError):
        read_segment(make_segment().plaintext[:-cut])


def test_deleted_ranges_are_what_misses():
    assert find_deleted(1, 10, [2, 3, 7]) == [(1, 1), (4, 6), (8, 10)]
    assert find_deleted(1, 0, []) == []


def make_manifest(backup_id: str = "bkp_a") -> Manifest:
    return Manifest(
        backup_id=backup_id, type="full", description="", created_by="user:a", covered_at="2026-01-01T00:00:00.000Z",
        completed_at="2026-01-01T00:00:00.000Z", parent=None, parent_sha256=None, key_id=KEYS.key_id, streams={},
    )  # fmt: skip


def test_a_manifest_reads_back_under_its_own_name_and_key_only():
    data, digest = encode_manifest(make_manifest(), KEYS)
    assert decode_manifest("bkp_a", data, KEYS) == (make_manifest(), digest)
    with pytest.raises(DamagedError, match="that of bkp_a"):
        decode_manifest("bkp_b", data, KEYS)
    with pytest.raises(DamagedError, match="BACKUP_KEY"):
        decode_manifest("bkp_a", data, derive_keys(b"x" * 32))
    with pytest.raises(DamagedError, match="signature"):
        decode_manifest("bkp_a", data.replace(b"user:a", b"user:b"), KEYS)
    with pytest.raises(DamagedError, match="cannot be read"):
        decode_manifest("bkp_a", data[:50], KEYS)


def test_crc32c_is_that_of_rfc_3720():
    assert snappy.compute_crc32c(b"123456789") == 0xE3069283
    assert snappy.compute_crc32c(bytes(32)) == 0x8A9136AA


@given(st.binary(max_size=5000))
def test_snappy_chunks_carry_the_data_and_their_sums(data):
    framed = b"".join(snappy.frame(data))
    read = b""
    while framed:
        size = int.from_bytes(framed[1:4], "little")
        (masked,) = struct.unpack("<I", framed[4:8])
        chunk, framed = framed[8 : 4 + size], framed[4 + size :]
        unmasked = (masked - 0xA282EAD8) & 0xFFFFFFFF
        assert (unmasked >> 17 | unmasked << 15) & 0xFFFFFFFF == snappy.compute_crc32c(chunk)
        read += chunk
    assert hashlib.sha256(read).digest() == hashlib.sha256(data).digest()

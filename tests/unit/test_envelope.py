from typing import Any, TypedDict

import orjson
import pytest
from pydantic import BaseModel

from shared.envelope import (
    Catalogue,
    EnvelopeError,
    Event,
    EventType,
    build_batch_decoder,
    decode_batch,
    decode_event,
    parse_event,
)


class Renamed(BaseModel):
    """The second version of a test event."""

    full_name: str


class Named(BaseModel):
    """The first version of a test event."""

    name: str


FIRST = EventType(name="named", model=Named, category="data", description="A test.")
SECOND = EventType(
    name="named", model=Renamed, category="data", description="A test.", version=2,
    upcast=lambda data: {"full_name": data["name"]},
)  # fmt: skip


def build(**changes: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": "1", "source": "/s", "type": "named", "data": {"name": "Ada"}} | changes


def test_an_event_survives_the_wire() -> None:
    event = Event(
        id="1", source="/s", type="t", time="2026-01-01T00:00:00.000Z", data={"a": 1}, sourceseq="7", actor="user:u"
    )
    assert decode_event(event.encode()) == event
    assert decode_batch(b"[" + event.encode() + b"]")[0].to_json() == event.to_json()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "must be a JSON object"),
        (build(specversion="0.3"), "specversion must be 1.0"),
        (build(id=""), "id must be a non-empty string"),
        (build(id=5), "id must be a string"),
        (build(id="x" * 129), "at most 128"),
        (build(type=None), "type must be a non-empty string"),
        (build(data=[1]), "data must be a JSON object"),
        (build(schemaversion=True), "positive integer"),
        (build(subject="a\x00b"), "zero byte"),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(document: object, message: str) -> None:
    with pytest.raises(EnvelopeError, match=message):
        parse_event(document)
    with pytest.raises(EnvelopeError, match=message):
        decode_batch(orjson.dumps([build(), document]))


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"a": 1}', b"\xff\xfe"])
def test_a_batch_must_be_an_array_of_events(payload: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode_batch(payload)


@pytest.mark.parametrize(
    "document",
    [
        build(time="2026-01-01T00:00:00.000Z", sourceseq="7", actor="user:u", futureattribute={"a": [1]}),
        build(subject=None, time=None, data=None),
        build(data={"path": "a\x00b", "deep": {"list": [1, 2.5, None, True]}}),
        build(schemaversion=2**63),
    ],
)
def test_a_batch_reads_as_its_events_do(document: dict[str, object]) -> None:
    assert [event.to_json() for event in decode_batch(orjson.dumps([document]))] == [parse_event(document).to_json()]


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
def test_no_required_attribute_may_be_missing_in_a_batch(name: str) -> None:
    document = build()
    del document[name]
    with pytest.raises(EnvelopeError, match=name):
        decode_batch(orjson.dumps([document]))


class Narrow(TypedDict, total=False):
    """The one member that a reader looks at."""

    name: Any


def test_a_reader_of_few_members_gets_those_and_refuses_what_is_no_event() -> None:
    decode = build_batch_decoder(Narrow)
    people = ({"name": "Ada", "age": 36}, {"age": 36})
    read = decode(orjson.dumps([build(time="2026-01-01T00:00:00.000Z", data=data) for data in people]))
    assert [event.data for event in read] == [{"name": "Ada"}, {}]
    for broken in (build(actor=5), build(data=[1]), build(id="")):
        with pytest.raises(EnvelopeError):
            decode(orjson.dumps([build(), broken]))


def test_unknown_attributes_are_ignored() -> None:
    assert parse_event(build(futureattribute="x")).id == "1"


def test_an_old_version_is_read_as_the_newest() -> None:
    catalogue = Catalogue((FIRST, SECOND))
    old, new = parse_event(build()), parse_event(build(schemaversion=2, data={"full_name": "Ada"}))
    assert catalogue.read(old) == catalogue.read(new) == Renamed(full_name="Ada")


def test_a_version_without_an_upcaster_is_refused() -> None:
    with pytest.raises(ValueError, match="no upcaster"):
        Catalogue((SECOND,))


def test_data_that_break_the_schema_are_named() -> None:
    with pytest.raises(EnvelopeError, match="named: name: Field required"):
        Catalogue((FIRST,)).read(parse_event(build(data={})))

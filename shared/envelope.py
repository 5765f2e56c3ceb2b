"""Events: CloudEvents 1.0 in the JSON format, a registry by explicit tuple, and upcasters.

Strict when made, tolerant when read: unknown attributes are ignored, known ones must have their type.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import orjson
from pydantic import BaseModel, ValidationError

MAX_ID_LENGTH = 128
CONTENT_TYPE = "application/cloudevents+json"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"
_REQUIRED = ("id", "source", "type")
_EXTENSIONS = (
    "actor", "tenant", "severity", "requestid", "traceparent", "causationid", "sourceseq", "origin", "onbehalfof",
    "replaces",
)  # fmt: skip
_ZERO = b"\\u0000"
_OPTIONAL = frozenset({"time", "subject", *_EXTENSIONS})


class EnvelopeError(ValueError):
    """What was read is no event of ours; the message says why in one sentence."""


_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
_Version = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One fact in the past tense; its identity is (source, id).

    `time` is RFC 3339 text as it came; `data` a JSON object; the rest are CloudEvents extensions, absent when None.
    """

    id: _Id
    source: _Name
    type: _Name
    time: str
    subject: str | None = None
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    schemaversion: _Version = 1
    actor: str | None = None
    tenant: str | None = None
    severity: str | None = None
    requestid: str | None = None
    traceparent: str | None = None
    causationid: str | None = None
    sourceseq: str | None = None
    origin: str | None = None
    onbehalfof: str | None = None
    replaces: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the CloudEvents JSON format (1.0, section 2 and 3)."""
        document: dict[str, Any] = {"specversion": "1.0", "id": self.id, "source": self.source, "type": self.type}
        document["time"] = self.time
        if self.subject is not None:
            document["subject"] = self.subject
        document["datacontenttype"] = "application/json"
        document["schemaversion"] = self.schemaversion
        for name in _EXTENSIONS:
            value = getattr(self, name)
            if value is not None:
                document[name] = value
        document["data"] = self.data
        return document

    def encode(self) -> bytes:
        """Return the event as the bytes of one CloudEvent."""
        return orjson.dumps(self.to_json())


def _take_text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise EnvelopeError(f"{name} must be a string")
    if "\x00" in value:
        raise EnvelopeError(f"{name} must not hold a zero byte")
    return value


def parse_event(document: Any) -> Event:
    """Return the event that a decoded JSON object says.

    Raises EnvelopeError when it is no CloudEvent: wrong specversion, a missing or empty attribute, a wrong type.
    """
    if not isinstance(document, dict):
        raise EnvelopeError("an event must be a JSON object")
    if document.get("specversion") != "1.0":
        raise EnvelopeError("specversion must be 1.0")
    for name in _REQUIRED:
        if not _take_text(document, name):
            raise EnvelopeError(f"{name} must be a non-empty string")
    if len(document["id"]) > MAX_ID_LENGTH:
        raise EnvelopeError(f"id must be at most {MAX_ID_LENGTH} characters")
    data = document.get("data", {})
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise EnvelopeError("data must be a JSON object")
    version = document.get("schemaversion", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise EnvelopeError("schemaversion must be a positive integer")
    texts: dict[str, Any] = {name: _take_text(document, name) for name in _OPTIONAL & document.keys()}
    texts["time"] = texts.get("time") or ""
    return Event(
        id=document["id"], source=document["source"], type=document["type"], data=data, schemaversion=version, **texts
    )


def _loads(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise EnvelopeError(f"not JSON: {error}") from error


def decode_event(payload: bytes) -> Event:
    """Return the one event in a message. Raises EnvelopeError."""
    return parse_event(_loads(payload))


def build_batch_decoder(members: Any = dict[str, Any]) -> Callable[[bytes], Sequence[Event]]:
    """Return what decodes a CloudEvents batch (a JSON array of one or more events), and raises EnvelopeError.

    Whoever looks at a few members of `data` only says which, as a TypedDict: the others may then be left out.
    """
    wire = msgspec.defstruct(
        "WireEvent",
        [("specversion", Literal["1.0"]), ("data", members, msgspec.field(default_factory=dict))],
        bases=(Event,),
        frozen=True,
        kw_only=True,
        gc=False,
    )
    decoder: msgspec.json.Decoder[Sequence[Event]] = msgspec.json.Decoder(list[wire])  # type: ignore[valid-type]

    def decode(payload: bytes) -> Sequence[Event]:
        # Every reader decodes every record: this is the hot path. It takes only what is beyond doubt; `parse_event`
        # knows the exceptions (null is absent, zero bytes are refused in attributes only) and says what is wrong.
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            payload.decode()  # msgspec looks into texts only where it keeps them
            events = decoder.decode(payload)
            if events and _ZERO not in payload:
                return events
        documents = _loads(payload)
        if not isinstance(documents, list) or not documents:
            raise EnvelopeError("a batch must be a JSON array of one or more events")
        return [parse_event(document) for document in documents]

    return decode


decode_batch = build_batch_decoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """One published version of an event class; it never changes after it was published.

    `upcast` turns the data of the version before into this one's; it is pure.
    """

    name: str
    model: type[BaseModel]
    category: str
    description: str
    severity: str = "low"
    version: int = 1
    upcast: Callable[[dict[str, Any]], dict[str, Any]] | None = None


class Catalogue:
    """The event types of one contract, by (name, version); made from an explicit tuple.

    Reading climbs from the stored version to the newest by the upcasters, one version at a time.
    """

    def __init__(self, types: Iterable[EventType]) -> None:
        self.types = tuple(types)
        self._by_key = {(entry.name, entry.version): entry for entry in self.types}
        if len(self._by_key) != len(self.types):
            raise ValueError("an event type stands twice in the catalogue")
        self.newest: dict[str, EventType] = {}
        for entry in sorted(self.types, key=lambda entry: entry.version):
            if entry.version > 1 and (entry.upcast is None or (entry.name, entry.version - 1) not in self._by_key):
                raise ValueError(f"{entry.name} version {entry.version} has no upcaster from {entry.version - 1}")
            self.newest[entry.name] = entry

    def __contains__(self, name: object) -> bool:
        return name in self.newest

    def read(self, event: Event) -> BaseModel:
        """Return the event's data as the newest version's model.

        Raises EnvelopeError for a type or version that is not in the catalogue, or data that break its schema.
        """
        newest = self.newest.get(event.type)
        if newest is None or (event.type, event.schemaversion) not in self._by_key:
            raise EnvelopeError(f"unknown event type {event.type} version {event.schemaversion}")
        data = event.data
        for version in range(event.schemaversion + 1, newest.version + 1):
            upcast = self._by_key[(event.type, version)].upcast
            data = upcast(data) if upcast else data
        try:
            return newest.model.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise EnvelopeError(f"data of {event.type}: {where}: {first['msg']}") from error

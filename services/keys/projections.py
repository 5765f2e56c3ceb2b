"""How keys' events become read tables and the gateways' view; no clock, no serial, no network but the view's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict

import orjson
from nats.aio.msg import Msg
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from services.keys.contract.events import CATALOGUE, RouteChanged
from services.keys.contract.requests import ReadRoute
from services.keys.contract.view import KEY_PREFIX, ROUTE_PREFIX, KeyEntry, RouteEntry
from services.keys.domain import Key, evolve
from services.keys.store import SQL, KeyStore
from shared.clock import parse_time
from shared.db import Connection
from shared.envelope import Event, build_batch_decoder
from shared.projector import Delivery, OnPoison, Projection, Received, Repeats, decode_one

_ERROR_STATUS = 400
_HOUR_SECONDS = 3600
_KEY_EVENTS = frozenset({"api_key_created", "api_key_updated", "api_key_rotated", "api_key_revoked"})


class _RequestData(TypedDict, total=False):
    """What the counts of uses look at in the data of a record."""

    key_id: Any
    status_code: Any
    ip_address: Any


_decode_requests = build_batch_decoder(_RequestData)


async def project_directory(connection: Connection, delivery: Delivery) -> None:
    """Write the tables `api_key` and `route`."""
    for item in delivery.received:
        if item.event.type in _KEY_EVENTS:
            await _project_key(connection, item)
        elif item.event.type == "route_changed":
            await _project_route(connection, item)


async def _project_key(connection: Connection, item: Received) -> None:
    data = CATALOGUE.read(item.event)
    key_id: str = data.key_id  # type: ignore[attr-defined]
    row = await connection.fetchrow(SQL["api_key_find_state"], key_id)
    key = evolve(Key(**_thaw(row["state"])) if row else None, data, item.event.time, item.sequence)
    await connection.execute(
        SQL["api_key_upsert"],
        key.key_id, key.name, key.tenant, key.owner, key.created_by, list(key.permissions), key.rate_limit,
        list(key.allowed_ips), key.metadata, key.credits, parse_time(key.created_at), _moment(key.expires_at),
        _moment(key.previous_valid_until), _moment(key.rotated_at), _moment(key.revoked_at), key.revoked_reason,
        key.sequence, {name: getattr(key, name) for name in Key.__slots__},
    )  # fmt: skip


def _thaw(state: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in state.items()}


def _moment(text: str | None) -> datetime | None:
    return parse_time(text) if text else None


async def _project_route(connection: Connection, item: Received) -> None:
    data = CATALOGUE.read(item.event)
    assert isinstance(data, RouteChanged)  # noqa: S101  (narrowing)
    if data.route is None:
        await connection.execute(SQL["route_delete"], data.name)
    else:
        await connection.execute(SQL["route_upsert"], data.name, data.route, item.sequence)


def decode_uses(message: Msg) -> Sequence[Event]:
    """Decode a message of TRAFFIC as far as the counts need it. Raises EnvelopeError."""
    return _decode_requests(message.data)


async def project_usage(connection: Connection, delivery: Delivery) -> None:
    """Count requests by key: in all, and by hour."""
    used = _count_uses(delivery.received)
    if not used:
        return
    places = sorted(used)
    uses = [used[place] for place in places]
    await connection.execute(
        SQL["key_usage_add"],
        [key_id for key_id, _ in places], [datetime.fromtimestamp(hour * _HOUR_SECONDS, UTC) for _, hour in places],
        [use.requests for use in uses], [use.errors for use in uses], [use.last_used for use in uses],
        [use.last_ip for use in uses],
    )  # fmt: skip


@dataclass(slots=True)
class _Use:
    """What a batch says of one key in one hour."""

    last_used: datetime
    last_ip: str | None = None
    requests: int = 0
    errors: int = 0


def _count_uses(received: Sequence[Received]) -> dict[tuple[str, int], _Use]:
    """Return the uses by key and hour (counted from the epoch). Raises ValueError for a time that is none."""
    used: dict[tuple[str, int], _Use] = {}
    for item in received:
        event, data = item.event, item.event.data
        key_id = data.get("key_id")
        if event.type == "request_started" or not isinstance(key_id, str) or not key_id.startswith("key_"):
            continue
        moment = parse_time(event.time)
        place = (key_id, int(moment.timestamp() // _HOUR_SECONDS))
        use = used.get(place)
        if use is None:
            use = used[place] = _Use(moment)
        use.requests += 1
        use.errors += int(data.get("status_code", 0)) >= _ERROR_STATUS
        if moment >= use.last_used:
            use.last_used, use.last_ip = moment, data.get("ip_address")
    return used


class ViewWriter:
    """The projection into the KV bucket that gateways read.

    A value carries its entity's sequence and is only ever replaced by a higher one, by compare-and-set: a writer that
    wakes up late changes nothing, a second run of the same events neither.
    """

    def __init__(self, bucket: KeyValue, store: KeyStore) -> None:
        self._bucket = bucket
        self._store = store

    async def write(self, delivery: Delivery) -> None:
        """Write the entries that the events changed."""
        for item in delivery.received:
            kind, _, entity_id = (item.event.subject or "").partition("/")
            if kind == "key":
                await self._put(f"{KEY_PREFIX}{entity_id}", item, entity_id)
            elif kind == "route":
                data = CATALOGUE.read(item.event)
                assert isinstance(data, RouteChanged)  # noqa: S101  (narrowing)
                route = ReadRoute.model_validate(data.route) if data.route else None
                await self._put_entry(f"{ROUTE_PREFIX}{entity_id}", RouteEntry(sequence=item.sequence, route=route))

    async def _put(self, name: str, item: Received, key_id: str) -> None:
        """Fold the key from the event stream up to this event, so that a missing value is no obstacle."""
        key = None
        for data, time, sequence in await self._store.load("key", key_id):
            if sequence <= item.sequence:
                key = evolve(key, data, time, sequence)
        if key:
            await self._put_entry(name, build_entry(key))

    async def _put_entry(self, name: str, entry: KeyEntry | RouteEntry) -> None:
        payload = entry.model_dump_json().encode()
        while True:
            try:
                found = await self._bucket.get(name)
                if found.value and orjson.loads(found.value)["sequence"] >= entry.sequence:
                    return
                revision = found.revision or 0
            except KeyNotFoundError:
                revision = 0
            try:
                await self._bucket.update(name, payload, last=revision)
            except KeyWrongLastSequenceError:
                continue
            return


def build_entry(key: Key) -> KeyEntry:
    """Return what gateways know of a key."""
    return KeyEntry(
        sequence=key.sequence,
        key_id=key.key_id,
        name=key.name,
        tenant=key.tenant,
        owner=key.owner,
        permissions=key.permissions,
        rate_limit=key.rate_limit,
        allowed_ips=key.allowed_ips,
        expires_at=key.expires_at,
        revoked=key.revoked_at is not None,
        mac=key.mac,
        previous_mac=key.previous_mac,
        previous_valid_until=key.previous_valid_until,
    )


async def _nothing(_: Connection, __: Delivery) -> None:
    """Write no table: the view's values are written before the transaction, which then moves the position."""


def build_projections(view: ViewWriter) -> list[Projection]:
    """Return the projections of keys."""
    return [
        Projection(
            name="view", find_stream="evt.>", subject_filter="evt.keys.>", decode=decode_one, prepare=view.write,
            apply=_nothing,
        ),
        Projection(
            name="directory", find_stream="evt.>", subject_filter="evt.keys.>", decode=decode_one,
            apply=project_directory, tables=("api_key", "route"),
        ),
        Projection(
            name="usage", find_stream="TRAFFIC", subject_filter="traffic.>", decode=decode_uses, apply=project_usage,
            repeats=Repeats.BY_NUMBER, on_poison=OnPoison.PARK, batch=256, pace_seconds=0.25,
        ),
    ]  # fmt: skip

"""What a key is and may become: pure. Time, ids and secrets are arguments; every change is an event.

`evolve` folds events into a state, each `decide_*` returns the data of the events that a command leads to.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from pydantic import BaseModel

from services.keys.contract.events import (
    ApiKeyCreated,
    ApiKeyRevoked,
    ApiKeyRotated,
    ApiKeyUpdated,
    RouteChanged,
    Secret,
)
from services.keys.contract.requests import KeyStatus, Route, UpdateKey
from shared.clock import format_time, parse_time
from shared.errors import conflict, not_found

Dated: TypeAlias = tuple[BaseModel, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The state of one key; times are RFC 3339, `sequence` that of its last event."""

    key_id: str
    name: str
    tenant: str
    owner: str
    created_by: str
    permissions: tuple[str, ...]
    rate_limit: int
    allowed_ips: tuple[str, ...]
    metadata: dict[str, Any] = field(hash=False)
    credits: int | None
    created_at: str
    expires_at: str | None
    mac: str
    previous_mac: str | None = None
    previous_valid_until: str | None = None
    rotated_at: str | None = None
    revoked_at: str | None = None
    revoked_reason: str | None = None
    sequence: int = 0

    def status_at(self, now: datetime) -> KeyStatus:
        """Return the status at a moment: revoked before expired before rotating."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at and parse_time(self.expires_at) <= now:
            return "expired"
        if self.previous_valid_until and parse_time(self.previous_valid_until) > now:
            return "rotating"
        return "active"


def evolve(key: Key | None, data: BaseModel, time: str, sequence: int) -> Key:
    """Return the key after one more event. Raises ValueError when the event cannot follow."""
    if isinstance(data, ApiKeyCreated):
        fields = data.model_dump(exclude={"secret"})
        return Key(**fields, created_at=time, mac=data.secret.verifier.mac, sequence=sequence)
    if key is None:
        raise ValueError(f"{type(data).__name__} of a key that was never created")
    if isinstance(data, ApiKeyUpdated):
        changes: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.changes.items()
        }
        return replace(key, **changes, sequence=sequence)
    if isinstance(data, ApiKeyRotated):
        return replace(
            key,
            mac=data.secret.verifier.mac,
            previous_mac=key.mac,
            previous_valid_until=data.previous_valid_until,
            rotated_at=time,
            sequence=sequence,
        )
    if isinstance(data, ApiKeyRevoked):
        return replace(key, revoked_at=time, revoked_reason=data.reason, sequence=sequence)
    raise ValueError(f"{type(data).__name__} is no event of a key")


def fold(events: Iterable[Dated]) -> Key | None:
    """Return the key that (data, time, sequence) in order make; None when there is none."""
    key = None
    for data, time, sequence in events:
        key = evolve(key, data, time, sequence)
    return key


def decide_update(key: Key | None, body: UpdateKey) -> list[BaseModel]:
    """Return the events of an update: none when nothing changes. Raises not_found, or conflict when revoked."""
    key = _require_live(key)
    wanted = body.model_dump(mode="json", exclude_unset=True)
    if body.expires_at is not None:
        wanted["expires_at"] = format_time(body.expires_at)
    changes = {name: value for name, value in wanted.items() if _plain(getattr(key, name)) != value}
    return [ApiKeyUpdated(key_id=key.key_id, changes=changes)] if changes else []


def decide_rotate(key: Key | None, secret: Secret, *, grace_seconds: int, now: datetime) -> list[BaseModel]:
    """Return the events of a rotation; it ends an earlier grace. Raises not_found, or conflict when revoked or expired."""
    key = _require_live(key)
    if key.status_at(now) == "expired":
        raise conflict("An expired key cannot be rotated.")
    until = format_time(now + timedelta(seconds=grace_seconds))
    return [ApiKeyRotated(key_id=key.key_id, previous_valid_until=until, secret=secret)]


def decide_revoke(key: Key | None, reason: str) -> list[BaseModel]:
    """Return the events of a revocation: none when it is revoked already. Raises not_found."""
    if key is None:
        raise not_found("key")
    return [] if key.revoked_at else [ApiKeyRevoked(key_id=key.key_id, reason=reason)]


def _require_live(key: Key | None) -> Key:
    if key is None:
        raise not_found("key")
    if key.revoked_at:
        raise conflict("The key is revoked, and that is for good.")
    return key


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class RouteState:
    """A route, None when it is deleted, and the sequence of its last event."""

    route: Route | None
    sequence: int


def fold_route(events: Iterable[Dated]) -> RouteState:
    """Return the route that its events make; sequence 0 when there was never one."""
    state = RouteState(None, 0)
    for data, _, sequence in events:
        if isinstance(data, RouteChanged):
            state = RouteState(Route.model_validate(data.route) if data.route else None, sequence)
    return state


def decide_put_route(current: Route | None, wanted: Route, *, must_be_new: bool) -> list[BaseModel]:
    """Return the events of creating or replacing a route: none when it is just so already. Raises conflict."""
    if current and must_be_new:
        raise conflict(f"There is a route {wanted.name} already.")
    if current == wanted:
        return []
    change = "updated" if current else "created"
    return [RouteChanged(name=wanted.name, change=change, route=wanted.model_dump(mode="json"))]

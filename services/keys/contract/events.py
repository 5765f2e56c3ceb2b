"""The domain events of keys. A published class never changes; a new version gets an upcaster (docs/CONTRIBUTING)."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from shared.envelope import Catalogue, EventType

SOURCE = "/gatehouse/keys"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Verifier(_Data):
    """How a secret is recognised: its HMAC under a version of the pepper."""

    pepper_version: int
    mac: str


class Secret(_Data):
    """The marked member: only keys, audit (as a hash) and backup may see it."""

    verifier: Verifier


class ApiKeyCreated(_Data):
    """Data of `api_key_created`; times are RFC 3339."""

    key_id: str
    name: str
    tenant: str
    owner: str
    created_by: str
    permissions: tuple[str, ...]
    rate_limit: int
    allowed_ips: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    credits: int | None = None
    expires_at: str | None = None
    secret: Secret


class ApiKeyUpdated(_Data):
    """Data of `api_key_updated`: only what changed."""

    key_id: str
    changes: dict[str, Any]


class ApiKeyRotated(_Data):
    """Data of `api_key_rotated`: the secret before works until `previous_valid_until`."""

    key_id: str
    previous_valid_until: str
    secret: Secret


class ApiKeyRevoked(_Data):
    """Data of `api_key_revoked`."""

    key_id: str
    reason: str


class RouteChanged(_Data):
    """Data of `route_changed`; `route` is None when it was deleted."""

    name: str
    change: Literal["created", "updated", "deleted"]
    route: dict[str, Any] | None


class Claimed(_Data):
    """Data of `claimed` and `released`: a value that must be unique belongs to an entity, or no longer does."""

    entity: str


API_KEY_CREATED = EventType(
    name="api_key_created",
    model=ApiKeyCreated,
    category="auth",
    severity="medium",
    description="An API key was created.",
)
API_KEY_UPDATED = EventType(
    name="api_key_updated", model=ApiKeyUpdated, category="auth", description="An API key was changed."
)
API_KEY_ROTATED = EventType(
    name="api_key_rotated",
    model=ApiKeyRotated,
    category="auth",
    severity="medium",
    description="An API key got a new secret.",
)
API_KEY_REVOKED = EventType(
    name="api_key_revoked",
    model=ApiKeyRevoked,
    category="auth",
    severity="high",
    description="An API key was revoked for good.",
)
ROUTE_CHANGED = EventType(
    name="route_changed",
    model=RouteChanged,
    category="admin",
    severity="medium",
    description="A route was created, changed or deleted.",
)
CLAIMED = EventType(name="claimed", model=Claimed, category="system", description="A unique value was taken.")
RELEASED = EventType(name="released", model=Claimed, category="system", description="A unique value was given back.")

EVENTS = (
    API_KEY_CREATED, API_KEY_UPDATED, API_KEY_ROTATED, API_KEY_REVOKED, ROUTE_CHANGED, CLAIMED, RELEASED,
)  # fmt: skip
CATALOGUE = Catalogue(EVENTS)

"""What keys can be asked to do, and what it answers (http-api.md, http-examples.md)."""

import ipaddress
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from services.keys.contract.permissions import is_known
from shared.bus import Operation

KeyStatus = Literal["active", "rotating", "revoked", "expired"]
_MOST_METADATA_KEYS = 100
_MOST_METADATA_BYTES = 16 * 1024
_FIRST_YEAR, _LAST_YEAR = 2000, 9000


def _check_text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold a zero byte")
    return value


def _check_permission(value: str) -> str:
    if not is_known(value):
        raise ValueError("is no permission; see the table of permissions")
    return value


def _check_network(value: str) -> str:
    return str(ipaddress.ip_network(value, strict=False))


def _check_metadata(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) > _MOST_METADATA_KEYS:
        raise ValueError(f"must have at most {_MOST_METADATA_KEYS} members")
    try:
        encoded = orjson.dumps(value)
    except TypeError as error:
        raise ValueError(f"must be plain JSON: {error}") from error
    if len(encoded) > _MOST_METADATA_BYTES:
        raise ValueError(f"must have at most {_MOST_METADATA_BYTES} bytes as JSON")
    if b"\\u0000" in encoded:
        raise ValueError("must not hold a zero byte")
    return value


def _check_expiry(value: datetime) -> datetime:
    if not _FIRST_YEAR <= value.year < _LAST_YEAR:
        raise ValueError(f"must be between the years {_FIRST_YEAR} and {_LAST_YEAR}")
    return value


def _check_upstream(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http or https address")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("must have no credentials, query or fragment")
    if any(ord(letter) <= 0x20 or ord(letter) > 0x7E for letter in value):  # noqa: PLR2004  (printable ASCII)
        raise ValueError("must be printable ASCII without spaces")
    _ = parts.port
    return value.rstrip("/")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _check_path(value: str) -> str:
    if not value.startswith("/") or "//" in value or any(part in {".", ".."} for part in value.split("/")):
        raise ValueError("must start with / and have no empty, . or .. segments")
    if value.startswith("/.gatehouse"):
        raise ValueError("the prefix /.gatehouse is reserved")
    return value.rstrip("/") or "/"


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_check_text)]
Permission = Annotated[str, StringConstraints(max_length=100), AfterValidator(_check_permission)]
Network = Annotated[str, StringConstraints(max_length=50), AfterValidator(_check_network)]
Metadata = Annotated[dict[str, Any], AfterValidator(_check_metadata)]
Expiry = Annotated[AwareDatetime, AfterValidator(_check_expiry)]
RateLimit = Annotated[int, Field(ge=1, le=1_000_000_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GenerateKey(_Body):
    """POST /api/keys/generate."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "production", "permissions": ["read"], "rate_limit": 1000}]},
    )
    name: Text
    permissions: Annotated[list[Permission], Field(max_length=100)] | None = None
    rate_limit: RateLimit = 1000
    tenant: Slug | None = None
    owner: Text | None = None
    created_by: Text | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=36500)] | None = None
    expires_at: Expiry | None = None
    allowed_ips: Annotated[list[Network], Field(max_length=100)] = []
    metadata: Metadata = {}
    credits: Annotated[int, Field(ge=0, le=2**53)] | None = None


class KeyResource(BaseModel):
    """A key as callers see it; never its secret."""

    key_id: str
    name: str
    status: KeyStatus
    tenant: str
    owner: str
    permissions: list[str]
    rate_limit: int
    allowed_ips: list[str]
    metadata: dict[str, Any]
    credits: int | None
    created_at: str
    created_by: str
    expires_at: str | None
    last_used: str | None
    requests_count: int
    rotated_at: str | None
    revoked_at: str | None
    revoked_reason: str | None


class KeyHour(BaseModel):
    """Requests of one key in one hour."""

    hour: str
    requests: int
    errors: int


class KeyStatistics(BaseModel):
    """What a key did lately."""

    requests_last_1h: int
    requests_last_24h: int
    errors_last_24h: int
    last_ip: str | None
    by_hour: list[KeyHour]


class KeyInfo(KeyResource):
    """GET /api/keys/{key_id}/info."""

    statistics: KeyStatistics


class KeyIssued(BaseModel):
    """The one answer that carries a secret."""

    success: bool = True
    key_id: str
    full_key_secret: str
    warning: str = "Save this key now: it is shown only once."
    usage_example: str
    key: KeyResource
    previous_valid_until: str | None = None
    applied: bool = True


class UpdateKey(_Body):
    """PATCH /api/keys/{key_id}: only what is given changes."""

    name: Text | None = None
    permissions: Annotated[list[Permission], Field(max_length=100)] | None = None
    rate_limit: RateLimit | None = None
    allowed_ips: Annotated[list[Network], Field(max_length=100)] | None = None
    metadata: Metadata | None = None
    expires_at: Expiry | None = None


class RotateKey(_Body):
    """POST /api/keys/{key_id}/rotate."""

    grace_seconds: Annotated[int, Field(ge=0, le=30 * 86400)] = 3600


class RevokeKey(_Body):
    """POST /api/keys/{key_id}/revoke."""

    reason: Annotated[str, StringConstraints(max_length=500), AfterValidator(_check_text)] = ""


class KeyCommand(_Body):
    """A command for one key; `body` is the caller's."""

    key_id: str
    update: UpdateKey | None = None
    rotate: RotateKey | None = None
    revoke: RevokeKey | None = None


class KeyChanged(BaseModel):
    """A key after a command, and whether every replica can read it already."""

    key: KeyResource
    applied: bool = True


class ListKeys(_Body):
    """GET /api/keys/list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = None
    order: Literal["asc", "desc"] = "desc"
    status: KeyStatus | None = None
    tenant: Slug | None = None
    owner: Text | None = None
    name: Text | None = None


class KeyPage(BaseModel):
    """A page of keys."""

    items: list[KeyResource]
    next_cursor: str | None


class FindKey(_Body):
    """One key by id."""

    key_id: Text


class RouteRateLimit(_Body):
    """A limit of a route."""

    name: Slug
    by: Literal["key", "user", "tenant", "ip", "route"]
    limit: RateLimit
    window: Literal["second", "minute", "hour", "day"]


class Route(_Body):
    """A path prefix on the proxy port and the upstream behind it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "orders", "path_prefix": "/orders", "upstream": "http://127.0.0.1:9000"}]
        },
    )
    name: Slug
    path_prefix: Annotated[
        str, StringConstraints(max_length=200, pattern=r"^/[A-Za-z0-9._~/-]*$"), AfterValidator(_check_path)
    ]
    upstream: Annotated[
        list[Annotated[str, StringConstraints(max_length=500), AfterValidator(_check_upstream)]],
        Field(min_length=1, max_length=32),
        BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
    ]
    strip_prefix: bool = True
    methods: Annotated[list[Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,20}$")]], Field(max_length=20)] = []
    enabled: bool = True
    auth: Literal["required", "optional", "none"] = "required"
    permissions: Annotated[list[Permission], Field(max_length=20)] = []
    rate_limits: Annotated[list[RouteRateLimit], Field(max_length=20)] = []
    audit: Literal["strict", "buffered", "strict_before"] = "strict"
    capture: Literal["none", "metadata", "request", "request_response"] = "metadata"
    redact: Annotated[list[Annotated[str, StringConstraints(max_length=200)]], Field(max_length=100)] = []
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 2
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    max_body_bytes: Annotated[int, Field(ge=0, le=2**40)] = 10485760
    pass_credential: bool = False


class ReadRoute(Route):
    """A route as a gateway reads it: tolerant of fields that a newer keys service added."""

    model_config = ConfigDict(extra="ignore")


class PutRoute(_Body):
    """Create or replace a route; `must_be_new` for POST."""

    route: Route
    must_be_new: bool = False


class RouteStored(BaseModel):
    """A route after a command."""

    route: Route
    created: bool
    applied: bool = True


class RouteName(_Body):
    """One route by name."""

    name: Text


class RouteDeleted(BaseModel):
    """A route is gone."""

    applied: bool = True


class ListRoutes(_Body):
    """GET /api/routes."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = None
    order: Literal["asc", "desc"] = "desc"


class RoutePage(BaseModel):
    """A page of routes."""

    items: list[Route]
    next_cursor: str | None


GENERATE = Operation("rpc.keys.generate", GenerateKey, KeyIssued, creates=True)
LIST = Operation("rpc.keys.list", ListKeys, KeyPage)
INFO = Operation("rpc.keys.info", FindKey, KeyInfo)
UPDATE = Operation("rpc.keys.update", KeyCommand, KeyChanged)
ROTATE = Operation("rpc.keys.rotate", KeyCommand, KeyIssued, creates=True)
REVOKE = Operation("rpc.keys.revoke", KeyCommand, KeyChanged)
PUT_ROUTE = Operation("rpc.keys.put_route", PutRoute, RouteStored, creates=True)
DELETE_ROUTE = Operation("rpc.keys.delete_route", RouteName, RouteDeleted)
FIND_ROUTE = Operation("rpc.keys.find_route", RouteName, Route)
LIST_ROUTES = Operation("rpc.keys.list_routes", ListRoutes, RoutePage)

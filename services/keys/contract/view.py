"""The entries of the KV bucket `view`: what a gateway needs to decide, by itself, in memory.

An entry carries its entity's last sequence; a lower one never replaces a higher one. Keys: `key.<id>`,
`config.route.<name>`.
"""

from pydantic import BaseModel, ConfigDict

from services.keys.contract.requests import ReadRoute

KEY_PREFIX = "key."
ROUTE_PREFIX = "config.route."


class KeyEntry(BaseModel):
    """A key; `previous_mac` works until `previous_valid_until`; times are RFC 3339."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    key_id: str
    name: str
    tenant: str
    owner: str
    permissions: tuple[str, ...]
    rate_limit: int
    allowed_ips: tuple[str, ...] = ()
    expires_at: str | None = None
    revoked: bool = False
    mac: str
    previous_mac: str | None = None
    previous_valid_until: str | None = None


class RouteEntry(BaseModel):
    """A route, or that it was deleted."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    route: ReadRoute | None

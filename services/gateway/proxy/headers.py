"""Headers that cross the proxy: hop-by-hop ones end here (RFC 9110, section 7.6.1), ours are added, forged ones dropped."""

from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING

from services.gateway.authenticate import Principal, is_own
from services.gateway.upstream import UpstreamResponse

if TYPE_CHECKING:
    from services.gateway.proxy.server import Exchange

HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "expect",
    }
)  # fmt: skip
_OURS = frozenset(
    {
        "content-length", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id",
        "traceparent", "x-gatehouse-key-id", "x-gatehouse-tenant", "x-gatehouse-principal",
    }
)  # fmt: skip
_DROPPED = HOP_BY_HOP | _OURS
_CREDENTIALS = frozenset({"x-api-key", "authorization"})
_NAMING_NOTHING = frozenset({"keep-alive", "close"})
_DROPPED_OF_ANSWERS = HOP_BY_HOP | {"x-request-id", "server-timing"}


def build_request_head(
    exchange: "Exchange", *, target: str, host: str, scheme: str, drop_credential: bool, framing: str
) -> bytes:
    """Return the request line and headers for the upstream; `framing` is its Content-Length or Transfer-Encoding line."""
    trail = exchange.trail
    named = find_named(exchange.items) if "connection" in exchange.fields else ()
    credential_header = exchange.credential_header
    passed = [
        f"{name}: {value}\r\n"
        for name, value in exchange.items
        if name.replace("_", "-") not in _DROPPED
        and name not in named
        and not (drop_credential and name in _CREDENTIALS and (name == credential_header or is_own(value)))
    ]
    if "host" not in exchange.fields:
        passed.append(f"host: {host}\r\n")
    lines = (
        f"{trail.method} {target} HTTP/1.1\r\n",
        *passed,
        _build_forwarded(trail.ip_address, host, scheme),
        f"x-request-id: {trail.request_id}\r\ntraceparent: {trail.traceparent}\r\n",
        _build_principal_lines(trail.principal),
        framing,
        "\r\n",
    )
    return "".join(lines).encode("utf-8", "replace")


def find_named(items: Iterable[tuple[str, str]]) -> set[str]:
    """Return the headers that the Connection headers name: they end here."""
    return {part.strip().lower() for name, value in items if name == "connection" for part in value.split(",")}


@lru_cache(maxsize=1024)
def _build_forwarded(address: str, host: str, scheme: str) -> str:
    node = f'"[{address}]"' if ":" in address else address
    return (
        f'forwarded: for={node};host="{host}";proto={scheme}\r\n'
        f"x-forwarded-for: {address}\r\nx-forwarded-proto: {scheme}\r\nx-forwarded-host: {host}\r\n"
    )


@lru_cache(maxsize=4096)
def _build_principal_lines(principal: Principal) -> str:
    if principal.key_id is None:
        return ""
    return (
        f"x-gatehouse-key-id: {principal.key_id}\r\nx-gatehouse-tenant: {principal.tenant}\r\n"
        f"x-gatehouse-principal: {principal.name}\r\n"
    )


def filter_response_headers(response: UpstreamResponse) -> list[tuple[str, str]]:
    """Return the upstream's end-to-end headers; what only we may say is dropped."""
    kept = [header for header in response.headers if header[0] not in _DROPPED_OF_ANSWERS]
    connection = response.fields.get("connection")
    if connection is None or (connection in _NAMING_NOTHING and len(response.fields) == len(response.headers)):
        return kept  # as nearly always: named once at most, and naming nothing
    named = find_named(response.headers)
    return [header for header in kept if header[0] not in named]


def build_grace_headers(sunset: float) -> list[tuple[str, str]]:
    """Return what tells the user of an old secret that it ends (RFC 9745 Deprecation, RFC 8594 Sunset)."""
    return [("deprecation", f"@{int(sunset)}"), ("sunset", formatdate(sunset, usegmt=True))]

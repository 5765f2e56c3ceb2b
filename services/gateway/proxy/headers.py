"""Headers that cross the proxy: hop-by-hop ones end here (RFC 9110, section 7.6.1), ours are added, forged ones dropped."""

from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache

from services.gateway.authenticate import Principal
from services.gateway.records import Trail

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
_DROPPED_OF_ANSWERS = HOP_BY_HOP | {"x-request-id", "server-timing"}


def build_request_head(
    scope: object, trail: Trail, *, target: str, credential_header: str | None, framing: str
) -> bytes:
    """Return the request line and headers for the upstream; `framing` is its Content-Length or Transfer-Encoding line.

    `credential_header` names the caller's credential, which is dropped; None to pass it.
    """
    items = scope.headers.items()  # type: ignore[attr-defined]
    named = find_named(items)
    query = scope.query_string  # type: ignore[attr-defined]
    lines = [f"{trail.method} {target}{'?' + query if query else ''} HTTP/1.1"]
    lines += [
        f"{name}: {value}"
        for name, value in items
        if name.replace("_", "-") not in _DROPPED and name != credential_header and name not in named
    ]
    host = scope.headers.get("host") or scope.authority or "localhost"  # type: ignore[attr-defined]
    if "host" not in scope.headers:  # type: ignore[attr-defined]
        lines.append(f"host: {host}")
    lines += _build_own_lines(trail, host, scope.scheme)  # type: ignore[attr-defined]
    if framing:
        lines.append(framing)
    lines.append("\r\n")
    return "\r\n".join(lines).encode("utf-8", "replace")


def find_named(items: list[tuple[str, str]]) -> set[str]:
    """Return the headers that the Connection headers name: they end here."""
    named: set[str] = set()
    for name, value in items:
        if name == "connection":
            named.update(part.strip().lower() for part in value.split(","))
    return named


def _build_own_lines(trail: Trail, host: str, scheme: str) -> list[str]:
    address = trail.ip_address
    node = f'"[{address}]"' if ":" in address else address
    lines = [
        f'forwarded: for={node};host="{host}";proto={scheme}',
        f"x-forwarded-for: {address}",
        f"x-forwarded-proto: {scheme}",
        f"x-forwarded-host: {host}",
        f"x-request-id: {trail.request_id}",
        f"traceparent: {trail.traceparent}",
    ]
    return lines + _build_principal_lines(trail.principal)


@lru_cache(maxsize=4096)
def _build_principal_lines(principal: Principal) -> list[str]:
    if principal.key_id is None:
        return []
    return [
        f"x-gatehouse-key-id: {principal.key_id}",
        f"x-gatehouse-tenant: {principal.tenant}",
        f"x-gatehouse-principal: {principal.name}",
    ]


def filter_response_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the upstream's end-to-end headers; what only we may say is dropped."""
    kept = []
    named: set[str] = set()
    for header in headers:
        if header[0] == "connection":
            named.update(part.strip().lower() for part in header[1].split(","))
        elif header[0] not in _DROPPED_OF_ANSWERS:
            kept.append(header)
    return [header for header in kept if header[0] not in named] if named else kept


def build_grace_headers(sunset: float) -> list[tuple[str, str]]:
    """Return what tells the user of an old secret that it ends (RFC 9745 Deprecation, RFC 8594 Sunset)."""
    return [("deprecation", f"@{int(sunset)}"), ("sunset", formatdate(sunset, usegmt=True))]

"""Second names kept for existing callers: one table maps them onto the main path; there is no second implementation."""

import re
from urllib.parse import parse_qsl, urlencode

_ALIASES: tuple[tuple[str, re.Pattern[str], str, str], ...] = tuple(
    (method, re.compile(pattern), to_method, to_path)
    for method, pattern, to_method, to_path in (
        ("POST", r"/api/keys", "POST", "/api/keys/generate"),
        ("GET", r"/api/keys", "GET", "/api/keys/list"),
        ("GET", r"/api/keys/(?!list$|advice$)([^/]+)", "GET", r"/api/keys/\1/info"),
        ("DELETE", r"/api/keys/([^/]+)", "POST", r"/api/keys/\1/revoke"),
        ("*", r"/admin/audit/(.*)", "*", r"/api/audit/\1"),
        ("*", r"/admin/stats", "*", "/api/audit/metrics"),
        ("*", r"/api/admin/stats", "*", "/api/audit/metrics"),
        ("POST", r"/api/alerts/history/([^/]+)/resolve", "POST", r"/api/alerts/\1/resolve"),
        ("*", r"/(auth|audit|alerts|events)((?:/.*)?)", "*", r"/api/\1\2"),
    )
)
_QUERY_ALIASES = {
    "/api/audit/": {"user_id": "actor", "severity": "severity_filter"},
    "/api/events": {"user_id": "actor"},
}


def resolve_alias(method: str, path: str, query: bytes) -> tuple[str, str, bytes]:
    """Return the main method, path and query string of a request."""
    for _ in range(2):  # a short name may stand for a second name: /alerts/history/{id}/resolve
        for from_method, pattern, to_method, to_path in _ALIASES:
            match = pattern.fullmatch(path)
            if match and from_method in ("*", method):
                method = method if to_method == "*" else to_method
                path = match.expand(to_path)
                break
    for prefix, names in _QUERY_ALIASES.items():
        if query and path.startswith(prefix):
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
            if any(name in names for name, _ in pairs):
                query = urlencode([(names.get(name, name), value) for name, value in pairs]).encode()
    return method, path, query

"""Endpoint templates: method and path with id-like segments as {id}, so that their number stays bounded."""

import re
from functools import lru_cache

_ID_LIKE = re.compile(
    r"\d+|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|[0-9a-fA-F]{16,}"
    r"|(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{12,}|[a-z]{2,5}_[A-Za-z0-9]{8,}"
)
_MOST_PER_ROUTE = 1000
_LONGEST = 300


@lru_cache(maxsize=8192)
def build_template(path: str) -> str:
    """Return the path with id-like segments (numbers, UUIDs, hex, mixed identifiers) replaced by {id}."""
    return "/".join("{id}" if _ID_LIKE.fullmatch(part) else part for part in path[:_LONGEST].split("/"))


class EndpointNames:
    """At most 1,000 endpoints a route; what comes after is `other`."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}

    def name(self, route: str | None, method: str, path: str) -> str:
        """Return the endpoint of a request."""
        endpoint = f"{method} {build_template(path[:_LONGEST])}"
        known = self._known.setdefault(route or "", set())
        if endpoint in known:
            return endpoint
        if len(known) >= _MOST_PER_ROUTE:
            return "other"
        known.add(endpoint)
        return endpoint

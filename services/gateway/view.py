"""A gateway's copy, in memory, of what it needs to decide: keys and routes. Decisions never leave the process."""

from dataclasses import dataclass

from services.keys.contract.permissions import expand
from services.keys.contract.requests import Route
from services.keys.contract.view import KEY_PREFIX, ROUTE_PREFIX, KeyEntry, RouteEntry
from shared.clock import parse_time

_LONGEST_PREFIX = (
    200  # of a route's path_prefix, by the contract: looking further costs time that anybody could ask for
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """A key as the hot path wants it: times as seconds since the epoch, permissions expanded."""

    key_id: str
    principal: str
    tenant: str
    owner: str
    permissions: tuple[str, ...]
    held: frozenset[str]
    rate_limit: int
    allowed_ips: tuple[str, ...]
    expires_at: float | None
    revoked: bool
    mac: str
    previous_mac: str | None
    previous_valid_until: float | None
    sequence: int


@dataclass(frozen=True, slots=True)
class RouteView:
    """A route as the hot path wants it."""

    route: Route
    needed: tuple[str, ...]
    methods: frozenset[str]
    sequence: int


class View:
    """Keys by id and routes by prefix; entries only ever move upward in their entity's sequence."""

    def __init__(self) -> None:
        self.keys: dict[str, KeyView] = {}
        self.routes: dict[str, RouteView] = {}
        self._by_prefix: dict[str, RouteView] = {}

    def apply(self, name: str, payload: bytes) -> None:
        """Take an entry of the bucket; one with a lower sequence than ours is ignored."""
        if name.startswith(KEY_PREFIX):
            self._apply_key(KeyEntry.model_validate_json(payload))
        elif name.startswith(ROUTE_PREFIX):
            self._apply_route(name.removeprefix(ROUTE_PREFIX), RouteEntry.model_validate_json(payload))

    def drop(self, name: str) -> None:
        """Forget an entry."""
        if name.startswith(KEY_PREFIX):
            self.keys.pop(name.removeprefix(KEY_PREFIX), None)
        elif name.startswith(ROUTE_PREFIX):
            self.routes.pop(name.removeprefix(ROUTE_PREFIX), None)
            self._index()

    def find_route(self, path: str) -> RouteView | None:
        """Return the enabled route with the longest prefix of whole segments; None when there is none."""
        prefix = path if len(path) <= _LONGEST_PREFIX else path[: _LONGEST_PREFIX + 1].rpartition("/")[0]
        while prefix:
            found = self._by_prefix.get(prefix)
            if found is not None:
                return found
            prefix = prefix.rpartition("/")[0]
        return self._by_prefix.get("/")

    def _apply_key(self, entry: KeyEntry) -> None:
        known = self.keys.get(entry.key_id)
        if known and known.sequence > entry.sequence:
            return
        self.keys[entry.key_id] = KeyView(
            key_id=entry.key_id,
            principal=f"key:{entry.key_id}",
            tenant=entry.tenant,
            owner=entry.owner,
            permissions=entry.permissions,
            held=expand(entry.permissions),
            rate_limit=entry.rate_limit,
            allowed_ips=entry.allowed_ips,
            expires_at=_epoch(entry.expires_at),
            revoked=entry.revoked,
            mac=entry.mac,
            previous_mac=entry.previous_mac,
            previous_valid_until=_epoch(entry.previous_valid_until),
            sequence=entry.sequence,
        )

    def _apply_route(self, name: str, entry: RouteEntry) -> None:
        known = self.routes.get(name)
        if known and known.sequence > entry.sequence:
            return
        if entry.route is None:
            self.routes.pop(name, None)
        else:
            needed = tuple(entry.route.permissions) or (f"proxy:{name}",)
            self.routes[name] = RouteView(entry.route, needed, frozenset(entry.route.methods), entry.sequence)
        self._index()

    def _index(self) -> None:
        self._by_prefix = {view.route.path_prefix: view for view in self.routes.values() if view.route.enabled}


def _epoch(text: str | None) -> float | None:
    return parse_time(text).timestamp() if text else None

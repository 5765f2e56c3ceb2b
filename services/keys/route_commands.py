"""What keys can be told to do with routes: a claim on the path prefix makes it unique among them."""

from pydantic import BaseModel

from services.keys.commands import DIRECTORY, is_token
from services.keys.contract.events import RouteChanged
from services.keys.contract.requests import PutRoute, RouteDeleted, RouteName, RouteStored
from services.keys.domain import decide_put_route, fold_route
from services.keys.settings import Settings
from services.keys.store import KeyStore
from shared.bus import Append, Caller, retry_conflicts
from shared.clock import Clock
from shared.errors import conflict, not_found
from shared.projector import AppliedWaiter


class RouteCommands:
    """The commands of routes."""

    def __init__(self, store: KeyStore, waiter: AppliedWaiter, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._waiter = waiter
        self._clock = clock
        self._settings = settings

    async def put_route(self, body: PutRoute, caller: Caller) -> RouteStored:
        """Create or replace a route. Raises conflict when the name or the path prefix is taken.

        A retry under an Idempotency-Key answers as its first try did, whatever became of the route since.
        """

        async def attempt() -> tuple[bool, int]:
            state = fold_route(await self._store.load("route", body.route.name))
            events = decide_put_route(state.route, body.route, must_be_new=body.must_be_new)
            if not events:
                return False, state.sequence
            before = state.route.path_prefix if state.route else None
            claims = await self._move_claim(body.route.name, before, body.route.path_prefix, caller)
            appends = [self._build_route_append(events[0], body.route.name, state.sequence, caller), *claims]
            last = await self._store.append(appends)
            return state.route is None, last

        if made := await self._store.load_made("route", body.route.name, caller):
            created, sequence = True, made[-1][2]
        else:
            created, sequence = await retry_conflicts(attempt)
        return RouteStored(route=body.route, created=created, applied=await self._wait(sequence))

    async def delete_route(self, body: RouteName, caller: Caller) -> RouteDeleted:
        """Delete a route and give its path prefix back. Raises not_found."""

        async def attempt() -> int:
            state = fold_route(await self._store.load("route", body.name)) if is_token(body.name) else None
            if state is None or state.route is None:
                raise not_found("route")
            gone = RouteChanged(name=body.name, change="deleted", route=None)
            claims = await self._move_claim(body.name, state.route.path_prefix, None, caller)
            return await self._store.append(
                [self._build_route_append(gone, body.name, state.sequence, caller), *claims]
            )

        return RouteDeleted(applied=await self._wait(await retry_conflicts(attempt)))

    def _build_route_append(self, data: BaseModel, name: str, after: int, caller: Caller) -> Append:
        now = self._clock.now()
        return self._store.build_append("route", name, data, caller=caller, now=now, after=after, tenant=caller.tenant)

    async def _move_claim(self, name: str, before: str | None, after: str | None, caller: Caller) -> list[Append]:
        """Return the events that give the old path prefix back and take the new one. Raises conflict when it is taken."""
        if before == after:
            return []
        now = self._clock.now()
        moves: list[Append] = []
        for prefix, release in ((before, True), (after, False)):
            if prefix is None:
                continue
            value = f"route-prefix:{prefix}"
            claim = await self._store.build_claim(value, f"route/{name}", release=release, caller=caller, now=now)
            if claim is None:
                raise conflict(f"Another route has the path prefix {prefix}.")
            moves.append(claim)
        return moves

    async def _wait(self, sequence: int) -> bool:
        return await self._waiter.wait(DIRECTORY, sequence, bound_seconds=self._settings.applied_wait_seconds)

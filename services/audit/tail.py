"""The live tail: entries as server-sent events, from Postgres by index, so that nothing is skipped or repeated."""

from collections.abc import AsyncIterator

import structlog
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.audit.contract.requests import FollowEntries
from services.audit.queries import AuditQueries, present_entry
from services.audit.store import AuditStore
from shared.bus import Caller
from shared.health import is_trusted
from shared.projector import AppliedWaiter

log = structlog.get_logger(__name__)
CALLER_HEADER = "Gatehouse-Caller"
_PAGE = 200
_HEARTBEAT_SECONDS = 10.0


class Tail:
    """Serves /stream to the gateway; a reader that is slow holds up only itself, for each page is read when asked for."""

    def __init__(
        self, store: AuditStore, queries: AuditQueries, waiter: AppliedWaiter, *, service_token: str, most: int
    ) -> None:
        self._store = store
        self._queries = queries
        self._waiter = waiter
        self._token = service_token
        self._most = most
        self._followers = 0

    async def serve(self, request: Request) -> Response:
        """Answer POST /stream with FollowEntries as its body and the caller in a header."""
        if not is_trusted(request, self._token):
            return Response(status_code=401)
        if self._followers >= self._most:
            return Response(status_code=503)
        try:
            body = FollowEntries.model_validate_json(await request.body())
            caller = Caller.model_validate_json(request.headers[CALLER_HEADER])
        except (ValidationError, KeyError):
            return Response(status_code=422)
        return StreamingResponse(self._follow(body, caller), media_type="text/event-stream")

    async def _follow(self, body: FollowEntries, caller: Caller) -> AsyncIterator[str]:
        self._followers += 1
        try:
            after = body.after_index if body.after_index is not None else await self._store.tree_size() - 1
            yield ": connected\n\n"
            while True:
                size = await self._store.tree_size()
                arguments = self._queries.build_arguments(body, caller, after=after, before=size)
                rows = await self._store.fetch("entry_list_asc", _PAGE, *arguments)
                for row in rows:
                    yield f"id: {row['index']}\nevent: entry\ndata: {present_entry(row).model_dump_json()}\n\n"
                if len(rows) == _PAGE:
                    after = rows[-1]["index"]
                    continue
                after = max(after, size - 1)
                if not await self._waiter.wait_for_move(_HEARTBEAT_SECONDS):
                    yield ": still here\n\n"
        finally:
            self._followers -= 1

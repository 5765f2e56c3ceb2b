"""The sample upstream behind the route `demo`: small, real HTTP, so that the first request has somewhere to go."""

import asyncio
import time

import httpx
import orjson
from granian.constants import Interfaces
from granian.server.embed import Server

from cli.stack.errors import StartError

_ROUTE_BOUND_SECONDS = 30.0
_RETRY_SECONDS = 0.1


class SampleUpstream:
    """Answers every path with what it was asked; /slow waits a second, /error fails, /stream sends events."""

    def __init__(self, port: int) -> None:
        self._server = Server(
            self._answer, address="127.0.0.1", port=port, interface=Interfaces.RSGI, log_enabled=False, websockets=False
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen."""
        self._task = asyncio.create_task(self._server.serve())

    async def stop(self) -> None:
        """Stop listening."""
        self._server.stop()  # type: ignore[no-untyped-call]
        if self._task:
            await self._task

    async def _answer(self, scope: object, protocol: object) -> None:
        path = str(scope.path)  # type: ignore[attr-defined]
        body = await protocol()  # type: ignore[operator]
        if path.startswith("/slow"):
            await asyncio.sleep(1)
        if path.startswith("/stream"):
            await self._stream(protocol)
            return
        document = {"message": "Hello from the sample upstream.", "method": scope.method, "path": path}  # type: ignore[attr-defined]
        document["received_bytes"] = len(body)
        status = 500 if path.startswith("/error") else 200
        protocol.response_bytes(status, [("content-type", "application/json")], orjson.dumps(document))  # type: ignore[attr-defined]

    async def _stream(self, protocol: object) -> None:
        out = protocol.response_stream(200, [("content-type", "text/event-stream")])  # type: ignore[attr-defined]
        for number in range(5):
            await out.send_bytes(f"id: {number}\ndata: tick\n\n".encode())
            await asyncio.sleep(0.1)


async def ensure_demo_route(api: str, admin_key: str, port: int) -> None:
    """Make the route `demo` point at the sample upstream; an operator's own changes to its other fields stay.

    Tried again while a service is still on its way, or was restarted just now. Raises StartError after the bound.
    """
    deadline = time.monotonic() + _ROUTE_BOUND_SECONDS
    async with httpx.AsyncClient(base_url=api, headers={"X-API-Key": admin_key}, timeout=10, trust_env=False) as client:
        while (trouble := await _put_demo_route(client, f"http://127.0.0.1:{port}")) is not None:
            if time.monotonic() > deadline:
                raise StartError(f"The route demo could not be made: {trouble}.")
            await asyncio.sleep(_RETRY_SECONDS)


async def _put_demo_route(client: httpx.AsyncClient, upstream: str) -> str | None:
    """Return None when the route is as it should be, else what was in the way."""
    try:
        found = await client.get("/api/routes/demo")
        if not found.is_success and found.status_code != httpx.codes.NOT_FOUND:
            return f"the api answered {found.status_code}"
        route = found.json() if found.is_success else {"name": "demo", "path_prefix": "/demo"}
        if route.get("upstream") == [upstream]:
            return None
        answer = await client.put("/api/routes/demo", json=route | {"upstream": [upstream]})
    except httpx.HTTPError as error:
        return repr(error)
    return None if answer.is_success else f"the api answered {answer.status_code}"

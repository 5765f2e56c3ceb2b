"""The sample upstream behind the route `demo`: small, real HTTP, so that the first request has somewhere to go."""

import asyncio

import httpx
import orjson
from granian.constants import Interfaces
from granian.server.embed import Server


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
    """Make the route `demo` point at the sample upstream; an operator's own changes to its other fields stay."""
    upstream = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=api, headers={"X-API-Key": admin_key}, timeout=10, trust_env=False) as client:
        found = await client.get("/api/routes/demo")
        route = found.json() if found.is_success else {"name": "demo", "path_prefix": "/demo"}
        if route.get("upstream") != [upstream]:
            answer = await client.put("/api/routes/demo", json=route | {"upstream": [upstream]})
            answer.raise_for_status()

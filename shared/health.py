"""What each process answers about itself over HTTP: /health, /ready, /metrics.

Besides, a service streams its large answers to the gateway; those need the house's service token.
"""

import hmac
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

VERSION = version("gatehouse")
_STARTED = time.monotonic()


def uptime_seconds() -> int:
    """Return how long this process has been running."""
    return int(time.monotonic() - _STARTED)


class JsonResponse(Response):
    """JSON by orjson."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the bytes."""
        return orjson.dumps(content)


def is_trusted(request: Request, service_token: str) -> bool:
    """Say whether the request carries the house's service token (compared in constant time)."""
    given = request.headers.get("authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {service_token}".encode())


async def answer_health(_: Request) -> Response:
    """Answer that the process lives."""
    return JsonResponse({"status": "ok"})


def build_ready(check: Callable[[], dict[str, str]]) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of /ready; `check` names each part and "ok", or a sentence about what is wrong."""

    async def answer_ready(_: Request) -> Response:
        parts = check()
        ready = all(state == "ok" for state in parts.values())
        said = {"status": "ready" if ready else "not ready", "parts": parts}
        return JsonResponse(said | {"version": VERSION, "uptime_seconds": uptime_seconds()}, 200 if ready else 503)

    return answer_ready


async def answer_metrics(_: Request) -> Response:
    """Answer with the process's metrics in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

"""Connections to the upstreams of all routes: kept alive, bounded, balanced round robin among the healthy.

Retries repeat no effect: only idempotent methods, and only when the upstream cannot have begun (no connection, or a kept
one that was closed before a byte came back). A failing upstream's circuit opens and is probed half-open.
"""

import asyncio
import ssl
import time
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from services.gateway.upstream.connection import UpstreamConnection
from services.gateway.upstream.messages import UpstreamFailedError, UpstreamRequest, UpstreamResponse
from services.keys.contract.requests import Route

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_IDLE_SECONDS = 4.0  # below the five seconds after which common servers close
_MOST_IDLE = 256
_FAILURES_TO_OPEN = 5
_OPEN_SECONDS = 1.0


@dataclass(slots=True)
class _Target:
    """One upstream address: its idle connections and its circuit."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    idle: deque[UpstreamConnection] = field(default_factory=deque)
    failures: int = 0
    open_until: float = 0.0

    @property
    def is_healthy(self) -> bool:
        """Whether the circuit is closed, or due for a probe."""
        return self.failures < _FAILURES_TO_OPEN or time.monotonic() >= self.open_until

    def take_idle(self) -> UpstreamConnection | None:
        """Return the connection that was used last, if it is not too old to be trusted."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.is_closed and time.monotonic() - connection.idle_since <= _IDLE_SECONDS:
                return connection
            connection.close()
        return None

    def note_failure(self) -> None:
        self.failures += 1
        if self.failures >= _FAILURES_TO_OPEN:
            self.open_until = time.monotonic() + _OPEN_SECONDS


class UpstreamClient:
    """Sends requests to a route's upstreams."""

    def __init__(self) -> None:
        self._targets: dict[str, _Target] = {}
        self._turns: dict[str, int] = {}

    async def send(self, route: Route, request: UpstreamRequest) -> UpstreamResponse:
        """Return the response's head. Raises UpstreamFailedError, UpstreamTimeoutError."""
        retries = route.retries if request.method in _IDEMPOTENT and request.stream is None else 0
        target = self._pick(route)
        connection = target.take_idle()
        if connection is not None:
            try:
                return await connection.exchange(request, timeout_seconds=route.timeout_seconds)
            except UpstreamFailedError as error:
                if not error.nothing_sent or not retries:
                    raise  # else one kept connection was closed: a fresh one, not the next that may be closed too
        while True:
            try:
                connection = await self._connect(target, route)
                response = await connection.exchange(request, timeout_seconds=route.timeout_seconds)
            except UpstreamFailedError as error:
                if not error.nothing_sent or not retries:
                    raise
                retries -= 1
                target = self._pick(route)
            else:
                target.failures = 0
                return response

    async def _connect(self, target: _Target, route: Route) -> UpstreamConnection:
        def give_back(connection: UpstreamConnection) -> None:
            if len(target.idle) < _MOST_IDLE:
                connection.idle_since = time.monotonic()
                target.idle.append(connection)
            else:
                connection.close()

        def build() -> UpstreamConnection:
            return UpstreamConnection(idle_seconds=route.timeout_seconds, give_back=give_back)

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(route.connect_timeout_seconds):
                _, connection = await loop.create_connection(
                    build, target.host, target.port, ssl=target.tls, server_hostname=target.host if target.tls else None
                )
        except (OSError, TimeoutError) as error:
            target.note_failure()
            raise UpstreamFailedError(f"no connection: {error}", nothing_sent=True) from error
        return connection

    def _pick(self, route: Route) -> _Target:
        """Return the next healthy target in turn. Raises UpstreamFailedError when every circuit is open."""
        count = len(route.upstream)
        if count == 1:
            target = self._find(route.upstream[0])
            if not target.is_healthy:
                raise UpstreamFailedError("the circuit is open")
            return target
        turn = self._turns[route.name] = self._turns.get(route.name, -1) + 1
        targets = [self._find(route.upstream[(turn + step) % count]) for step in range(count)]
        healthy = next((target for target in targets if target.is_healthy), None)
        if healthy is None:
            raise UpstreamFailedError("every circuit is open")
        return healthy

    def _find(self, upstream: str) -> _Target:
        target = self._targets.get(upstream)
        if target is None:
            parts = urlsplit(upstream)
            is_tls = parts.scheme == "https"
            tls = ssl.create_default_context() if is_tls else None
            target = _Target(str(parts.hostname), parts.port or (443 if is_tls else 80), tls)
            self._targets[upstream] = target
        return target

"""What the api's process gives its handlers."""

from dataclasses import dataclass

import httpx
from nats.aio.client import Client

from services.gateway.authenticate import Authenticator
from services.gateway.limits import Limiter
from services.gateway.recording import Admission
from services.gateway.settings import ApiSettings
from services.gateway.view_feed import ViewFeed
from shared.bus import RpcClient
from shared.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """One of each, for the life of the process."""

    settings: ApiSettings
    client: Client
    rpc: RpcClient
    http: httpx.AsyncClient
    feed: ViewFeed
    recorder: Recorder
    admission: Admission
    authenticator: Authenticator
    limiter: Limiter

    def service_urls(self) -> dict[str, str]:
        """Return where each service answers over HTTP."""
        settings = self.settings
        return {
            "keys": settings.keys_url,
            "audit": settings.audit_url,
            "alerts": settings.alerts_url,
            "backup": settings.backup_url,
        }

    def check_parts(self) -> dict[str, str]:
        """Return the state of what the api needs to serve."""
        stale = self.feed.age_seconds > self.settings.view_max_age_seconds
        return {
            "view": "too old, or not loaded" if stale else "ok",
            "nats": "ok" if self.client.is_connected else "NATS does not answer",
            "recorder": "ok" if self.recorder.has_room else "full",
        }

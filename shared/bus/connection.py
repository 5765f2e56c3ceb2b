"""One way to connect to NATS: by nkey, for ever reconnecting, with an inbox prefix of the user's own."""

from typing import Any

import nats
import structlog
from nats.aio.client import Client

from shared.settings import CommonSettings

log = structlog.get_logger(__name__)


def connection_options(settings: CommonSettings, *, name: str) -> dict[str, Any]:
    """Return nats-py's options that every connection of a process shares.

    `name` shows in the server's connection list. The inbox prefix is `_INBOX_<name>`: a user may only listen to its own.
    """
    return {
        "servers": settings.nats_url.split(","),
        "name": name,
        "inbox_prefix": f"_INBOX_{name}",
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.1,
        "connect_timeout": 2,
        "ping_interval": 5,
        "max_outstanding_pings": 2,
        "allow_reconnect": True,
        "drain_timeout": 2,  # a reader that is cancelled while it fetches leaves its queue open: draining never ends
    }


async def _note_error(error: Exception) -> None:
    log.debug("nats", error=repr(error))


async def connect(settings: CommonSettings, *, name: str) -> Client:
    """Return a connected client; waits until a server answers, then reconnects for ever."""
    seed = str(settings.nats_seed_file) if settings.nats_seed_file else None
    return await nats.connect(**connection_options(settings, name=name), nkeys_seed=seed, error_cb=_note_error)

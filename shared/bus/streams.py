"""Declaration of streams: created when they miss, or only verified when an operator owns them.

An incarnation tells a stream from an earlier one of the same name: the number in EVENTS-<n>, elsewhere the time the
stream was created. A position is only good within one incarnation.
"""

import asyncio
from dataclasses import dataclass
from typing import Literal

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import APIError, NotFoundError

EVENT_SUBJECTS = "evt.>"
EVENT_STREAM_PREFIX = "EVENTS-"
_COMPARED = ("subjects", "discard", "max_bytes", "deny_delete", "deny_purge", "allow_atomic", "max_msgs_per_subject")


class StreamMismatchError(RuntimeError):
    """A stream is not what the code needs; the message names the stream and the setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """What a stream must be; sizes in bytes, ages in seconds, 0 or -1 for no bound."""

    name: str
    subjects: tuple[str, ...]
    description: str
    max_age_seconds: int = 0
    max_bytes: int = -1
    max_msgs_per_subject: int = -1
    discard_new: bool = False
    keep_for_ever: bool = False
    allow_rollup: bool = False
    duplicate_window_seconds: int = 120

    def to_config(self, replicas: int) -> api.StreamConfig:
        """Return nats-py's configuration of this stream."""
        return api.StreamConfig(
            name=self.name,
            subjects=list(self.subjects),
            description=self.description,
            retention=api.RetentionPolicy.LIMITS,
            storage=api.StorageType.FILE,
            num_replicas=replicas,
            max_age=self.max_age_seconds,
            max_bytes=self.max_bytes,
            max_msgs_per_subject=self.max_msgs_per_subject,
            discard=api.DiscardPolicy.NEW if self.discard_new else api.DiscardPolicy.OLD,
            deny_delete=self.keep_for_ever,
            deny_purge=self.keep_for_ever,
            allow_rollup_hdrs=self.allow_rollup,
            allow_direct=True,
            allow_atomic=True,
            duplicate_window=self.duplicate_window_seconds,
        )


async def declare_streams(
    client: Client, specs: tuple[StreamSpec, ...], *, mode: Literal["create", "verify"], replicas: int = 1
) -> None:
    """Make sure that each stream is what its spec says.

    Raises StreamMismatchError when one differs (or, in mode verify, misses). Repeating it changes nothing.
    """
    manager = client.jetstream()
    for spec in specs:
        wanted = spec.to_config(replicas)
        try:
            found = (await manager.stream_info(spec.name)).config
        except NotFoundError:
            if mode == "verify":
                raise StreamMismatchError(
                    f"The stream {spec.name} does not exist, and streams are verified only."
                ) from None
            await manager.add_stream(wanted)
            continue
        for name in _COMPARED:
            if getattr(found, name) != getattr(wanted, name):
                raise StreamMismatchError(f"The stream {spec.name} has another {name} than this version needs.")


async def find_event_stream(client: Client) -> str | None:
    """Return the name of the live event stream: the one that owns `evt.>`; None when there is none."""
    reply = await client.request("$JS.API.STREAM.NAMES", orjson.dumps({"subject": EVENT_SUBJECTS}), timeout=2)
    names = orjson.loads(reply.data).get("streams") or []
    return names[0] if names else None


async def find_incarnation(client: Client, stream: str) -> str:
    """Return what tells this life of the stream from any other. Raises NotFoundError when the stream misses."""
    if stream.startswith(EVENT_STREAM_PREFIX):
        return stream.removeprefix(EVENT_STREAM_PREFIX)
    reply = await client.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=2)
    info = orjson.loads(reply.data)
    if "error" in info:
        raise NotFoundError(description=info["error"].get("description"))
    return str(info["created"])


async def wait_for_stream(client: Client, find: str) -> str:
    """Return the stream's name as soon as it exists; `find` is a name, or `evt.>` for the live event stream."""
    while True:
        try:
            if find == EVENT_SUBJECTS:
                name = await find_event_stream(client)
            else:
                name = (await client.jetstream().stream_info(find)).config.name
        except (NotFoundError, APIError, NatsError, TimeoutError):
            name = None
        if name:
            return name
        await asyncio.sleep(0.1)

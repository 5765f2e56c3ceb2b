"""Parking: a message that cannot be taken in goes, whole and with its reason, to `dlq.<service>`.

Its id is made of where it came from, so that a crash between parking and moving on parks it once.
"""

import base64

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

_KEPT_BYTES = 256 * 1024


async def park(client: Client, service: str, projection: str, message: Msg, reason: str) -> None:
    """Publish the dead letter and wait for its ack. Raises what nats-py raises when none comes."""
    meta = message.metadata
    letter = {
        "projection": projection,
        "stream": meta.stream,
        "sequence": meta.sequence.stream,
        "subject": message.subject,
        "reason": reason[:1000],
        "headers": {name: value for name, value in (message.headers or {}).items() if not name.startswith("Nats-")},
        "size": len(message.data),
        "payload": base64.b64encode(message.data[:_KEPT_BYTES]).decode(),
    }
    stored_at = meta.timestamp.timestamp() if meta.timestamp else 0
    identity = f"{service}/{projection}/{meta.stream}/{meta.sequence.stream}/{stored_at}"
    await client.jetstream().publish(f"dlq.{service}", orjson.dumps(letter), headers={"Nats-Msg-Id": identity})

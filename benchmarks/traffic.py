"""Reading the stream TRAFFIC as a subscriber: which records are there, each once, none missing between."""

from dataclasses import dataclass, field

import nats
import orjson
from nats.js import api

_FETCH = 200
_STREAM = "TRAFFIC"


@dataclass(slots=True)
class Records:
    """What was read: records of one route and status, by the source's own numbers, and how they were grouped."""

    route: str
    messages: int = 0
    numbers: dict[str, list[int]] = field(default_factory=dict)
    of_route: int = 0
    request_ids: set[str] = field(default_factory=set)

    def add(self, payload: bytes) -> None:
        """Take one message, a batch of records."""
        self.messages += 1
        for record in orjson.loads(payload):
            self.numbers.setdefault(record["source"], []).append(int(record["sourceseq"]))
            if record["data"].get("route") == self.route and record["data"].get("status_code") == 200:
                self.of_route += 1
                self.request_ids.add(record["requestid"])

    @property
    def is_whole(self) -> bool:
        """Whether no request has two records, and no source left a number out or used one twice."""
        numbers = (sorted(found) for found in self.numbers.values())
        unbroken = all(found == list(range(found[0], found[0] + len(found))) for found in numbers)
        return unbroken and len(self.request_ids) == self.of_route


class Reader:
    """Reads on where the last reading ended, so that a purge of what was long applied takes nothing from the count."""

    def __init__(self, server: str, seed_file: str, *, route: str) -> None:
        self._server = server
        self._seed_file = seed_file
        self._next = 1
        self.records = Records(route)

    async def read_on(self) -> None:
        """Read everything that the stream holds now and that was not read yet."""
        client = await nats.connect(self._server, nkeys_seed=self._seed_file, inbox_prefix="_INBOX_subscriber")
        try:
            stream = client.jetstream()
            state = (await stream.stream_info(_STREAM)).state
            if state.last_seq >= self._next:
                await self._read(stream, state.last_seq)
        finally:
            await client.close()

    async def _read(self, stream: "nats.js.JetStreamContext", last: int) -> None:
        config = api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=self._next, ack_policy=api.AckPolicy.NONE
        )
        subscription = await stream.pull_subscribe("traffic.>", stream=_STREAM, config=config)
        while self._next <= last:
            for message in await subscription.fetch(min(_FETCH, last - self._next + 1), timeout=5):
                self.records.add(message.data)
                self._next = message.metadata.sequence.stream + 1
        await subscription.unsubscribe()

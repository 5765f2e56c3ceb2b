"""The only place with Postgres and event append in keys."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from services.keys.contract.events import CATALOGUE, CLAIMED, RELEASED, SOURCE, Claimed
from services.keys.domain import Dated
from shared.bus import Append, Caller, EventLog, Expectation, Stored, build_event, build_subject
from shared.db import Pool, load_statements

SQL = load_statements(__file__)
TYPE_OF = {entry.model: entry for entry in CATALOGUE.types if entry not in (CLAIMED, RELEASED)}


class KeyStore:
    """Entities as their events, and the read tables."""

    def __init__(self, pool: Pool, log: EventLog, *, claim_key: bytes) -> None:
        self.pool = pool
        self._log = log
        self._claim_key = claim_key

    async def load(self, entity: str, entity_id: str) -> list[Dated]:
        """Return an entity's events from the event stream, never from the read table: (data, time, sequence)."""
        return _date(await self._log.read(f"{build_subject('evt.keys', entity, entity_id)}.>"))

    async def load_made(self, entity: str, entity_id: str, caller: Caller) -> list[Dated]:
        """Return an entity's events up to the one that a try before this one stored (Idempotency-Key); else none."""
        return _date(await self._log.find_made(f"{build_subject('evt.keys', entity, entity_id)}.>", caller))

    async def append(self, appends: Sequence[Append]) -> int:
        """Store the events in one piece and return the last one's sequence. Raises WrongExpectationError."""
        return await self._log.append(appends)

    def build_append(
        self, entity: str, entity_id: str, data: BaseModel, *, caller: Caller, now: datetime, after: int, tenant: str
    ) -> Append:
        """Return the event of an entity, to be stored only if the entity's last sequence is still `after`."""
        kind = TYPE_OF[type(data)]
        about = f"{entity}/{entity_id}"
        event = build_event(kind, data, source=SOURCE, subject=about, caller=caller, now=now, tenant=tenant)
        entity_filter = f"{build_subject('evt.keys', entity, entity_id)}.>"
        subject = build_subject("evt.keys", entity, entity_id, kind.name)
        return Append(subject, event, Expectation(entity_filter, after))

    async def build_claim(
        self, value: str, entity: str, *, release: bool, caller: Caller, now: datetime
    ) -> Append | None:
        """Return the event that takes (or gives back) a unique value; None when it is not free.

        Two entities that claim one value at once expect the same last sequence of its subject: one of them loses.
        """
        digest = hmac.digest(self._claim_key, value.encode(), hashlib.sha256).hex()
        history = await self._log.read(f"evt.keys.claim.{digest}.>")
        last = history[-1] if history else None
        if not release and last and last.event.type == CLAIMED.name:
            return None
        kind = RELEASED if release else CLAIMED
        about = f"claim/{digest}"
        event = build_event(kind, Claimed(entity=entity), source=SOURCE, subject=about, caller=caller, now=now)
        expected = Expectation(f"evt.keys.claim.{digest}.>", last.sequence if last else 0)
        return Append(build_subject("evt.keys.claim", digest, kind.name), event, expected)

    async def note_bucket(self, created: str) -> None:
        """Begin the view anew when its bucket is not the one that it was written to."""
        async with self.pool.acquire() as connection, connection.transaction():
            if await connection.fetchrow(SQL["view_bucket_note"], created):
                await connection.execute(SQL["view_restart"])

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Return the rows of a query by its file's name."""
        return await self.pool.fetch(SQL[statement], *arguments)


def _date(stored: Sequence[Stored]) -> list[Dated]:
    return [(CATALOGUE.read(item.event), item.event.time, item.sequence) for item in stored]

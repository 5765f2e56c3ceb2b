"""The only place with Postgres in audit."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import uuid_utils
from msgspec.structs import astuple

from services.audit.domain import COLUMNS, Row
from shared.db import Connection, Pool, load_statements

SQL = load_statements(__file__)


class AuditStore:
    """The log, and what is read from it."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return the rows of a query by its file's name."""
        return await self.pool.fetch(SQL[statement], *arguments)

    async def tree_size(self) -> int:
        """Return the size of the log."""
        return int((await self.fetch("log_state_find"))[0]["tree_size"])


async def append_entries(connection: Connection, rows: Sequence[Row]) -> None:
    """Add entries to the log, in the caller's transaction, with the next contiguous indexes.

    Every writer takes the one row's lock first, so that indexes follow the order of commits.
    """
    if not rows:
        return
    size: int = await connection.fetchval(SQL["log_state_grow"], len(rows)) - len(rows)
    # One after the other, as the driver takes them: what is made and gone at once stays in the processor's cache.
    records = ((size + place, str(uuid_utils.uuid7()), *astuple(row)) for place, row in enumerate(rows))
    await connection.copy_records_to_table("entry", records=records, columns=COLUMNS)

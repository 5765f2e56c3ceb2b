"""Cursors of lists: opaque texts that say after which item a page begins. What is not one of ours is refused."""

import base64
import binascii
from datetime import datetime
from typing import Any

import orjson

from shared.errors import invalid

_MOST_DIGITS = 18


def write_cursor(*parts: Any) -> str:
    """Return the cursor of a time and an id."""
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def read_cursor(cursor: str | None) -> tuple[datetime | None, str | None]:
    """Return the time and the id of a cursor; none of both without one. Raises AppError invalid."""
    if cursor is None:
        return None, None
    try:
        time, item_id = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None or not isinstance(item_id, str) or "\x00" in item_id:
            raise ValueError(cursor)
    except (ValueError, TypeError, binascii.Error) as error:
        raise invalid("cursor is not one of ours", field="cursor") from error
    return moment, item_id


def read_number(cursor: str | None) -> int | None:
    """Return the place of a cursor that is one; None without one. Raises AppError invalid."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _MOST_DIGITS):
        raise invalid("cursor is not one of ours", field="cursor")
    return int(cursor)

"""What keys can be asked: pages by keyset, never a count."""

import base64
import binascii
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson

from services.keys.contract.permissions import allows
from services.keys.contract.requests import (
    FindKey,
    KeyHour,
    KeyInfo,
    KeyPage,
    KeyResource,
    KeyStatistics,
    ListKeys,
    ListRoutes,
    Route,
    RouteName,
    RoutePage,
)
from services.keys.domain import Key
from services.keys.store import KeyStore
from shared.bus import Caller
from shared.clock import Clock, format_time
from shared.errors import invalid, not_found


def present_key(key: Key, usage: asyncpg.Record | None, now: datetime) -> KeyResource:
    """Return the key as callers see it."""
    return KeyResource(
        key_id=key.key_id,
        name=key.name,
        status=key.status_at(now),
        tenant=key.tenant,
        owner=key.owner,
        permissions=list(key.permissions),
        rate_limit=key.rate_limit,
        allowed_ips=list(key.allowed_ips),
        metadata=key.metadata,
        credits=key.credits,
        created_at=key.created_at,
        created_by=key.created_by,
        expires_at=key.expires_at,
        last_used=format_time(usage["last_used"]) if usage and usage["last_used"] else None,
        requests_count=usage["requests_count"] or 0 if usage else 0,
        rotated_at=key.rotated_at,
        revoked_at=key.revoked_at,
        revoked_reason=key.revoked_reason,
    )


def _read_key(row: asyncpg.Record) -> Key:
    return Key(
        key_id=row["key_id"],
        name=row["name"],
        tenant=row["tenant"],
        owner=row["owner"],
        created_by=row["created_by"],
        permissions=tuple(row["permissions"]),
        rate_limit=row["rate_limit"],
        allowed_ips=tuple(row["allowed_ips"]),
        metadata=row["metadata"],
        credits=row["credits"],
        created_at=format_time(row["created_at"]),
        expires_at=_time_or_none(row["expires_at"]),
        mac="",
        previous_valid_until=_time_or_none(row["previous_valid_until"]),
        rotated_at=_time_or_none(row["rotated_at"]),
        revoked_at=_time_or_none(row["revoked_at"]),
        revoked_reason=row["revoked_reason"],
        sequence=row["sequence"],
    )


def _time_or_none(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


class KeyQueries:
    """The queries of keys and routes; a caller sees their own tenant, with `:own` rights only their own keys."""

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def list_keys(self, body: ListKeys, caller: Caller) -> KeyPage:
        """Return a page of keys, newest first unless `order` is asc."""
        now = self._clock.now()
        tenant = body.tenant if allows(caller.permissions, "tenants:all") else caller.tenant
        owner = body.owner if allows(caller.permissions, "keys:read") else caller.principal
        after_time, after_id = _read_cursor(body.cursor)
        rows = await self._store.fetch(
            f"api_key_list_{body.order}",
            body.limit + 1,
            after_time,
            after_id,
            tenant,
            owner,
            body.name,
            body.status,
            now,
        )
        items = [present_key(_read_key(row), row, now) for row in rows[: body.limit]]
        last = rows[body.limit - 1] if len(rows) > body.limit else None
        return KeyPage(items=items, next_cursor=_write_cursor(last["created_at"], last["key_id"]) if last else None)

    async def info(self, body: FindKey, caller: Caller) -> KeyInfo:
        """Return a key with its statistics. Raises not_found."""
        now = self._clock.now()
        rows = await self._store.fetch("api_key_find", body.key_id)
        key = _read_key(rows[0]) if rows else None
        is_mine = key and (key.tenant == caller.tenant or allows(caller.permissions, "tenants:all"))
        is_open = key and (allows(caller.permissions, "keys:read") or key.owner == caller.principal)
        if key is None or not is_mine or not is_open:
            raise not_found("key")
        hours = await self._store.fetch("key_usage_list_hours", body.key_id, now - timedelta(hours=24))
        recent = [row for row in hours if row["hour"] >= now - timedelta(hours=1)]
        statistics = KeyStatistics(
            requests_last_1h=sum(row["requests"] for row in recent),
            requests_last_24h=sum(row["requests"] for row in hours),
            errors_last_24h=sum(row["errors"] for row in hours),
            last_ip=rows[0]["last_ip"],
            by_hour=[
                KeyHour(hour=format_time(row["hour"]), requests=row["requests"], errors=row["errors"]) for row in hours
            ],
        )
        return KeyInfo(**present_key(key, rows[0], now).model_dump(), statistics=statistics)

    async def find_route(self, body: RouteName, _: Caller) -> Route:
        """Return a route. Raises not_found."""
        rows = await self._store.fetch("route_find", body.name)
        if not rows:
            raise not_found("route")
        return Route.model_validate(rows[0]["body"])

    async def list_routes(self, body: ListRoutes, _: Caller) -> RoutePage:
        """Return a page of routes, newest first unless `order` is asc."""
        after = _read_number(body.cursor)
        rows = await self._store.fetch(f"route_list_{body.order}", body.limit + 1, after)
        items = [Route.model_validate(row["body"]) for row in rows[: body.limit]]
        more = len(rows) > body.limit
        return RoutePage(items=items, next_cursor=str(rows[body.limit - 1]["created_sequence"]) if more else None)


def _write_cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def _read_cursor(cursor: str | None) -> tuple[datetime | None, str | None]:
    if cursor is None:
        return None, None
    try:
        time, key_id = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None or not isinstance(key_id, str) or "\x00" in key_id:
            raise ValueError(cursor)
    except (ValueError, TypeError, binascii.Error) as error:
        raise invalid("cursor is not one of ours", field="cursor") from error
    return moment, key_id


def _read_number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):  # noqa: PLR2004  (digits of a bigint)
        raise invalid("cursor is not one of ours", field="cursor")
    return int(cursor)

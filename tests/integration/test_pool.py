"""What a session may leave behind when its connection goes back to the pool."""

import asyncpg
import pytest

from shared.db import Pool, own_session

LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"


async def change_and_fail(pool: Pool) -> None:
    async with own_session(pool) as connection:
        await connection.execute("SELECT pg_advisory_lock(7)")
        await connection.execute("SET search_path = pg_catalog")
        assert await connection.fetchval(LOCKS) == 1
        await connection.execute("SELECT 1 / 0")


async def test_an_own_session_leaves_no_lock_and_no_setting(pool: Pool) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await change_and_fail(pool)
    assert await pool.fetchval(LOCKS) == 0
    assert await pool.fetchval("SHOW search_path") != "pg_catalog"


async def test_a_number_beyond_64_bits_is_kept_as_it_is(pool: Pool) -> None:
    assert await pool.fetchval("SELECT ($1::jsonb ->> 'n')", {"n": 2**70}) == str(2**70)

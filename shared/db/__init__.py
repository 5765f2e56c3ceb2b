"""Postgres: a pool, forward-only migrations, and one SQL statement a file."""

from shared.db.migrations import migrate
from shared.db.pool import Connection, Pool, create_pool, is_transient, own_session
from shared.db.statements import load_statements

__all__ = ["Connection", "Pool", "create_pool", "is_transient", "load_statements", "migrate", "own_session"]

"""Forward-only migrations: numbered files, applied in order, each in its own transaction, never changed afterwards."""

import hashlib
from pathlib import Path

from shared.db.pool import Connection, Pool

_SHARED = Path(__file__).parent.parent
_SHARED_PARTS = ("projector", "idempotency")
_LOCK_KEY = 0x67617465  # "gate": one process migrates a database at a time
_CREATE = """
CREATE TABLE IF NOT EXISTS schema_migration (
  component text NOT NULL,
  number integer NOT NULL,
  sha256 text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (component, number)
)"""


class MigrationError(RuntimeError):
    """The database and the code do not fit; the message says how."""


async def migrate(pool: Pool, module_file: str) -> None:
    """Apply the migrations that are still missing: those of shared parts, and those in `sql/migrations` beside the module.

    Safe to run by several replicas at once. Raises MigrationError when an applied file was changed, or when the
    database is newer than the code.
    """
    parts = [*(_SHARED / name for name in _SHARED_PARTS), Path(module_file).parent]
    folders = {part.name: part / "sql" / "migrations" for part in parts}
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
        try:
            await connection.execute(_CREATE)
            for component, folder in folders.items():
                await _migrate_component(connection, component, folder)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK_KEY)


async def _migrate_component(connection: Connection, component: str, folder: Path) -> None:
    rows = await connection.fetch("SELECT number, sha256 FROM schema_migration WHERE component = $1", component)
    applied = {row["number"]: row["sha256"] for row in rows}
    files = {int(path.name.split("_")[0]): path for path in sorted(folder.glob("*.sql"))}
    if set(applied) - set(files):
        raise MigrationError(f"The database of {component} is newer than this version of the code; upgrade the code.")
    for number, path in files.items():
        text = path.read_text()
        digest = hashlib.sha256(text.encode()).hexdigest()
        if number in applied:
            if applied[number] != digest:
                raise MigrationError(f"The migration {path.name} of {component} was changed after it was applied.")
            continue
        async with connection.transaction():
            await connection.execute(text)
            await connection.execute(
                "INSERT INTO schema_migration (component, number, sha256) VALUES ($1, $2, $3)",
                component,
                number,
                digest,
            )

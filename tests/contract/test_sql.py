"""Every SQL file is one statement that Postgres prepares against the migrated schema, says why, and names its columns."""

import re
from pathlib import Path

import pytest

from shared.db import Pool, migrate

PROJECT = Path(__file__).parents[2]
FOLDERS = sorted(path for path in PROJECT.glob("*/**/sql") if ".venv" not in path.parts)
FILES = [path for folder in FOLDERS for path in sorted(folder.glob("*.sql"))]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
async def test_every_statement_is_prepared(folder: Path, pool: Pool) -> None:
    await migrate(pool, str(folder.parent / "store.py"))
    async with pool.acquire() as connection:
        for path in sorted(folder.glob("*.sql")):
            try:
                await connection.prepare(path.read_text())
            except Exception as error:
                raise AssertionError(f"{path.relative_to(PROJECT)}: {error}") from error


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.parent.name}/{path.stem}")
def test_a_statement_says_why_and_names_its_columns(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("-- "), "the first lines say why and what it guarantees"
    assert not re.search(r"(?i)\bselect\s+\*|\w\.\*", text), "columns are named"
    statement = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    assert statement.count(";") <= 1, "one statement a file"
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", path.stem), "entity_operation_qualifier"


async def test_migrating_twice_changes_nothing(pool: Pool) -> None:
    keys = str(PROJECT / "services" / "keys" / "store.py")
    await migrate(pool, keys)
    before = await pool.fetch("SELECT component, number, applied_at FROM schema_migration ORDER BY component, number")
    await migrate(pool, keys)
    assert (
        await pool.fetch("SELECT component, number, applied_at FROM schema_migration ORDER BY component, number")
        == before
    )

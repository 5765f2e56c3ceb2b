"""SQL lives in files: one statement a file, `entity_operation_qualifier.sql`, loaded once by name."""

from pathlib import Path


def load_statements(module_file: str) -> dict[str, str]:
    """Return {file name without ending: statement} of the folder `sql` beside the module."""
    folder = Path(module_file).parent / "sql"
    return {path.stem: path.read_text() for path in sorted(folder.glob("*.sql"))}

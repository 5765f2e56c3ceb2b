"""The house style, as far as a machine can see it. The lists of exceptions are the thermometer: each has its reason."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.contract.shape import PRODUCT, PROJECT, list_files, list_functions

FILES = list_files(*PRODUCT)
LONG_FILES: dict[str, str] = {
    "services/keys/contract/requests.py": "the bodies of one page of the contract; read side by side with it",
    "services/alerts/contract/requests.py": "the same for alerts",
    "shared/recorder/recorder.py": "one state machine between live and spool; splitting it would split its invariant",
}
LONG_FUNCTIONS: dict[str, str] = {}
SERVICE_FILES = frozenset(
    {
        "__init__", "__main__", "settings", "contract", "domain", "commands", "projections", "queries", "store",
        "subscribers", "routes", "app", "errors",
    }
)  # fmt: skip
FORBIDDEN_NAMES = frozenset({"utils", "common", "core", "base", "helpers", "misc", "manager"})


def relative(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def test_files_stay_small() -> None:
    long = {relative(path) for path in FILES if len(path.read_text().splitlines()) > 300}
    assert long <= set(LONG_FILES), "split by noun, or give a reason"
    assert set(LONG_FILES) <= {relative(path) for path in FILES}


def test_functions_stay_small() -> None:
    long = {
        function.where.split(" ")[0].split(":")[0] + " " + function.where.split(" ")[1]: function.lines
        for function in list_functions(FILES)
        if function.lines > 50
    }
    assert set(long) <= set(LONG_FUNCTIONS), long


def test_nesting_stays_flat() -> None:
    deep = [function for function in list_functions(FILES) if function.nesting > 4]
    assert not deep


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_every_module_says_what_it_owns(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, "a module docstring of one to a few lines"
    assert path.stem not in FORBIDDEN_NAMES


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_rooms_are_kept(path: Path) -> None:
    text, name = path.read_text(), relative(path)
    if name.startswith("services/") and path.name != "store.py":
        assert not re.search(r"(?m)^\s*(import asyncpg|from asyncpg)\b(?!.*Record)", text) or "asyncpg.Record" in text
    if name != "services/gateway/problems.py" and name.startswith("shared/"):
        assert not re.search(r"\bstatus_code=[45]\d\d", text)
    if not name.startswith("cli/"):
        assert not re.search(r"os\.environ", text), "settings are read in one place"
    assert "TODO" not in text
    assert "FIXME" not in text
    assert "unittest.mock" not in text


def test_domains_are_pure() -> None:
    forbidden = ("asyncio", "nats", "asyncpg", "httpx", "random", "secrets", "os", "time")
    for path in (PROJECT / "services").glob("*/domain.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in forbidden], relative(path)
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("now", "utcnow", "today"), relative(path)


def test_projections_use_no_clock_and_no_chance() -> None:
    for path in (PROJECT / "services").glob("*/projections.py"):
        assert not re.search(r"datetime\.now|time\.time|uuid|random", path.read_text()), relative(path)


def test_nothing_private_is_tracked() -> None:
    """No address of a package index, no path of a build machine."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False).stdout
    if not tracked:
        pytest.skip("not a git checkout")
    pattern = re.compile(
        rb"pyp"
        rb"i\.org|pythonhoste"
        rb"d\.org|npmj"
        rb"s\.(org|com)|debia"
        rb"n\.org/|(?<![\w.-])/"
        rb"work/"
    )
    names = [name for name in tracked.decode().split("\0") if name]
    found = [name for name in names if (PROJECT / name).is_file() and pattern.search((PROJECT / name).read_bytes())]
    assert not found


def test_the_architecture_page_names_what_exists() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text()
    for name in re.findall(r"`((?:services|shared|cli|deploy|tests|docs|benchmarks)/[\w./-]*)`", page):
        assert (PROJECT / name).exists(), name
    source = "\n".join(path.read_text() for path in FILES)
    for name in re.findall(r"`([A-Z][A-Za-z]+)`", page):
        if name.isupper():
            continue
        assert re.search(rf"\b(class|def) {name}\b", source), name


def test_decisions_are_complete() -> None:
    for path in sorted((PROJECT / "docs" / "decisions").glob("[0-9]*.md")):
        text = path.read_text().lower()
        assert "revisit when" in text, path.name
        assert "checked by" in text, path.name

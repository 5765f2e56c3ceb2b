"""The pages that are generated are in step with the code; links in the documentation lead somewhere."""

import re
from pathlib import Path

import pytest

from docs.generate import PAGES

PROJECT = Path(__file__).parents[2]
WRITTEN = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").rglob("*.md")]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_in_step(name: str) -> None:
    assert (PROJECT / name).read_text() == PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_every_make_target_that_the_documentation_names_exists() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for path in WRITTEN:
        for target in re.findall(r"`make ([a-z-]+)", path.read_text()):
            assert re.search(rf"(?m)^{target}:", makefile), f"{path.name}: make {target}"

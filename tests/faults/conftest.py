"""A stack that may be hurt, shared by the short round; each fault leaves it whole again."""

from collections.abc import Iterator

import pytest

from tests.fixtures.stack import Stack, run_stack


@pytest.fixture(scope="package")
def fragile() -> Iterator[Stack]:
    with run_stack() as running:
        yield running

"""Fixtures of the whole suite: see tests/fixtures."""

from collections.abc import AsyncIterator, Iterator

import pytest
from nats.aio.client import Client

from shared.bus import connect
from shared.db import Pool, create_pool
from shared.settings import CommonSettings, StoreSettings
from tests.fixtures.servers import Servers, run_servers
from tests.fixtures.stack import Stack, run_stack


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with run_servers() as running:
        yield running


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with run_stack() as running:
        yield running


@pytest.fixture
def new_database(servers: Servers) -> str:
    return servers.new_database_url()


@pytest.fixture
async def pool(new_database: str) -> AsyncIterator[Pool]:
    opened = await create_pool(StoreSettings(database_url=new_database), name="test")
    yield opened
    opened.terminate()


@pytest.fixture
async def nats_client(servers: Servers) -> AsyncIterator[Client]:
    settings = CommonSettings(nats_url=servers.nats_url, nats_seed_file=servers.nats_seed())
    client = await connect(settings, name="tester")
    yield client
    await client.close()

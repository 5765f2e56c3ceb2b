"""The event log and the requests between services on a real NATS."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from faststream.nats import NatsBroker
from faststream.nats.security import NatsNKey
from nats.aio.client import Client
from pydantic import BaseModel

from shared.bus import (
    Append,
    Caller,
    EventLog,
    Expectation,
    Operation,
    RpcClient,
    StreamSpec,
    WrongExpectationError,
    build_subject,
    connection_options,
    declare_streams,
)
from shared.bus.rpc import serve_operation
from shared.bus.streams import StreamMismatchError
from shared.envelope import Event
from shared.errors import AppError, Category, conflict
from shared.ids import new_uuid7
from shared.settings import CommonSettings
from shared.testing.waiting import wait_until
from tests.fixtures.servers import Servers


def build_append(stream: str, entity: str, expected: int | None = None, kind: str = "made") -> Append:
    event = Event(id=new_uuid7(), source="/test", type=kind, time="2026-01-01T00:00:00.000Z")
    expectation = None if expected is None else Expectation(f"{stream}.{entity}.>", expected)
    return Append(f"{stream}.{entity}.{kind}", event, expectation)


@pytest.fixture
async def log(nats_client: Client) -> AsyncIterator[EventLog]:
    stream = f"L{new_uuid7().replace('-', '')}"
    await declare_streams(
        nats_client, (StreamSpec(name=stream, subjects=(f"{stream}.>",), description="t"),), mode="create"
    )
    yield EventLog(nats_client, stream)
    await nats_client.jetstream().delete_stream(stream)


async def test_an_entity_is_read_back_in_order(log: EventLog) -> None:
    assert await log.read(f"{log.stream}.a.>") == []
    first = await log.append([build_append(log.stream, "a", 0)])
    await log.append([build_append(log.stream, "b", 0)])
    second = await log.append([build_append(log.stream, "a", first, "changed")])
    assert [(item.sequence, item.event.type) for item in await log.read(f"{log.stream}.a.>")] == [
        (first, "made"),
        (second, "changed"),
    ]


async def test_of_two_writers_one_is_refused(log: EventLog) -> None:
    attempts = [log.append([build_append(log.stream, "a", 0)]) for _ in range(5)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, WrongExpectationError) for result in results) == 4


async def test_a_batch_is_stored_whole_or_not_at_all(log: EventLog) -> None:
    await log.append([build_append(log.stream, "claim", 0)])
    with pytest.raises(WrongExpectationError):
        await log.append([build_append(log.stream, "a", 0), build_append(log.stream, "claim", 0)])
    assert await log.read(f"{log.stream}.a.>") == []
    last = await log.append([build_append(log.stream, "a", 0), build_append(log.stream, "claim2", 0)])
    assert (await log.read(f"{log.stream}.a.>"))[0].sequence == last - 1


async def test_the_same_append_twice_is_stored_once(log: EventLog) -> None:
    append = build_append(log.stream, "a", 0)
    assert await log.append([append]) == await log.append([append])
    batch = [build_append(log.stream, "b", 0), build_append(log.stream, "c", 0)]
    assert await log.append(batch) == await log.append(batch)
    assert len(await log.read(f"{log.stream}.>")) == 3


async def test_a_stream_of_another_shape_is_refused(nats_client: Client, log: EventLog) -> None:
    other = StreamSpec(name=log.stream, subjects=(f"{log.stream}.>",), description="t", discard_new=True)
    with pytest.raises(StreamMismatchError, match="another discard"):
        await declare_streams(nats_client, (other,), mode="create")
    missing = StreamSpec(name="NOWHERE", subjects=("nowhere.>",), description="t")
    with pytest.raises(StreamMismatchError, match="does not exist"):
        await declare_streams(nats_client, (missing,), mode="verify")


@pytest.mark.parametrize("token", ["", "a b", "a.*", ">", "a\n", ".a", "a.", "a..b", "\x00"])
def test_no_text_becomes_a_wildcard_or_another_token(token: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        build_subject("evt", token)


class Question(BaseModel):
    """A test's request."""

    number: int = 0
    fail: str = ""


class Answer(BaseModel):
    """A test's reply."""

    text: str


OPERATION = Operation("rpc.tested.answer", Question, Answer, timeout_seconds=2)


async def answer(body: Question, caller: Caller) -> Answer:
    """Answer, or fail as asked."""
    if body.fail == "conflict":
        raise conflict("Taken.")
    if body.fail == "bug":
        raise RuntimeError("the secret is 42")
    if body.fail == "store":
        await asyncpg.connect("postgresql://nobody@127.0.0.1:9/nothing")
    if body.fail == "large":
        return Answer(text="x" * 600_000)
    await asyncio.sleep(0.2)
    return Answer(text=f"{body.number} for {caller.principal}")


@pytest.fixture
async def rpc(servers: Servers, nats_client: Client) -> AsyncIterator[RpcClient]:
    settings = CommonSettings(nats_url=servers.nats_url, nats_seed_file=servers.nats_seed())
    broker = NatsBroker(
        **connection_options(settings, name="tester"),
        security=NatsNKey.from_file(str(servers.nats_seed())),
        logger=None,
    )
    serve_operation(broker, OPERATION, answer)
    await broker.start()
    client = RpcClient(nats_client)

    async def subscribed() -> bool:
        try:
            return bool(await client.call(OPERATION, Question(), Caller()))
        except AppError:
            return False

    await wait_until(subscribed)
    yield client
    await broker.stop()


async def test_requests_run_side_by_side_for_their_callers(rpc: RpcClient) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    asked = (rpc.call(OPERATION, Question(number=number), Caller(principal="key:a")) for number in range(8))
    assert [reply.text for reply in await asyncio.gather(*asked)] == [f"{number} for key:a" for number in range(8)]
    assert loop.time() - started < 8 * 0.2  # one after the other would take longer than this, whatever the machine


@pytest.mark.parametrize(
    ("body", "category", "public"),
    [
        (Question(fail="conflict"), Category.CONFLICT, "Taken."),
        (Question(fail="bug"), Category.INTERNAL, "Something went wrong here."),
        (Question(fail="store"), Category.UNAVAILABLE, "The store of tested does not answer; try again shortly."),
        (Question(fail="large"), Category.INVALID, "The answer is too large for one page; ask for fewer items."),
    ],
)
async def test_errors_arrive_typed_and_say_nothing_private(
    rpc: RpcClient, body: Question, category: Category, public: str
) -> None:
    with pytest.raises(AppError) as failed:
        await rpc.call(OPERATION, body, Caller())
    assert (failed.value.category, failed.value.public) == (category, public)


async def test_nobody_there_is_unavailable(nats_client: Client) -> None:
    nowhere = Operation("rpc.nobody.answer", Question, Answer)
    with pytest.raises(AppError) as failed:
        await RpcClient(nats_client).call(nowhere, Question(), Caller())
    assert failed.value.category is Category.UNAVAILABLE

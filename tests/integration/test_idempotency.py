"""Answers under an Idempotency-Key: the work done once, the answer given again, sealed for whoever shows both."""

import asyncio

import pytest
from pydantic import BaseModel

from shared.bus import Caller, Operation
from shared.db import Pool, migrate
from shared.errors import AppError, conflict
from shared.idempotency import KeptAnswers, answers
from shared.testing.clock import ManualClock

CREATE = Operation("rpc.test.create", BaseModel, BaseModel, timeout_seconds=5, creates=True)
BODY = b'{"name": "a", "size": 1}'


def caller_with(key: str, *, credential: str = "key_1", secret: str = "11" * 32) -> Caller:
    return Caller(idempotency_key=key, answer_key=secret, credential_id=credential)


class Bench:
    """A keeper, a clock, and the count of how often the work was done."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.clock = ManualClock()
        self.keeper = KeptAnswers(pool, self.clock)
        self.done = 0
        self.seeds: list[str | None] = []

    async def ask(
        self, caller: Caller, body: bytes = BODY, *, operation: Operation[BaseModel, BaseModel] = CREATE
    ) -> tuple[bytes, bool]:
        async def work(caller: Caller) -> bytes:
            self.done += 1
            self.seeds.append(caller.seed)
            await asyncio.sleep(0.01)
            return b"the secret answer"

        return await self.keeper.answer_once(operation, body, caller, work)


@pytest.fixture
async def bench(pool: Pool) -> Bench:
    await migrate(pool, answers.__file__)
    return Bench(pool)


async def refusal(bench: Bench, caller: Caller, body: bytes = BODY) -> str:
    with pytest.raises(AppError) as refused:
        await bench.ask(caller, body)
    return refused.value.code


async def test_the_same_request_gets_the_first_answer_again(bench: Bench) -> None:
    assert await bench.ask(caller_with("k")) == (b"the secret answer", False)
    assert await bench.ask(caller_with("k")) == (b"the secret answer", True)
    assert await bench.ask(caller_with("k"), b'{"size":1,"name":"a"}') == (b"the secret answer", True)
    assert bench.done == 1


async def test_another_body_under_the_same_key_is_refused(bench: Bench) -> None:
    await bench.ask(caller_with("k"))
    assert await refusal(bench, caller_with("k"), b'{"name": "b"}') == "idempotency_mismatch"


async def test_other_keys_credentials_and_operations_are_other_requests(bench: Bench) -> None:
    for caller in (caller_with("k"), caller_with("l"), caller_with("k", credential="key_2")):
        assert await bench.ask(caller) == (b"the secret answer", False)
    other = Operation("rpc.test.other", BaseModel, BaseModel, creates=True)
    assert await bench.ask(caller_with("k"), operation=other) == (b"the secret answer", False)


async def test_of_many_at_once_one_does_the_work(bench: Bench) -> None:
    found = await asyncio.gather(*(bench.ask(caller_with("k")) for _ in range(20)), return_exceptions=True)
    assert bench.done == 1
    refused = [item.code for item in found if isinstance(item, AppError)]
    assert set(refused) <= {"in_progress"}
    assert len(refused) + sum(isinstance(item, tuple) for item in found) == len(found)
    assert (b"the secret answer", False) in found


async def test_what_was_abandoned_is_taken_over_after_two_deadlines(bench: Bench) -> None:
    await bench.ask(caller_with("k"))
    await bench.pool.execute("UPDATE idempotent_answer SET answer = NULL")  # as after a death before it was kept
    bench.clock.advance(9.9)
    assert await refusal(bench, caller_with("k")) == "in_progress"
    bench.clock.advance(0.2)
    assert await bench.ask(caller_with("k")) == (b"the secret answer", False)
    assert bench.seeds[0] == bench.seeds[1] is not None


async def test_a_failure_is_not_kept_and_its_retry_has_its_seed(bench: Bench) -> None:
    seeds = []

    async def fail(caller: Caller) -> bytes:
        seeds.append(caller.seed)
        raise conflict("The name is taken.")

    for _ in range(2):
        with pytest.raises(AppError, match="conflict"):
            await bench.keeper.answer_once(CREATE, BODY, caller_with("k"), fail)
    assert await refusal(bench, caller_with("k"), b'{"name": "free"}') == "idempotency_mismatch"
    assert await bench.ask(caller_with("k")) == (b"the secret answer", False)
    assert {*seeds, *bench.seeds} == {seeds[0]}


async def test_whoever_lost_the_turn_keeps_no_answer(bench: Bench) -> None:
    """A try that was slower than its bound, and whose cancelling came late, gives the answer of the one that took over."""

    async def slow(_: Caller) -> bytes:
        bench.clock.advance(11)
        assert await bench.ask(caller_with("k")) == (b"the secret answer", False)
        return b"too late"

    assert await bench.keeper.answer_once(CREATE, BODY, caller_with("k"), slow) == (b"the secret answer", True)
    assert await bench.ask(caller_with("k")) == (b"the secret answer", True)


async def test_work_is_cancelled_before_it_may_be_taken_over(bench: Bench) -> None:
    async def hang(_: Caller) -> bytes:
        await asyncio.sleep(60)
        return b""

    hasty = Operation("rpc.test.hasty", BaseModel, BaseModel, timeout_seconds=0.05, creates=True)
    with pytest.raises(TimeoutError):
        await bench.keeper.answer_once(hasty, BODY, caller_with("k"), hang)


async def test_a_body_too_deep_to_compare_is_refused(bench: Bench) -> None:
    assert await refusal(bench, caller_with("k"), b'{"a":' + b"[" * 500 + b"]" * 500 + b"}") == "invalid"


async def test_the_store_shows_nobody_the_answer(bench: Bench) -> None:
    await bench.ask(caller_with("k"))
    row = await bench.pool.fetchrow("SELECT id, answer FROM idempotent_answer")
    assert row is not None
    assert b"secret" not in row["answer"]
    assert row["id"] != "k"
    assert await refusal(bench, caller_with("k", secret="22" * 32)) == "conflict"


async def test_an_answer_is_forgotten_after_a_day(bench: Bench) -> None:
    await bench.ask(caller_with("k"))
    bench.clock.advance(24 * 3600 + 1)
    assert await bench.ask(caller_with("k"), b'{"name": "new"}') == (b"the secret answer", False)
    assert bench.seeds[0] != bench.seeds[1]

"""Whatever single process dies, at any moment: every answered request is in the log exactly once (G1), and all recovers.

Each case proves that its fault fired (another pid, a note in the failpoint log) and that work went on.
"""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from tests.e2e.eventually import eventually
from tests.fixtures.ledger import compare, load
from tests.fixtures.stack import Stack, run_stack

pytestmark = pytest.mark.xdist_group("faults")
PROCESSES = ("proxy", "audit", "keys", "nats", "postgres", "api")


def recovered(stack: Stack, name: str, old_pid: int) -> bool:
    return stack.find_pid(name) not in (0, old_pid)


@pytest.mark.parametrize("name", PROCESSES)
async def test_sigkill_under_load_loses_and_doubles_nothing(fragile: Stack, name: str) -> None:
    async with load(fragile) as ledger:
        await asyncio.sleep(1)
        before = len(ledger.answered)
        old_pid = fragile.kill(name)
        await asyncio.to_thread(eventually, lambda: recovered(fragile, name, old_pid))
        await asyncio.sleep(2)
    assert before > 20
    assert len(ledger.answered) > before + 20, f"no progress after the kill of {name}: {ledger.statuses()}"
    verdict = await asyncio.to_thread(compare, fragile, ledger)
    assert verdict.is_clean, verdict
    eventually(lambda: fragile.api.get("/api/audit/completeness").json()["complete"])


async def away(stack: Stack, name: str, seconds: float) -> tuple[int, int]:
    """Stop a process for a while under load; return how much was answered before and within."""
    async with load(stack) as ledger:
        await asyncio.sleep(1)
        before = len(ledger.answered)
        stack.kill(name, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        within = len(ledger.answered) - before
        spooled = sum(path.stat().st_size for path in (stack.home / "spool" / "proxy").glob("*.spool"))
        stack.kill(name, signal.SIGCONT)
        await asyncio.sleep(3)
    verdict = await asyncio.to_thread(compare, stack, ledger)
    assert verdict.is_clean, verdict
    return within, spooled


async def drained(stack: Stack) -> None:
    await asyncio.to_thread(eventually, lambda: not list((stack.home / "spool" / "proxy").glob("*.spool")))


async def test_nats_away_for_a_while_uses_the_spool_and_drains_it(fragile: Stack) -> None:
    within, spooled = await away(fragile, "nats", 4)
    assert within > 50
    assert spooled > 0
    await drained(fragile)


async def test_postgres_away_lets_requests_flow(fragile: Stack) -> None:
    within, _ = await away(fragile, "postgres", 4)
    assert within > 100


async def test_a_paused_writer_that_wakes_up_late_doubles_nothing(fragile: Stack) -> None:
    """Longer than its lease: what it believes of its position and token is old by then."""
    within, _ = await away(fragile, "audit", 5)
    assert within > 100


POINTS = [
    ("AUDIT", "projector.before_commit=kill@5"),
    ("AUDIT", "projector.before_ack=kill@5"),
    ("KEYS", "projector.before_ack=kill@5"),
    ("PROXY", "recorder.before_send=kill@40"),
]


@pytest.mark.parametrize(("process", "point"), POINTS)
async def test_death_at_a_labelled_point(process: str, point: str, tmp_path: Path) -> None:
    log_file = tmp_path / "fired"
    with run_stack(**{f"FAILPOINTS_{process}": point, "FAILPOINTS_LOG": str(log_file)}) as stack:
        async with load(stack, clients=8) as ledger:
            await asyncio.to_thread(eventually, log_file.exists)
            await asyncio.sleep(3)
        assert point.split("@", maxsplit=1)[0].replace("=", " ") in log_file.read_text()
        verdict = await asyncio.to_thread(compare, stack, ledger)
        assert len(ledger.answered) > 50
        assert verdict.is_clean, verdict


async def test_a_full_spool_refuses_before_the_upstream_is_called(tmp_path: Path) -> None:
    """NATS away and no disk to write to: 503 recorder_full, counted, and recorded as one summary when it is back."""
    with run_stack(SPOOL_MAX_BYTES="60000", RECORDER_MEMORY_BYTES="1048576") as stack:
        async with load(stack, clients=4) as ledger:
            await asyncio.sleep(0.5)
            stack.kill("nats", signal.SIGSTOP)
            await asyncio.to_thread(eventually, lambda: ledger.refused > 0)
            stack.kill("nats", signal.SIGCONT)
            before = len(ledger.answered)
            await asyncio.to_thread(eventually, lambda: len(ledger.answered) > before + 20)
        verdict = await asyncio.to_thread(compare, stack, ledger)
        assert verdict.is_clean, verdict
        query = {"event_type": "requests_summarised"}
        entries = eventually(lambda: stack.api.get("/api/audit/logs", params=query).json()["items"])
        assert sum(entry["details"]["count"] for entry in entries) >= ledger.refused


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_the_long_round() -> None:
    """Twenty random kills and pauses of random processes under load; the seed is printed."""
    seed = int(os.environ.get("FAULT_SEED", random.SystemRandom().randrange(2**32)))
    print(f"FAULT_SEED={seed}")
    chance = random.Random(seed)
    with run_stack() as stack:
        async with load(stack) as ledger:
            for _ in range(20):
                name = chance.choice(PROCESSES)
                await asyncio.sleep(chance.uniform(0.2, 3))
                if chance.random() < 0.6:
                    old_pid = stack.kill(name)
                    await asyncio.to_thread(eventually, lambda name=name, old=old_pid: recovered(stack, name, old))
                else:
                    stack.kill(name, signal.SIGSTOP)
                    await asyncio.sleep(chance.uniform(0.5, 5))
                    stack.kill(name, signal.SIGCONT)
            await asyncio.sleep(3)
        verdict = await asyncio.to_thread(compare, stack, ledger, bound_seconds=180)
        print(f"{len(ledger.answered)} answered, {ledger.broken} broken off, {ledger.statuses()}")
        assert verdict.is_clean, verdict


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_nats_away_for_twenty_seconds() -> None:
    with run_stack() as stack:
        within, spooled = await away(stack, "nats", 20)
        assert within > 200
        assert spooled > 0
        await drained(stack)

"""A disk that is really full (a small file system of its own) while NATS is away: refused, bounded, and nothing lost."""

import asyncio
import contextlib
import errno
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.eventually import eventually
from tests.fixtures.ledger import compare, load
from tests.fixtures.stack import run_stack

pytestmark = pytest.mark.xdist_group("faults")
_DISK = "64k"


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Lay a file system of 64 KiB over a folder."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def is_full(folder: Path) -> bool:
    """Say whether another page finds no place, by trying."""
    probe = folder / "probe"
    try:
        probe.write_bytes(bytes(4096))
    except OSError as error:
        return error.errno == errno.ENOSPC
    finally:
        probe.unlink(missing_ok=True)
    return False


def fill(folder: Path) -> None:
    """Leave no room on the disk under a folder."""
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize(
    ("headers", "body"), [({}, None), (None, b"x" * 9_000_000)], ids=["no credential", "a body that is too large"]
)
def test_the_api_refuses_too_when_its_refusal_cannot_be_recorded(
    headers: dict[str, str] | None, body: bytes | None
) -> None:
    with run_stack() as stack, small_disk(spool := stack.home / "spool" / "api"):
        fill(spool)
        stack.kill("nats", signal.SIGSTOP)
        api = stack.api if headers is None else httpx.Client(base_url=stack.document["api"], timeout=30)
        answer = api.post("/api/events", content=body, headers={"content-type": "application/json"})
        stack.kill("nats", signal.SIGCONT)
        assert (answer.status_code, answer.json()["code"]) == (503, "recorder_full")
        eventually(lambda: stack.api.get("/api/keys").status_code == 200)


async def test_a_full_disk_refuses_in_bounded_time_and_loses_nothing() -> None:
    with run_stack() as stack, small_disk(stack.home / "spool" / "proxy"):
        async with load(stack, clients=8) as ledger:
            await asyncio.sleep(0.5)
            stack.kill("nats", signal.SIGSTOP)
            await asyncio.to_thread(eventually, lambda: ledger.refused > 50)
            assert is_full(stack.home / "spool" / "proxy")
            stack.kill("nats", signal.SIGCONT)
            before = len(ledger.answered)
            await asyncio.to_thread(eventually, lambda: len(ledger.answered) > before + 50)
        assert ledger.broken == 0
        verdict = await asyncio.to_thread(compare, stack, ledger)
        assert verdict.is_clean, verdict
        await asyncio.to_thread(eventually, lambda: not list((stack.home / "spool" / "proxy").glob("*.spool")))

"""One child process: started, watched, restarted with backoff when it dies, stopped gracefully and then firmly."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from cli.stack.postgres import OURSELVES, Account

_PR_SET_PDEATHSIG = 1
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 5.0
_CALM_SECONDS = 10.0
_libc = ctypes.CDLL(None)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A row of the table of processes; `ready_url` is asked over HTTP, `stop_signal` asks for a graceful end.

    `niceness` as of nice(2): on a busy machine the doors go first, and readers of what is durable already follow.
    """

    name: str
    command: list[str]
    log_file: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_url: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    account: Account = OURSELVES
    niceness: int = 0
    working_folder: Path | None = None

    @property
    def url(self) -> str | None:
        """Where the process answers over HTTP."""
        return self.ready_url.rsplit("/", 1)[0].removesuffix("/.gatehouse") if self.ready_url else None


class Process:
    """The life of one child."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.restarts = 0
        self.is_stopping = False
        self._child: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child and self._child.returncode is None else None

    async def start(self) -> None:
        """Start the child and keep it running."""
        await self._spawn()
        self._watch = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        """Ask the child to end; kill it when it does not within its time."""
        self.is_stopping = True
        if self._watch:
            self._watch.cancel()
        child = self._child
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(self.spec.stop_signal)
            child.send_signal(signal.SIGCONT)
        try:
            await asyncio.wait_for(child.wait(), self.spec.stop_seconds)
        except TimeoutError:
            log.warning("killed, for it did not stop in time", process=self.spec.name)
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _spawn(self) -> None:
        uid, gid = self.spec.account.uid, self.spec.account.gid
        with self.spec.log_file.open("ab") as log_file:
            self._child = await asyncio.create_subprocess_exec(
                *self.spec.command,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.spec.environment},
                cwd=self.spec.working_folder,
                user=uid,
                group=gid,
                extra_groups=[] if uid is not None else None,
                process_group=0,
                preexec_fn=_prepare_child(self.spec.stop_signal, self.spec.niceness),
            )

    async def _keep_running(self) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            assert self._child is not None  # noqa: S101  (start comes first)
            started = time.monotonic()
            code = await self._child.wait()
            if time.monotonic() - started > _CALM_SECONDS:
                backoff = _FIRST_BACKOFF_SECONDS
            log.warning("process ended; restarting", process=self.spec.name, code=code, after_seconds=backoff)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)
            self.restarts += 1
            await self._spawn()


def _prepare_child(stop_signal: signal.Signals, niceness: int) -> Callable[[], None]:
    """Return what a child does first: ask the kernel to stop it when the supervisor is killed, and take its place."""

    def ask_kernel() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, stop_signal)
        os.nice(niceness)

    return ask_kernel

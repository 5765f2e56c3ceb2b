"""The supervisor: starts the table in order, waits until everything is ready, restarts what dies, stops gracefully.

Everything it starts dies with it, also when it is killed.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import structlog

from cli.stack.context import write_context
from cli.stack.errors import AlreadyRunningError, StartError
from cli.stack.home import Home, load_secrets, write_private
from cli.stack.nats_server import write_config
from cli.stack.ports import choose_port
from cli.stack.postgres import Postgres
from cli.stack.process import Process, ProcessSpec
from cli.stack.processes import Ports, build_infrastructure, build_services
from cli.stack.sample import SampleUpstream, ensure_demo_route

log = structlog.get_logger(__name__)
READY_BOUND_SECONDS = 60.0
_POLL_SECONDS = 0.05


class Supervisor:
    """One running stack."""

    def __init__(self, home: Home, *, api_port: int, proxy_port: int) -> None:
        self.home = home
        self.is_first_start = home.is_new
        self._wanted = {"api": api_port, "proxy": proxy_port}
        self._processes: list[Process] = []
        self._sample: SampleUpstream | None = None
        self._lock = -1
        self._has_lock = False
        self.secrets: dict[str, str] = {}
        self.ports: Ports

    async def start(self) -> None:
        """Start everything and return when it is ready. Raises StackError with one sentence."""
        self._take_lock()
        remembered = self._remembered_ports()
        await self._wait_for_leftovers()
        self.secrets = load_secrets(self.home)
        self.ports = self._choose_ports(remembered)
        self._write_run_file(ready=False)
        postgres = Postgres(self.home, self.secrets)
        if self.is_first_start and (aside := postgres.set_orphan_aside()):
            log.warning("a database of a deleted home was set aside", moved_to=str(aside))
        postgres.make_cluster()
        config = write_config(self.home, self.ports.nats, sync_always=bool(os.environ.get("NATS_SYNC_ALWAYS")))
        for spec in build_infrastructure(self.home, postgres, config):
            await self._start_process(spec)
        await postgres.wait_and_provision()
        services = build_services(self.home, self.ports, postgres, self.secrets)
        for spec in services:
            await self._start_process(spec)
        self._sample = SampleUpstream(self.ports.sample)
        await self._sample.start()
        await self._wait_until_ready()
        await ensure_demo_route(self.urls()["api"], self.secrets["admin_key"], self.ports.sample)
        write_context(self.home.context_file, self.urls()["api"], self.secrets["admin_key"])
        self._write_run_file(ready=True)

    async def watch(self) -> None:
        """Keep run.json in step with what runs, until cancelled."""
        while True:
            await asyncio.sleep(1)
            self._write_run_file(ready=True)

    async def stop(self) -> None:
        """Stop everything in reverse order, the doors first."""
        for name in ("proxy", "api"):
            await asyncio.gather(*(process.stop() for process in self._processes if process.spec.name == name))
        infrastructure = [process for process in self._processes if process.spec.ready_url is None]
        services = [process for process in self._processes if process.spec.ready_url and process.pid]
        await asyncio.gather(*(process.stop() for process in services))
        if self._sample:
            await self._sample.stop()
        await asyncio.gather(*(process.stop() for process in infrastructure))
        if self._has_lock:
            self.home.run_file.unlink(missing_ok=True)

    def urls(self) -> dict[str, str]:
        """Return where the doors are."""
        return {
            "api": f"http://127.0.0.1:{self.ports.api}",
            "proxy": f"http://127.0.0.1:{self.ports.proxy}",
            "nats": f"nats://127.0.0.1:{self.ports.nats}",
        }

    def describe(self) -> dict[str, Any]:
        """Return the document of `gatehouse status --json`: no secret in it."""
        return {
            **self.urls(),
            "nats_creds": {user: str(self.home.seed_file(user)) for user in ("publisher", "subscriber")},
            "home": str(self.home.path),
            "processes": [
                {
                    "name": process.spec.name,
                    "pid": process.pid,
                    "started": find_start(process.pid) if process.pid else None,
                    "ready": process.pid is not None,
                    "restarts": process.restarts,
                    "url": process.spec.url,
                }
                for process in self._processes
            ],
        }

    def _take_lock(self) -> None:
        self.home.make()
        self._lock = os.open(self.home.lock_file, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunningError(f"A stack runs in {self.home.path} already; `gatehouse down` stops it.") from None
        self._has_lock = True

    def _remembered_ports(self) -> dict[str, int]:
        try:
            ports: dict[str, int] = json.loads((self.home.path / "ports.json").read_text())
        except (OSError, ValueError):
            return {}
        return ports

    def _choose_ports(self, remembered: dict[str, int]) -> Ports:
        switches = {"api": "--port or GATEHOUSE_PORT", "proxy": "--proxy-port or GATEHOUSE_PROXY_PORT"}
        ports: dict[str, int] = {}
        for name in Ports.__dataclass_fields__:
            ports[name] = choose_port(
                self._wanted.get(name, 0), remembered=remembered.get(name), name=name, switch=switches.get(name, ""),
                given=ports.values(),
            )  # fmt: skip
        write_private(self.home.path / "ports.json", json.dumps(ports))
        return Ports(**ports)

    async def _wait_for_leftovers(self) -> None:
        """Wait for children of a killed supervisor: the kernel has asked them to stop, so they end by themselves."""
        try:
            left = json.loads(self.home.run_file.read_text())
        except (OSError, ValueError):
            return
        deadline = time.monotonic() + 15
        started = {entry["pid"]: entry.get("started") for entry in left.get("processes", []) if entry["pid"]}

        def still_running() -> list[int]:
            return [pid for pid, moment in started.items() if moment and find_start(pid) == moment]

        while still_running() and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        for pid in still_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _start_process(self, spec: ProcessSpec) -> None:
        process = Process(spec)
        self._processes.append(process)
        await process.start()

    async def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_BOUND_SECONDS
        waiting = [process for process in self._processes if process.spec.ready_url]
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            while waiting:
                waiting = [process for process in waiting if not await _is_ready(client, process)]
                if time.monotonic() > deadline or any(process.restarts > 5 for process in waiting):  # noqa: PLR2004
                    names = ", ".join(process.spec.name for process in waiting)
                    raise StartError(f"Not ready: {names}; see {self.home.logs}.")
                await asyncio.sleep(_POLL_SECONDS)

    def _write_run_file(self, *, ready: bool) -> None:
        document = self.describe() | {"ready": ready, "supervisor": os.getpid()}
        write_private(self.home.run_file, json.dumps(document, indent=1))


async def _is_ready(client: httpx.AsyncClient, process: Process) -> bool:
    try:
        answer = await client.get(str(process.spec.ready_url))
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK


def find_start(pid: int) -> str | None:
    """Return what tells a process from any other that had or will have its pid: the boot, and when it started."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot}/{fields[19]}"

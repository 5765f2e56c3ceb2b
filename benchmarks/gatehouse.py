"""An embedded stack for a bench, driven as a user would: `gatehouse up --detach`, its API, `gatehouse down`."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

_UP_SECONDS = 150
_SETTLE_SECONDS = 120.0
HIGH_LIMIT = 1_000_000_000
_READERS = ("supervisor", "keys", "audit", "alerts", "backup", "api")  # the supervisor, lest it look after the others


class Stack:
    """A running stack; `up` is the document that `gatehouse up --json` printed."""

    def __init__(self, home: Path, up: dict[str, Any]) -> None:
        self.home = home
        self.proxy = up["proxy"]
        self.nats = up["nats"]
        self.subscriber_seed = up["nats_creds"]["subscriber"]
        self._api = httpx.Client(
            base_url=up["api"], headers={"X-API-Key": up["admin_key"]}, timeout=10, trust_env=False
        )

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the API's answer; None when there is no such path, or its service does not run."""
        answer = self._api.request(method, path, json=body)
        if answer.status_code in {404, 502, 503}:
            return None
        answer.raise_for_status()
        return answer.json()

    def make_route(self, name: str, upstream_port: int) -> str:
        """Make a strict route to the upstream and return its address on the proxy."""
        upstream = f"http://127.0.0.1:{upstream_port}"
        self.ask(
            "POST", "/api/routes", {"name": name, "path_prefix": f"/{name}", "upstream": upstream, "audit": "strict"}
        )
        return f"{self.proxy}/{name}/"

    def make_key(self, route: str) -> str:
        """Generate a key for the route whose limit nobody reaches."""
        body = {"name": "bench", "permissions": [f"proxy:{route}"], "rate_limit": HIGH_LIMIT}
        return self.ask("POST", "/api/keys/generate", body)["full_key_secret"]

    def wait_until_projected(self) -> None:
        """Wait until every projection has caught up, so that what follows is not measured beside its work.

        Raises RuntimeError when they do not.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < deadline:
            document = self.ask("GET", "/api/projections")
            if document and not any(item.get("lag_messages") for item in document["items"]):
                return
            time.sleep(0.2)
        raise RuntimeError(f"The projections did not catch up within {_SETTLE_SECONDS:.0f} s.")

    @contextlib.contextmanager
    def pause_readers(self) -> Iterator[None]:
        """Stop every process but the proxy, NATS and Postgres (which then has nothing to do) until the block ends."""
        running = read_pids(self.home)
        pids = [running[name] for name in _READERS]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def start(home: Path) -> dict[str, Any]:
    """Run `gatehouse up` and return what it printed."""
    command = ["up", "--detach", "--json", "--port", "0", "--proxy-port", "0", "--home", str(home)]
    return json.loads(_run_cli(command))


def stop(home: Path, *, delete_data: bool = True) -> None:
    """Stop the stack of a home; with its data unless told otherwise."""
    _run_cli(["down", "--home", str(home), *(["--delete-data", "--yes"] if delete_data else [])])


def read_pids(home: Path) -> dict[str, int]:
    """Return the pid of each part of a running stack, the supervisor among them."""
    document = json.loads((home / "run.json").read_text())
    return {"supervisor": document["supervisor"]} | {entry["name"]: entry["pid"] for entry in document["processes"]}


@contextlib.contextmanager
def run_stack(home: Path) -> Iterator[Stack]:
    """Run a stack until the block ends, then remove it."""
    try:
        yield Stack(home, start(home))
    finally:
        stop(home)


def _run_cli(arguments: list[str]) -> str:
    command = [sys.executable, "-m", "cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_UP_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"gatehouse {arguments[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout

"""Several gateways honour one truth: a new key everywhere within a second, a revoked one refused by all of them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from cli.stack.ports import choose_port
from tests.e2e.eventually import eventually
from tests.fixtures.stack import PROJECT, Stack


@contextmanager
def run_proxy(stack: Stack, name: str, folder: Path) -> Iterator[str]:
    """Run one more proxy of this stack and yield its address."""
    secrets = json.loads((stack.home / "secrets" / "secrets.json").read_text())
    port, metrics = (choose_port(0, remembered=None, name=name, switch="") for _ in range(2))
    environment = {
        "NATS_URL": stack.document["nats"], "NATS_SEED_FILE": str(stack.home / "secrets" / "gateway.nk"),
        "PEPPER": secrets["pepper"], "PORT": str(port), "METRICS_PORT": str(metrics),
        "SPOOL_FOLDER": str(folder / name), "GATEWAY_NAME": name,
    }  # fmt: skip
    run = [sys.executable, "-m", "services.gateway.proxy"]
    process = subprocess.Popen(run, cwd=PROJECT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: is_ready(url))
        yield url
    finally:
        process.terminate()
        process.wait(20)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/.gatehouse/ready", trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def doors(stack: Stack, tmp_path: Path) -> Iterator[list[str]]:
    with ExitStack() as running:
        more = [running.enter_context(run_proxy(stack, name, tmp_path)) for name in ("second", "third")]
        yield [stack.document["proxy"], *more]


def measure_refusals(stack: Stack, doors: list[str]) -> list[float]:
    """Revoke a key and return, door by door, how long after the answer each still let it in (seconds)."""
    issued = stack.new_key(rate_limit=1_000_000)
    clients = [
        httpx.Client(base_url=door, headers={"X-API-Key": issued["full_key_secret"]}, trust_env=False) for door in doors
    ]
    for client in clients:
        eventually(lambda client=client: client.get("/demo/x").status_code == 200)
    assert stack.api.post(f"/api/keys/{issued['key_id']}/revoke", json={}).status_code == 200
    revoked_at = time.monotonic()
    waited = []
    for client in clients:
        eventually(lambda client=client: client.get("/demo/x").status_code == 401)
        waited.append(time.monotonic() - revoked_at)
        client.close()
    return waited


def test_a_revoked_key_is_refused_by_every_gateway(stack: Stack, doors: list[str]) -> None:
    waited = sorted(seconds for _ in range(10) for seconds in measure_refusals(stack, doors))
    print(f"refused after: median {waited[len(waited) // 2] * 1000:.1f} ms, longest {waited[-1] * 1000:.1f} ms")


def test_each_gateways_records_are_in_one_log(stack: Stack, doors: list[str]) -> None:
    headers = {"X-API-Key": stack.document["admin_key"]}
    sent = {httpx.get(f"{door}/demo/x", headers=headers, trust_env=False).headers["x-request-id"] for door in doors}
    for request_id in sent:
        query = {"request_id": request_id}
        assert eventually(lambda query=query: stack.api.get("/api/audit/logs", params=query).json()["items"])
    assert eventually(lambda: stack.api.get("/api/audit/completeness").json()["complete"])

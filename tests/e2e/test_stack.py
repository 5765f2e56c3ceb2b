"""The embedded stack: twice, side by side, after kill -9, on taken ports, with broken data."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.eventually import eventually
from tests.fixtures.stack import Stack, run_stack


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_second_stack_beside_the_first_and_a_second_start_keep_everything(stack: Stack) -> None:
    with run_stack() as second:
        assert second.document["api"] != stack.document["api"]
        issued = second.new_key(name="kept")
        ports = {name: second.document[name] for name in ("nats",)}
        second.down()
        second.up()
        assert {name: second.document[name] for name in ports} == ports
        assert any(item["key_id"] == issued["key_id"] for item in second.cli("keys", "list"))
        eventually(lambda: second.client_for(issued["full_key_secret"]).get("/demo/x").status_code == 200)
        assert stack.proxy.get("/demo/x").status_code == 200


def test_kill_9_of_the_supervisor_leaves_nothing_behind_and_the_next_start_works() -> None:
    with run_stack() as hurt:
        request_id = hurt.proxy.get("/demo/x").headers["x-request-id"]
        document = json.loads((hurt.home / "run.json").read_text())
        os.kill(document["supervisor"], signal.SIGKILL)
        pids = [entry["pid"] for entry in document["processes"]]
        eventually(lambda: not any(is_alive(pid) for pid in pids), bound_seconds=30)
        hurt.up()
        found = eventually(lambda: hurt.api.get("/api/audit/logs", params={"request_id": request_id}).json()["items"])
        assert len(found) == 1


def test_secrets_are_private_and_made_once(stack: Stack) -> None:
    for path in (stack.home / "secrets").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    for path in (stack.home, stack.home / "secrets"):
        assert path.stat().st_mode & 0o777 == 0o700, path
    logs = "".join(path.read_text(errors="replace") for path in (stack.home / "logs").iterdir())
    made = json.loads((stack.home / "secrets" / "secrets.json").read_text())
    assert not [name for name, value in made.items() if value in logs]


def test_a_taken_port_is_noticed(stack: Stack, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = stack.run("up", "--detach", "--port", port, "--proxy-port", "0", "--home", str(tmp_path / "h"))
    assert done.returncode == 10
    assert f"Port {port} for the api is taken" in done.stderr


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda home: (home / "layout").write_text("99\n"), "another version"),
        (
            lambda home: (home / "secrets").mkdir() or (home / "secrets" / "secrets.json").write_text("{"),
            "cannot be read",
        ),
    ],
)
def test_a_broken_folder_is_one_sentence(stack: Stack, tmp_path: Path, damage: object, words: str) -> None:
    home = tmp_path / "h"
    home.mkdir(mode=0o700)
    damage(home)  # type: ignore[operator]
    done = stack.run("up", "--detach", "--port", "0", "--proxy-port", "0", "--home", str(home))
    assert done.returncode == 11
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_settings_are_one_sentence(stack: Stack) -> None:
    import subprocess
    import sys

    environment = {**os.environ, "PORT": "0", "PEPPER": "short"}
    run = [sys.executable, "-m", "services.keys", "--check-config"]
    done = subprocess.run(run, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 78
    assert "is wrong" in done.stderr
    assert "short" not in done.stderr.replace("too short", "")
    assert "Traceback" not in done.stderr

"""The command line, as an operator uses it."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from shared.health import VERSION
from tests.e2e.eventually import eventually
from tests.fixtures.stack import GATEHOUSE, PROJECT, Stack


def test_keys_from_birth_to_end(stack: Stack) -> None:
    issued = stack.cli("keys", "generate", "cli", "--permission", "read", "--rate-limit", "9")
    assert issued["key"]["rate_limit"] == 9
    key_id = issued["key_id"]
    assert any(item["key_id"] == key_id for item in stack.cli("keys", "list"))
    assert stack.cli("keys", "update", key_id, "--name", "renamed")["name"] == "renamed"
    eventually(lambda: stack.run("keys", "verify", stdin=issued["full_key_secret"]).returncode == 0)
    rotated = stack.cli("keys", "rotate", key_id, "--grace-seconds", "0")
    assert rotated["full_key_secret"] != issued["full_key_secret"]
    assert stack.cli("keys", "info", key_id)["rotated_at"]
    assert stack.cli("keys", "revoke", key_id, "--reason", "done")["status"] == "revoked"
    eventually(lambda: stack.run("keys", "verify", stdin=rotated["full_key_secret"]).returncode == 3)


def test_routes_and_the_demo(stack: Stack) -> None:
    assert stack.cli("routes", "add", "cli", "/cli", "http://127.0.0.1:9")["path_prefix"] == "/cli"
    assert {"cli", "demo"} <= {item["name"] for item in stack.cli("routes", "list")}
    assert stack.run("routes", "rm", "cli").returncode == 0
    shown = stack.cli("demo")
    assert (shown["status"], shown["entry"]["route"]) == (200, "demo")


def test_the_log_and_its_counts(stack: Stack) -> None:
    stack.proxy.get("/demo/x")
    eventually(lambda: stack.cli("audit", "logs", "--limit", "3"))
    assert stack.cli("audit", "summary", "--hours", "1")["total_events"] > 0
    assert eventually(lambda: stack.cli("audit", "completeness")["complete"])
    assert len(stack.cli("audit", "types")) > 30
    assert stack.cli("audit", "logs", "--actor", "nobody") == []


def test_events_are_published_and_counted(stack: Stack) -> None:
    published = stack.cli("events", "publish", "agent_deployed", "--details", '{"version": 3}')
    assert published["accepted"] == 1
    assert eventually(lambda: stack.cli("audit", "logs", "--event-type", "agent_deployed"))
    assert stack.cli("events", "stats")["by_type"]["agent_deployed"] >= 1


def test_the_stack_describes_itself(stack: Stack) -> None:
    status = stack.cli("status")
    assert all(process["ready"] for process in status["processes"] if process["url"])
    assert "admin_key" not in json.dumps(status)
    assert stack.cli("ready")["status"] == "ready"
    assert all(finding["state"] != "failed" for finding in stack.cli("doctor"))
    names = {(item["service"], item["name"]) for item in stack.cli("projections", "status")}
    assert {("keys", "directory"), ("keys", "view"), ("audit", "traffic"), ("alerts", "rules")} <= names


def test_diagnostics_show_the_whole_house(stack: Stack) -> None:
    stack.cli("backup", "create")
    document = eventually(lambda: (shown := stack.cli("diagnostics"))["last_backup"] and shown)
    assert document["services"].keys() == {"gateway", "keys", "audit", "alerts", "backup"}
    assert {service["version"] for service in document["services"].values()} == {VERSION}
    assert all(service["uptime_seconds"] >= 0 for service in document["services"].values())
    assert document["stores"] == dict.fromkeys(("keys", "audit", "alerts", "backup"), "ok")
    streams = {stream["name"]: stream for stream in document["streams"]}
    assert {"TRAFFIC", "EXTERNAL", "ALERTS", "DLQ"} <= streams.keys()
    assert streams["TRAFFIC"]["consumers"] >= 3
    assert {"keys", "audit", "alerts"} <= {item["service"] for item in document["projections"]}
    table = stack.run("diagnostics")
    assert "TRAFFIC" in table.stdout
    assert "Last backup" in table.stderr


def test_a_reader_that_has_seen_enough_ends_the_printing_without_a_word(stack: Stack) -> None:
    command = f"{sys.executable} -u -m cli audit types --json | head -c 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=60, check=False, cwd=PROJECT,
        env=stack.environment | {"GATEHOUSE_HOME": str(stack.home)},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[", "")


def test_a_rebuild_while_serving_changes_nothing(stack: Stack) -> None:
    stack.new_key(metadata={"a": [1, {"b": None}]})
    before = stack.cli("keys", "list", "--limit", "200")
    assert stack.cli("projections", "rebuild", "keys", "directory")["sequence"] > 0
    assert [item["key_id"] for item in stack.cli("keys", "list", "--limit", "200")] == [
        item["key_id"] for item in before
    ]
    assert stack.run("projections", "rebuild", "keys", "usage").returncode == 5


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("keys", "info", "key_nothere"), 1, "There is no such key."),
        (("keys", "frobnicate"), 2, ""),
        (("keys", "generate", "x", "--permission", "nonsense"), 1, "is no permission"),
        (("events", "publish", "x", "--details", "{"), 2, "is no JSON"),
        (("up", "--port", "99999"), 2, "is no port"),
        (("up", "--detach", "--port", "0", "--proxy-port", "0"), 5, "runs in"),
        (("audit", "logs", "--severity", "loud"), 1, "severity_filter"),
        (("routes", "add", "X Y", "/a", "http://h"), 1, "name"),
        (("routes", "add", "a", "/a", "ftp://h"), 1, "http"),
    ],
)
def test_trouble_is_one_sentence_and_an_exit_code(
    stack: Stack, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = stack.run(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_gatehouse_that_is_away_is_unreachable(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = tmp_path_factory.mktemp("cli") / "contexts.toml"
    environment = {"GATEHOUSE_CONFIG": str(config)}
    assert stack.run("context", "add", "away", "http://127.0.0.1:9", env=environment, stdin="gk_x\n").returncode == 0
    assert config.stat().st_mode & 0o777 == 0o600
    assert stack.run("keys", "list", env=environment).returncode == 4
    assert stack.run("context", "rm", "away", env=environment).returncode == 0


def test_help_names_every_group(stack: Stack) -> None:
    shown = stack.run("--help").stdout
    assert all(word in shown for word in ("up", "keys", "audit", "alerts", "backup", "restore", "projections"))


def test_a_terminal_shows_words_and_no_markup(stack: Stack) -> None:
    key_id = stack.new_key(name="a[b]")["key_id"]
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*GATEHOUSE, "keys", "info", key_id], stdout=theirs, stderr=theirs, timeout=60, check=True, cwd=PROJECT,
        env=stack.environment | {"GATEHOUSE_HOME": str(stack.home), "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    assert done.returncode == 0
    seen = os.read(ours, 65_536).decode()
    os.close(ours)
    assert "a[b]" in seen
    assert "\x1b[32mactive" in seen
    assert not re.search(r"\[green\]|\\\[", seen)

"""Taking out a guard makes a test fail: the guards are what the tests hold, not what happens to work."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(300)]

MUTATIONS = {
    "the position check": (
        "shared/projector/sql/projection_advance.sql",
        "WHERE name = $1 AND token = $2 AND incarnation = $3 AND sequence = $4",
        "WHERE name = $1 AND $2::bigint >= 0 AND $3::text >= '' AND $4::bigint >= 0",
        "tests/integration/test_projector.py::test_a_writer_that_lost_its_lease_changes_nothing",
    ),
    "the interval set": (
        "shared/projector/repeats.py",
        "if self._sets[source].add(_read_number(item)):",
        "if self._sets[source].add(_read_number(item)) or True:",
        "tests/integration/test_projector.py::test_a_second_copy_at_a_new_sequence_changes_nothing",
    ),
    "the frozen batch": (
        "shared/recorder/recorder.py",
        "for item in sent.values():\n            self._queue_for_spool(item)",
        "for item in sent.values():\n            item.message = Frozen(new_uuid7(), item.message.payload)\n            self._queue_for_spool(item)",
        "tests/integration/test_recorder.py::test_a_lost_ack_neither_loses_nor_doubles",
    ),
    "the expected sequence": (
        "shared/bus/event_log.py",
        'headers["Nats-Expected-Last-Subject-Sequence"] = str(append.expected.last_sequence)',
        'headers["Nothing"] = str(append.expected.last_sequence)',
        "tests/integration/test_event_log.py::test_of_two_writers_one_is_refused",
    ),
    "what was seen": (
        "shared/projector/repeats.py",
        "if digest in fresh]",
        "if digest]",
        "tests/integration/test_projector.py::test_the_same_identity_is_taken_once",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_without_it_a_test_fails(name: str, tmp_path: Path) -> None:
    file, guard, without, test = MUTATIONS[name]
    for folder in ("shared", "services", "cli", "deploy", "tests"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    text = (tmp_path / file).read_text()
    assert guard in text, "the mutation no longer applies; it must follow the code"
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "--timeout", "60", test]
    (tmp_path / file).write_text(text.replace(guard, without))
    mutated = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert mutated.returncode == 1, mutated.stdout[-2000:]
    assert "1 failed" in mutated.stdout

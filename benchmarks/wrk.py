"""wrk, and what it says."""

import re
import shutil
import subprocess
from dataclasses import dataclass

from benchmarks.context import SkippedError

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Load:
    """One run of wrk: answers, failures among them, requests a second, latencies in milliseconds."""

    answers: int
    failures: int
    rate: float
    p50_ms: float
    p99_ms: float


def run_wrk(url: str, *, key: str | None, connections: int, seconds: float) -> Load:
    """Ask for `url` on so many connections and return what came of it. Raises SkippedError when wrk misses."""
    if shutil.which("wrk") is None:
        raise SkippedError("wrk is not installed (Debian: apt install wrk).")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "--timeout", "10s"]
    if key:
        command += ["-H", f"X-API-Key: {key}"]
    done = subprocess.run([*command, url], capture_output=True, text=True, check=True, timeout=seconds + 30)
    return parse(done.stdout)


def parse(text: str) -> Load:
    """Return the numbers of wrk's report."""
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(
        answers=int(_find(r"(\d+) requests in", text)),
        failures=(int(refused[1]) if refused else 0) + (sum(map(int, errors.groups())) if errors else 0),
        rate=float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        p50_ms=_read_milliseconds(_find(r"(?m)^\s+50%\s+(\S+)", text)),
        p99_ms=_read_milliseconds(_find(r"(?m)^\s+99%\s+(\S+)", text)),
    )


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk said something unexpected: {text[:300]}")
    return found[1]


def _read_milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()
    return float(number) * _UNITS[unit]

"""P1: the proxy with key, limit and durable record on a strict route, beside Envoy and nginx, with a 1 KB body.

Rounds are interleaved (every door once, then again), so that a noisy minute hits everybody. A round without exactly one
record an answer is void. Gatehouse is measured twice: with the whole house on the same cores, which reads, indexes and
evaluates every record meanwhile; and with the readers paused, which is what the peers do: nobody reads their logs.
"""

import asyncio
import contextlib
from dataclasses import asdict
from itertools import product
from statistics import median

from benchmarks.context import Context, Outcome, SkippedError, summarise
from benchmarks.gatehouse import Stack, run_stack
from benchmarks.peers import envoy, nginx
from benchmarks.traffic import Reader
from benchmarks.wrk import Load, run_wrk

_ROUTE = "bench"
_CONNECTIONS = 64
_WARM_UP_SECONDS = 1
_HOUSE = "gatehouse"
_PROXY = "gatehouse, readers paused"
_PEERS = ("envoy", "nginx")


def run(context: Context) -> Outcome:
    """Measure, verify, and return the table."""
    outcome = Outcome(
        "P1 proxy: key, limit, durable record; 1 KB", ("door", "req/s", "p50 ms", "p99 ms", "c=1 ms", "added ms")
    )
    with contextlib.ExitStack() as running:
        upstream_port = running.enter_context(nginx.run_upstream(context.folder))
        stack = running.enter_context(run_stack(context.folder / "p1-home"))
        doors = dict.fromkeys((_HOUSE, _PROXY), stack.make_route(_ROUTE, upstream_port))
        key = stack.make_key(_ROUTE)
        for name, peer in zip(_PEERS, (envoy, nginx), strict=True):
            try:
                port = running.enter_context(peer.run_peer(context.folder, upstream_port=upstream_port, key=key))
                doors[name] = f"http://127.0.0.1:{port}/{_ROUTE}/"
            except SkippedError as missing:
                outcome.notes.append(f"without {name}: {missing}")
        doors["direct"] = f"http://127.0.0.1:{upstream_port}/"
        _Bench(context, stack, doors, key).measure(outcome)
    return outcome


class _Bench:
    """One measurement over all doors."""

    def __init__(self, context: Context, stack: Stack, doors: dict[str, str], key: str) -> None:
        self._context = context
        self._stack = stack
        self._doors = doors
        self._key = key
        self._reader = Reader(stack.nats, stack.subscriber_seed, route=_ROUTE)
        self._answers = 0
        self._open_at_end = 0

    def measure(self, outcome: Outcome) -> None:
        """Warm up, run the rounds, verify the records, and fill the outcome."""
        self._run_rounds(1, _CONNECTIONS, _WARM_UP_SECONDS)
        busy = self._run_rounds(self._context.rounds, _CONNECTIONS, self._context.seconds)
        lone = self._run_rounds(min(3, self._context.rounds), 1, self._context.seconds)
        _tabulate(outcome, busy, lone)
        self._verify(outcome)

    def _run_rounds(self, rounds: int, connections: int, seconds: float) -> dict[str, list[Load]]:
        loads: dict[str, list[Load]] = {name: [] for name in self._doors}
        for _ in range(rounds):
            for name, url in self._doors.items():
                loads[name].append(self._run_one(name, url, connections, seconds))
        return loads

    def _run_one(self, name: str, url: str, connections: int, seconds: float) -> Load:
        with self._stack.pause_readers() if name == _PROXY else contextlib.nullcontext():
            load = run_wrk(url, key=self._key if name != "direct" else None, connections=connections, seconds=seconds)
        if load.failures:
            raise RuntimeError(f"{name}: {load.failures} of {load.answers} requests failed; the round is void.")
        if name in (_HOUSE, _PROXY):
            self._answers += load.answers
            self._open_at_end += connections
            asyncio.run(self._reader.read_on())
            self._stack.wait_until_projected()
        return load

    def _verify(self, outcome: Outcome) -> None:
        """Compare answers and records: wrk hangs up with one request open a connection, which are recorded too."""
        asyncio.run(self._reader.read_on())
        records = self._reader.records
        outcome.numbers["records"] = {
            "answers": self._answers, "records": records.of_route, "open_at_end_at_most": self._open_at_end,
            "a_message": round(sum(map(len, records.numbers.values())) / max(1, records.messages), 1),
        }  # fmt: skip
        if not (records.is_whole and self._answers <= records.of_route <= self._answers + self._open_at_end):
            raise RuntimeError(f"P1 is void: answers and records differ ({outcome.numbers['records']}).")
        outcome.notes.append(
            f"verified: {self._answers} answers, {records.of_route} records (those open when wrk hung up included), "
            f"no number missing, {outcome.numbers['records']['a_message']} records a message"
        )


def _tabulate(outcome: Outcome, busy: dict[str, list[Load]], lone: dict[str, list[Load]]) -> None:
    direct_ms = median(load.p50_ms for load in lone["direct"])
    rates = {name: median(load.rate for load in loads) for name, loads in busy.items()}
    for name, loads in busy.items():
        alone_ms = median(load.p50_ms for load in lone[name])
        p50_ms, p99_ms = (median(values) for values in ([x.p50_ms for x in loads], [x.p99_ms for x in loads]))
        cells = (f"{p50_ms:.2f}", f"{p99_ms:.2f}", f"{alone_ms:.3f}", f"{alone_ms - direct_ms:+.3f}")
        outcome.rows.append((name, f"{rates[name]:,.0f}", *cells))
        outcome.numbers[name] = {
            "rate": summarise([load.rate for load in loads]), "p50_ms": p50_ms, "p99_ms": p99_ms, "alone_ms": alone_ms,
            "added_ms": alone_ms - direct_ms, "rounds": [asdict(load) for load in loads],
        }  # fmt: skip
    for door, peer in product((_HOUSE, _PROXY), _PEERS):
        if peer in busy:
            pairs = zip(busy[door], busy[peer], strict=True)
            ratio = median(ours.rate / theirs.rate for ours, theirs in pairs)
            outcome.numbers[f"ratio of {door} to {peer}"] = ratio
            outcome.notes.append(f"{door} / {peer} = {ratio:.2f} of the requests a second")

"""P11: what `make run` costs: a fresh start, a warm start of the same home, and the memory of the idle stack."""

import time
from pathlib import Path

from benchmarks import gatehouse
from benchmarks.context import Context, Outcome, summarise

_CALM_SECONDS = 3.0
_STARTS = 3


def run(context: Context) -> Outcome:
    """Start, stop, start again, weigh."""
    outcome = Outcome("P11 one machine: start and memory", ("what", "median", "least", "most"))
    fresh, warm, weights = [], [], []
    for number in range(_STARTS):
        home = context.folder / f"p11-home-{number}"
        try:
            fresh.append(_time_start(home))
            gatehouse.stop(home, delete_data=False)
            warm.append(_time_start(home))
            time.sleep(_CALM_SECONDS)
            weights.append(weigh(home))
        finally:
            gatehouse.stop(home)
    totals = [float(sum(weight.values())) for weight in weights]
    for name, values, unit in (
        ("fresh start", fresh, "s"),
        ("warm start", warm, "s"),
        ("idle memory (PSS)", totals, "MB"),
    ):
        numbers = summarise(values)
        outcome.rows.append((name, *(f"{number:.1f} {unit}" for number in numbers.values())))
        outcome.numbers[name.replace(" ", "_").replace("(", "").replace(")", "").lower()] = numbers
    outcome.numbers["memory_mb_by_process"] = weights[-1]
    outcome.notes.append("MB by process: " + ", ".join(f"{name} {size:.0f}" for name, size in weights[-1].items()))
    return outcome


def _time_start(home: Path) -> float:
    began = time.perf_counter()
    gatehouse.start(home)
    return time.perf_counter() - began


def weigh(home: Path) -> dict[str, float]:
    """Return the megabytes of proportional memory of each part of a running stack, children included."""
    roots = gatehouse.read_pids(home)
    children = _read_children()
    weights = {}
    for name, root in roots.items():
        others = set(roots.values()) - {root}
        weights[name] = sum(_read_pss_mb(pid) for pid in _collect(root, children, others))
    return weights


def _read_children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    return children


def _collect(root: int, children: dict[int, list[int]], others: set[int]) -> list[int]:
    """Return a process and its descendants, but not the parts that are counted by themselves."""
    found = [root]
    for pid in children.get(root, []):
        if pid not in others:
            found += _collect(pid, children, others)
    return found


def _read_pss_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024

"""python -m benchmarks [p1] [p4] [p11] [--seconds N] [--rounds N] [--events N] [--json FILE]: measure, print, write."""

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.context import Context, Outcome, SkippedError
from benchmarks.workloads import p1, p4, p11

_WORKLOADS = {"p1": p1, "p4": p4, "p11": p11}
_RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> int:
    """Run the parts that were asked for; 1 when one of them is void."""
    options = _parse()
    failed = False
    numbers = {"machine": _describe_machine(), "workloads": {}}
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as folder:
        for name in options.parts or _WORKLOADS:
            context = Context(
                folder=Path(folder), seconds=options.seconds, rounds=options.rounds, events=options.events
            )
            try:
                outcome = _WORKLOADS[name].run(context)
            except (SkippedError, RuntimeError) as error:
                print(f"\n{name}: {error}")
                failed = failed or not isinstance(error, SkippedError)
                continue
            _print(outcome)
            numbers["workloads"][name] = outcome.numbers
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(numbers, indent=1) + "\n")
    return int(failed)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Gatehouse beside its peers.")
    parser.add_argument("parts", nargs="*", choices=[*_WORKLOADS, []], metavar="part", help="p1, p4, p11; default all")
    parser.add_argument("--seconds", type=float, default=3, help="length of one round of load (default 3)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds a door (default 5)")
    parser.add_argument("--events", type=int, default=200_000, help="events of P4 (default 200,000)")
    parser.add_argument("--json", type=Path, default=_RESULTS, help="where the numbers go")
    return parser.parse_args()


def _describe_machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": f"{platform.python_version()} {' '.join(platform.python_build())} {platform.python_compiler()}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _print(outcome: Outcome) -> None:
    """Print the table with columns as wide as they must be, then the notes."""
    rows = [outcome.columns, *outcome.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"\n{outcome.title}")
    for row in rows:
        first, *rest = (
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "  ".join((first, *rest)))
    for note in outcome.notes:
        print(f"  · {note}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

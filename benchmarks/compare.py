"""gpudl beside the peers that are installed: the same work, in turns, as ratios.

    python -m benchmarks.compare --workload mnist-cnn --images 12800 --rounds 7 --json cnn.json
    python -m benchmarks.compare --group convolutions --group layers
    python -m benchmarks.compare --threads 1

Every side lives in a process of its own, so that thread pools do not meet. In each round every side does the work,
one side after the other; before the first round each does it once unmeasured, which compiles and records. Machines
are shared and noisy: the ratio of the medians over the rounds is what counts.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from benchmarks.children import PEERS, SIDES, Child, answers, digits_file, hold_to, usable
from benchmarks.workloads import GROUPS, WORKLOADS, Settings, Work, Workload, chosen
from benchmarks.workloads.base import UNITS

REST = 0.05  # seconds in which the thread pool of the last side goes to sleep
SUMMED = ("convolutions",)  # groups of which the sum is worth a line
Result = dict[str, Any]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.compare", description="gpudl beside its peers, in turns.")
    made.add_argument("--workload", action="append", default=[], choices=WORKLOADS, help="may be repeated; default all")
    made.add_argument("--group", action="append", default=[], choices=GROUPS, help="all workloads of a kind")
    made.add_argument("--images", type=int, default=12800, help="images in each training pass (default 12800)")
    made.add_argument("--batch-size", type=int, help="images a training step (default: the tutorial's)")
    made.add_argument("--width", type=int, default=1, help="times as many units and filters (default 1)")
    made.add_argument("--seconds", type=float, default=0.2, help="shortest turn of a side (default 0.2)")
    add_common(made)
    return made


def add_common(made: argparse.ArgumentParser) -> None:
    """Add what every comparison of sides takes."""
    made.add_argument("--rounds", type=int, default=7, help="measured turns of each side (default 7)")
    made.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="default: all that are installed")
    made.add_argument("--threads", type=int, help="threads, and cores, of every side (default: what each takes)")
    made.add_argument("--data", metavar="FILE", help="an mnist.npz to read instead of looking for one")
    made.add_argument("--json", metavar="FILE", help="write what was measured to this file")
    made.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)


def paced(work: Work, seconds: float) -> int:
    """Do the work unmeasured, which compiles and records; return how many calls fill a turn of `seconds`."""
    work.call()
    start = time.perf_counter()
    work.call()
    return max(1, math.ceil(seconds / (time.perf_counter() - start)))


def turn(work: Work, calls: int) -> dict[str, float]:
    """Return the seconds that one step took, as the mean over `calls` calls, and the check of the last."""
    start = time.perf_counter()
    for _ in range(calls):
        result = work.call()
    seconds = time.perf_counter() - start
    return {"seconds": seconds / calls / work.steps, "check": work.check(result)}


def serve(
    side: str, workloads: Mapping[str, Workload] = WORKLOADS, settings: Callable[..., Settings] = Settings
) -> None:
    """Answer each request on standard input: the first of a kind with the calls of a turn, others with a turn."""
    pipe = answers()
    current: Any = None
    work: Work | None = None
    calls = 0
    for line in sys.stdin:
        request = json.loads(line)
        if request == current:
            assert work is not None
            answer: Any = turn(work, calls)
        else:
            current, work = request, None  # what the last workload held is free before the next one begins
            work = workloads[request["workload"]].sides[side](settings(**request["settings"]))
            answer = calls = paced(work, request["seconds"])
        pipe.write(json.dumps(answer) + "\n")


def measure(
    workload: Workload, children: Mapping[str, Child], settings: Settings, *, rounds: int, seconds: float = 0.2
) -> Result:
    """Let the sides of a workload take turns; return the times, their medians and the ratios to the first side."""
    *_, last = measured(workload, children, settings, rounds=rounds, seconds=seconds)
    return last


def measured(
    workload: Workload, children: Mapping[str, Child], settings: Settings, *, rounds: int, seconds: float
) -> Iterator[Result]:
    """Let the sides take turns; yield after each round what `measure` returns, of the rounds so far."""
    request = {"workload": workload.name, "settings": asdict(settings), "seconds": seconds}
    sides = [side for side in workload.sides if side in children]
    for side in sides:
        children[side].ask(request)
    times: dict[str, list[float]] = {side: [] for side in sides}
    checks = {}
    for _ in range(rounds):
        for side in sides:
            time.sleep(REST)
            answer = children[side].ask(request)
            times[side].append(answer["seconds"])
            checks[side] = answer["check"]
        yield {"unit": workload.unit, "seconds": times, **ratios(times), "check": checks}


def ratios(times: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return the median of each side, and how many times as long as the first side (gpudl) each takes."""
    medians = {side: statistics.median(values) for side, values in times.items()}
    first = next(iter(medians.values()), None)
    return {"median_seconds": medians, "times_first": {side: m / first for side, m in medians.items() if first}}


def with_sums(results: Mapping[str, Result]) -> dict[str, Result]:
    """Return the results, and below the last of a group that adds up, their sum."""
    rows = dict(results)
    for group in SUMMED:
        members = [results[name]["median_seconds"] for name in GROUPS[group] if name in results]
        if len(members) > 1:
            sums = {side: [sum(medians[side] for medians in members)] for side in members[0]}
            rows[f"sum of {len(members)} {group}"] = {"unit": "us", **ratios(sums)}
    return rows


def table(results: Mapping[str, Result], title: str = "Median, and times the first side's") -> Any:
    """Return a rich table: a row for each workload, a column for each side."""
    from rich.table import Table

    sides = [side for side in SIDES if any(side in result["median_seconds"] for result in results.values())]
    made = Table("", "unit", title=title)
    for side in sides:
        made.add_column(side, justify="right", no_wrap=True)
    for name, result in results.items():
        made.add_row(name, result["unit"], *(_cell(result, side) for side in sides))
    return made


def _cell(result: Result, side: str) -> str:
    if side not in result["median_seconds"]:
        return ""
    value = result["median_seconds"][side] * UNITS[result["unit"]]
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}  {result['times_first'][side]:.2f}x"


def show(made: Any) -> None:
    """Print a table, in full width where the output is a file."""
    from rich.console import Console

    console = Console()
    (console if console.is_terminal else Console(width=160)).print(made)


def run(options: argparse.Namespace, each: Callable[[dict[str, Child], Settings], dict[str, Result]]) -> Result:
    """Start a child for each side that can run here, let `each` measure with them, and return the record."""
    from benchmarks.record import circumstances

    about = circumstances(*PEERS)
    with ExitStack() as stack:
        data = stack.enter_context(digits_file(options.data)) if options.reads_digits else None
        children = {
            side: stack.enter_context(Child("benchmarks.compare", side, threads=options.threads))
            for side in usable(options.sides)
        }
        results = each(children, Settings(data=data))
    return {**about, "threads": options.threads, "rounds": options.rounds, "workloads": results}


def main(arguments: Sequence[str] | None = None) -> Result:
    """Compare, print the table of ratios, and write the record."""
    from benchmarks.record import write

    options = parser().parse_args(arguments)
    if options.worker:
        hold_to(options.threads, options.worker)
        serve(options.worker)
        return {}
    workloads = chosen(options.workload, options.group)
    options.reads_digits = any(workload.reads_digits for workload in workloads)

    def each(children: dict[str, Child], settings: Settings) -> dict[str, Result]:
        settings = replace(settings, images=options.images, batch_size=options.batch_size, width=options.width)
        results = {}
        for workload in workloads:
            print(workload.name, flush=True, file=sys.stderr)
            results[workload.name] = measure(
                workload, children, settings, rounds=options.rounds, seconds=options.seconds
            )
        return results

    record = run(options, each)
    record |= {"images": options.images, "batch_size": options.batch_size, "width": options.width}
    show(table(with_sums(record["workloads"])))
    write(record, options.json)
    return record


if __name__ == "__main__":
    main()

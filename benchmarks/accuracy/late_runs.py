"""Accuracy of forecasts for runs in progress: error and coverage of the expected end, precision and lead time for late
runs.

``python -m benchmarks.accuracy.late_runs`` replays runs in order of their end, each at many moments with the information
available at that time: the recorded runs of examples/facts/demo.jsonl.gz, and simulated ones of four steps, one of
which is slow in one run out of seven. With BENCH_DATA=directory also ten recorded scenarios of its ``slowsteps``, for
which only the duration of whole requests is known, so that elapsed time is the only input.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from concertmaster.cli.analysis import analyzed
from concertmaster.cli.gather import from_file
from concertmaster.core.analysis.running.by_input import adjusted
from concertmaster.core.analysis.running.forecast import forecast_run
from concertmaster.core.analysis.running.timeline import Timeline, progress, timelines
from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution, WorkflowKey

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "late.json"
HISTORY = 20  # earlier runs before the first forecast
LOOKS = 40  # moments at which each run is forecast
AT = (0.1, 0.25, 0.5, 0.75, 0.9)  # share of the run at which errors are reported
ALLOWED = 1.2  # deadline of each run as a multiple of the median of earlier runs


@dataclass(slots=True)
class Tally:
    """Results for one set of runs."""

    errors: dict[float, list[float]] = field(default_factory=lambda: {share: [] for share in AT})
    inside: list[bool] = field(default_factory=list)
    late: int = 0
    caught: int = 0
    false: int = 0
    early: list[float] = field(default_factory=list)  # lead time before the deadline, as a share of the allowed time

    def report(self) -> dict[str, object]:
        """Figures to print."""
        called = self.caught + self.false
        return {
            "runs": len(self.errors[AT[0]]),
            "medianErrorOfEnd": {
                f"{share:.0%}": round(float(np.median(e)), 3) for share, e in self.errors.items() if e
            },
            "coverageOf90Percent": round(float(np.mean(self.inside)), 3) if self.inside else None,
            "lateRuns": self.late,
            "precision": round(self.caught / called, 3) if called else None,
            "recall": round(self.caught / self.late, 3) if self.late else None,
            "calledBeforeDeadline": round(float(np.mean([e > 0 for e in self.early])), 3) if self.early else None,
            "medianLeadOfAllowedTime": round(float(np.median(self.early)), 3) if self.early else None,
        }


def lines(result: dict[str, Any]) -> list[str]:
    """The section of RESULTS.md."""

    def percent(share: float | None) -> str:
        return "-" if share is None else f"{share:.0%}"

    rows = [
        f"| {name} ({r['runs']:,}) | {', '.join(percent(r['medianErrorOfEnd'][at]) for at in ('10%', '50%', '90%'))}"
        f" | {percent(r['coverageOf90Percent'])} | {percent(r['recall'])} of {r['lateRuns']} | {percent(r['precision'])}"
        f" | {percent(r['calledBeforeDeadline'])} | {percent(r['medianLeadOfAllowedTime'])} |"
        for name, r in result["sets"].items()
    ]
    return [
        "",
        "## Runs in progress: expected end, and runs called late (`make bench-late`)",
        "",
        f"Runs replayed as they went, each looked at {LOOKS} times with what was known then; the deadline is {ALLOWED:g}"
        f" times the median of the runs before ([method](../docs/methods/late.md)). Measured {result['date']}.",
        "",
        "| runs | error of the end, median at 10%, 50%, 90% of the run | ends inside the 90% interval | late runs called"
        " (recall) | calls that were right (precision) | called before the deadline | lead, median, of the allowed time |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def main() -> None:
    """Replay all sets, print the results, and write the result file."""
    figures: dict[str, Any] = {}
    facts = from_file(ROOT / "examples" / "facts" / "demo.jsonl.gz")
    tally = Tally()
    for workflow in analyzed(facts):
        replay(workflow.runs, tally)
    figures["recorded runs of the demo"] = tally.report()
    tally = Tally()
    for seed in range(4):
        replay(drawn(seed), tally)
    figures["drawn runs, one step slow in one of seven"] = tally.report()
    for title, reported in (("size known", True), ("size not known", False)):
        tally = Tally()
        for seed in range(4):
            runs = drawn(seed, varied=True)
            replay(runs if reported else [replace(r, input_size=None) for r in runs], tally)
        figures[f"the same with inputs of 0.3 to 3 times the median, {title}"] = tally.report()
    if data := os.environ.get("BENCH_DATA"):
        tally = Tally()
        for file in sorted((Path(data) / "slowsteps" / "dev").glob("*.csv.gz"))[::4]:
            replay(list(requests(file))[:120], tally)
        figures["recorded requests without steps"] = tally.report()
    result = {"date": datetime.now(UTC).date().isoformat(), "sets": figures}
    print("\n".join(lines(result)))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


def replay(runs: Sequence[RunRecord], tally: Tally) -> None:
    """Replay every run after the first ones."""
    ended = sorted((r for r in runs if r.outcome is Outcome.SUCCEEDED and r.makespan), key=lambda r: r.end or 0.0)
    known = timelines(ended[:HISTORY])
    for position in range(HISTORY, len(ended)):
        known = timelines(ended[max(0, position - 60) : position])
        one(ended[position], known, tally)


def one(run: RunRecord, known: Sequence[Timeline], tally: Tally) -> None:
    """Forecast one run at many moments."""
    start, seconds = run.start or 0.0, run.makespan or 0.0
    allowed = ALLOWED * float(np.median([c.seconds for c in known]))
    called: float | None = None
    for look in range(1, LOOKS):
        now = start + seconds * look / LOOKS
        at = progress(seen(run, now), now)
        found = forecast_run(at, adjusted(at, known, None), allowed) if at is not None else None
        if found is None:
            continue
        if (share := look / LOOKS) in AT:
            tally.errors[share].append(abs(found.end - (start + seconds)) / seconds)
            tally.inside.append(found.low <= start + seconds <= found.high)
        if found.late and called is None:
            called = now - start
    late = seconds > allowed
    tally.late += late
    if called is not None and late:
        tally.caught += 1
        tally.early.append((allowed - called) / allowed)
    tally.false += called is not None and not late


def seen(run: RunRecord, now: float) -> RunRecord:
    """The run as known at ``now`` (unix seconds)."""
    steps = []
    for e in run.steps:
        began = next((t for t in (e.created, e.scheduled, e.started) if t is not None), None)
        if began is None or began > now:
            continue
        over = e.finished is not None and e.finished <= now
        steps.append(e if over else replace(e, finished=None, outcome=Outcome.RUNNING))
    return replace(run, end=None, outcome=Outcome.RUNNING, steps=tuple(steps))


def drawn(seed: int, count: int = 140, *, varied: bool = False) -> list[RunRecord]:
    """Simulated runs of load, then clean and train in parallel, then publish. In every seventh run one step takes 1.5
    to 3 times as long. ``varied``: input sizes differ; load and clean scale linearly with them, train with their square
    root."""
    chance = random.Random(seed)
    key = WorkflowKey("bench", "WorkflowTemplate", f"drawn-{seed}")
    mean = {"load": 120.0, "clean": 300.0, "train": 900.0, "publish": 60.0}
    runs = []
    for number in range(count):
        at = number * 3600.0
        slow = chance.choice(list(mean)) if chance.random() < 1 / 7 else ""
        size = chance.lognormvariate(0.0, 0.6) if varied else 1.0
        grows = {"load": size, "clean": size, "train": size**0.5, "publish": 1.0}
        spent = {
            s: m * grows[s] * chance.lognormvariate(0.0, 0.08) * (chance.uniform(1.5, 3.0) if s == slow else 1.0)
            for s, m in mean.items()
        }
        wait = [chance.uniform(2.0, 15.0) for _ in range(3)]
        fork = at + spent["load"] + wait[0]
        join = fork + wait[1] + max(spent["clean"], spent["train"])
        begin = {"load": at, "clean": fork, "train": fork, "publish": join + wait[2]}
        steps = tuple(
            StepExecution(s, pod=s, created=t, started=t, finished=t + spent[s], outcome=Outcome.SUCCEEDED)
            for s, t in begin.items()
        )
        end = begin["publish"] + spent["publish"]
        record = RunRecord(key, f"r{number}", at, end, Outcome.SUCCEEDED, Source.LIVE, steps)
        runs.append(replace(record, input_size=1e9 * size) if varied else record)
    return runs


def requests(file: Path) -> Iterator[RunRecord]:
    """Recorded requests as runs without steps, one hour apart."""
    key = WorkflowKey("bench", "Job", file.stem)
    with gzip.open(file, "rt") as lines:
        for number, row in enumerate(csv.DictReader(lines)):
            at, seconds = number * 3600.0, float(row["total_ms"])
            yield RunRecord(key, f"r{number}", at, at + seconds, Outcome.SUCCEEDED, Source.LIVE, ())


if __name__ == "__main__":
    main()

"""Do promises hold? Of the intervals that recommendations print, how many hold what came; of the sizes, how many fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nested import cases
from benchmarks.replay_adapters import as_work
from concertmaster.core.analysis.replay.forecast import forecast
from concertmaster.core.analysis.replay.overhead import predict, shape
from concertmaster.core.sizing import memory_request
from concertmaster.core.stats.comparison import compare

# Standard errors that a 90% interval of a share reaches to either side.
LIKELY = 1.645


@dataclass(frozen=True, slots=True)
class Promise:
    """``kept``: share of the ``cases`` that hold, in percent; ``worst``: the family with the lowest share, and its share."""

    rule: str
    what: str
    promised: str
    families: int
    cases: int
    kept: float
    worst: str
    worst_kept: float


def promises(data: Path) -> list[dict[str, Any]]:
    """Every promise that the public sets can test."""
    return [asdict(promise) for promise in (*_intervals(data), *_sizes(data))]


def _promise(rule: str, what: str, promised: str, kept: Mapping[str, Sequence[float]]) -> Promise:
    shares = {family: 100.0 * float(np.mean(of_family)) for family, of_family in kept.items() if len(of_family)}
    worst = min(shares, key=lambda family: shares[family])
    count = sum(len(of_family) for of_family in kept.values())
    mean = float(np.mean([float(v) for of_family in kept.values() for v in of_family])) * 100.0
    return Promise(rule, what, promised, len(shares), count, mean, worst, shares[worst])


def _intervals(data: Path) -> Iterator[Promise]:
    works = [as_work(run) for run in cases.scorer(data, "wfreplay").load("dev")]
    shapes = [shape(work) for work in works]
    replayed: dict[str, list[float]] = {}
    foreseen: dict[str, list[float]] = {}
    for i, work in enumerate(works):
        for found, into in (
            (predict(shapes[i], shapes[:i] + shapes[i + 1 :]), replayed),
            (forecast(work, works[:i] + works[i + 1 :]), foreseen),
        ):
            if found.seconds is not None:
                held = found.seconds.low <= work.makespan <= found.seconds.high
                into.setdefault(work.workflow, []).append(float(held))
    yield _promise("what-ifs", "makespan of a run, task durations known", "90% interval", replayed)
    yield _promise("demand-forecast", "makespan of a run to come", "90% interval", foreseen)
    changed: dict[str, list[float]] = {}
    for case in cases.scorer(data, "verify").load("dev"):
        before, after = np.array(case["before"]), np.array(case["after"])
        result = compare(before[:, 1], after[:, 1], inputs_before=before[:, 0], inputs_after=after[:, 0], level=0.10)
        held = result.low <= case["factor"] <= result.high
        changed.setdefault(case["source"].split("/")[0], []).append(float(held))
    yield _promise("measured gain", "factor by which a change alters run time", "90% interval", changed)


def _sizes(data: Path) -> Iterator[Promise]:
    steps = {**cases.pods(data), **cases.machines(data), **cases.simulated()}
    for what, shuffled, long in (
        ("runs after the ones seen, in any order", True, False),
        ("the same, steps of an hour and more", True, True),
        ("inputs grow: small ones end first", False, False),
    ):
        kept: dict[str, list[float]] = {}
        for family, of_family in steps.items():
            for step in of_family:
                if long and np.mean(step.seconds) < 3600.0:
                    continue
                known, ahead = cases.split(step, shuffled=shuffled)
                size = memory_request(step.peaks[known], step.seconds[known], current_request=step.preset)
                given = size.quantity or step.preset
                kept.setdefault(family, []).extend((step.peaks[ahead] <= given).astype(float).tolist())
        yield _promise("right-size (memory)", what, "99% of runs" if not long else "99.5% of runs", kept)


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The section, one row for each promise."""
    out = [
        "",
        "## Promises kept",
        "",
        "Each run, change or execution is left out of what its promise rests on. For simulated workflows and real parts, see"
        " the campaigns below.",
        "",
        "| rule | what | promised | families | cases | kept | worst family |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        off = 100.0 * LIKELY * (row["kept"] / 100.0 * (1.0 - row["kept"] / 100.0) / row["cases"]) ** 0.5
        out.append(
            f"| {row['rule']} | {row['what']} | {row['promised']} | {row['families']} | {row['cases']:,}"
            f" | {row['kept']:.1f}% +- {off:.1f} | {row['worst']} {row['worst_kept']:.1f}% |"
        )
    return out

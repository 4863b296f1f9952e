"""Calibration: how many of the intervals in recommendations contain the later value, and how many of the sizes fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.replay_adapters import as_work
from benchmarks.accuracy.sizing_laws import FAMILIES, simulate
from benchmarks.nested import cases
from benchmarks.nested.sizing import requests
from concertmaster.core.analysis.replay.forecast import forecast
from concertmaster.core.analysis.replay.overhead import predict, shape
from concertmaster.core.changepoint import detect
from concertmaster.core.stats.comparison import compare
from concertmaster.core.stats.means import mean_with_interval
from concertmaster.core.units import HOUR

# z value of a 90% interval: standard errors to either side of a share.
LIKELY = 1.645
# Runs that a predicted saving is based on; at least AHEAD times as many must follow, otherwise their mean is too
# uncertain.
FEW, AHEAD, DRAWS = (5, 10, 20), 8, 6
# Mean duration in seconds from which the bound on failures is half of the usual one, and the share of runs it leaves.
LONG = 4 * HOUR, 99.5
# Simulated steps of each law: the worst of eight laws with eight steps each is what chance makes of them.
OF_LAW = 400
# Maximum distance in runs between a change and its detection.
MARGIN = 5


@dataclass(frozen=True, slots=True)
class Promise:
    """``level``: predicted share, ``kept``: share of the ``cases`` that hold, both in percent; ``off``: from there to the
    ends of its 90% interval, in points; ``worst``: the family with the lowest share, and its share."""

    rule: str
    what: str
    promised: str
    level: float
    families: int
    cases: int
    kept: float
    off: float
    worst: str
    worst_kept: float


def promises(data: Path) -> list[dict[str, Any]]:
    """All predictions that the public sets can test."""
    return [asdict(promise) for promise in (*_intervals(data), *_changes(data), _savings(data), *_sizes(data))]


def promise(
    rule: str, what: str, level: float, kept: Mapping[str, Sequence[Sequence[float]]], unit: str = "interval"
) -> Promise:
    """The share of the cases that hold (``kept``, 1 each, else 0), and the family with the lowest share.

    Each family has its cases by step, or by what else they have in common: a step whose peaks were misjudged fails in many
    runs, so that steps and not runs are what the error of the share depends on (the ratio estimator of cluster samples,
    Cochran 1977).
    """
    shares = {family: 100.0 * float(np.mean(np.concatenate(steps))) for family, steps in kept.items() if steps}
    worst = min(shares, key=lambda family: shares[family])
    steps = [np.asarray(step, dtype=np.float64) for of_family in kept.values() for step in of_family]
    count = sum(step.size for step in steps)
    share = float(np.concatenate(steps).mean())
    apart = np.array([step.sum() - share * step.size for step in steps])
    off = LIKELY * float(np.sqrt(apart @ apart * len(steps) / max(1, len(steps) - 1))) / count
    promised = f"{level:g}% {unit}"
    return Promise(rule, what, promised, level, len(shares), count, 100.0 * share, 100.0 * off, worst, shares[worst])


def _intervals(data: Path) -> Iterator[Promise]:
    works = [as_work(run) for run in cases.scorer(data, "wfreplay").load("dev")]
    shapes = [shape(work) for work in works]
    replayed: dict[str, list[list[float]]] = {}
    foreseen: dict[str, list[list[float]]] = {}
    for i, work in enumerate(works):
        for found, into in (
            (predict(shapes[i], shapes[:i] + shapes[i + 1 :]), replayed),
            (forecast(work, works[:i] + works[i + 1 :]), foreseen),
        ):
            if found is not None:
                held = found.low <= work.makespan <= found.high
                into.setdefault(work.workflow, []).append([float(held)])
    yield promise("what-ifs", "makespan of a run, task durations known", 90.0, replayed)
    yield promise("demand-forecast", "makespan of a run to come", 90.0, foreseen)
    changed: dict[str, list[list[float]]] = {}
    for case in cases.scorer(data, "verify").load("dev"):
        before, after = np.array(case["before"]), np.array(case["after"])
        result = compare(before[:, 1], after[:, 1], inputs_before=before[:, 0], inputs_after=after[:, 0], level=0.10)
        held = result.low <= case["factor"] <= result.high
        changed.setdefault(case["source"].split("/")[0], []).append([float(held)])
    yield promise("measured gain", "factor by which a change alters run time", 90.0, changed)


def _changes(data: Path) -> Iterator[Promise]:
    """Share of the detected changes whose interval contains the injected factor."""
    kept: dict[str, list[list[float]]] = {}
    for series in cases.scorer(data, "stepshift").load("dev"):
        if series["kind"] != "step":
            continue
        for point in detect(None, series["values"]).points:
            if abs(point.index - series["truth"][0]) <= MARGIN:
                held = point.low <= series["factor"][0] <= point.high
                kept.setdefault(series["source"].split("/")[0], []).append([float(held)])
    yield promise("degradation", "factor of a change of level that was found", 95.0, kept)


def _savings(data: Path) -> Promise:
    """Mean reserved time of later runs, predicted from a few runs: the basis of a monthly saving."""
    steps = {**cases.pods(data), **cases.machines(data)}
    seconds = {family: [step.seconds for step in of_family] for family, of_family in steps.items()}
    for number, law in enumerate(FAMILIES):
        for k in range(OF_LAW):
            rng = np.random.default_rng(7000 + OF_LAW * number + k)
            seconds.setdefault(f"law {law}", []).append(simulate(law, 400, rng).seconds)
    rng = np.random.default_rng(11)
    kept: dict[str, list[list[float]]] = {}
    for family, of_family in seconds.items():
        for held in of_family:
            of_step = []
            for few in FEW:
                for _ in range(DRAWS if held.size >= few * (1 + AHEAD) else 0):
                    order = rng.permutation(held.size)
                    found = mean_with_interval(held[order[:few]].tolist())
                    ahead = float(held[order[few:]].mean())
                    if found is not None and found.low < found.high:
                        of_step.append(float(found.low <= ahead <= found.high))
            if of_step:
                kept.setdefault(family, []).append(of_step)
    return promise("savings", f"mean reserved time of the runs to come, from {FEW[0]} to {FEW[-1]} runs", 90.0, kept)


def _sizes(data: Path) -> Iterator[Promise]:
    steps = {**cases.pods(data), **cases.machines(data), **cases.simulated(OF_LAW)}
    for what, shuffled, long, by_input in (
        ("runs after the ones seen, in any order", True, False, False),
        ("the same, steps of four hours and more", True, True, False),
        ("the same, by input where that pays", True, False, True),
        ("inputs grow: small ones end first", False, False, False),
    ):
        kept: dict[str, list[list[float]]] = {}
        for family, of_family in steps.items():
            for step in of_family:
                if long and np.mean(step.seconds) < LONG[0]:
                    continue  # below that the bound is between the two
                known, ahead = cases.split(step, shuffled=shuffled)
                given = requests(step, known, ahead, by_input=by_input)
                kept.setdefault(family, []).append((step.peaks[ahead] <= given).astype(float).tolist())
        yield promise("right-size (memory)", what, LONG[1] if long else 99.0, kept, "of runs")


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The section of RESULTS.md, one row per prediction."""
    return [
        "",
        "## Promises kept",
        "",
        "Each run, change or execution is left out of what its promise rests on. For simulated workflows and real parts, see"
        " the campaigns below.",
        "",
        "![Promised and kept shares by rule](results/calibration.svg)",
        "",
        "| rule | what | promised | families | cases | kept | worst family |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {row['rule']} | {row['what']} | {row['promised']} | {row['families']} | {row['cases']:,}"
            f" | {row['kept']:.1f}% +- {row['off']:.1f} | {row['worst']} {row['worst_kept']:.1f}% |"
            for row in rows
        ),
    ]

"""A series as the seconds of a step of a workflow, sent through the whole analysis: is a degradation published?"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.advice.manifests import read
from benchmarks.healthy.law import Flow, Run, Step, in_sequence
from benchmarks.healthy.manifests import manifest
from benchmarks.healthy.simulation import simulate
from benchmarks.series.effects import end, nothing, step, stretch
from benchmarks.series.law import DAY, HOUR, Law, Rows, generator
from benchmarks.series.tally import Key, Tally
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import analyze_workflow

WINDOW = 14 * DAY
ONE_IN = 2  # of the seeds
MOST = 120  # runs
RULE = "degradation"
_USUAL = 300.0  # seconds of the step: what seconds add up to is not published
_OTHERS = 0.15  # of the usual seconds of the step: what each of the others takes
_EFFECTS = {"flow quiet": nothing, "flow step": step, "flow returned": stretch, "flow end": end}


def judge(law: Law, seed: int) -> Tally:
    """Two weeks of runs whose step follows the law, as it is, with a step, and with a stretch that has returned."""
    tally = Tally()
    if not law.flow or seed % ONE_IN:
        return tally
    for part, (name, effect) in enumerate(_EFFECTS.items()):
        rng = generator(law.name, seed, 40_000 + part)
        n = _runs(law)
        planted = effect(rng, n, law.factor)
        runs, values = law.series(rng, planted.level, planted.later)
        found = _published(runs.times, values, (part, seed))
        due = bool(planted.at) and planted.up and name in ("flow step", "flow end")
        if name in ("flow quiet", "flow returned") or due:
            tally.add(Key(law.name, name, str(n)), found)
        else:  # it became faster
            tally.add(Key(law.name, "flow faster", str(n)), found)
    return tally


def _runs(law: Law) -> int:
    """As many as two weeks have, or the newest of them."""
    times = law.starts(np.random.default_rng(1), MOST)
    return int(np.searchsorted(times, times[0] + WINDOW - HOUR))


def _published(times: Rows, values: Rows, seeds: tuple[int, int]) -> bool:
    """Whether a degradation is among the recommendations."""
    seconds = values * _USUAL / float(np.median(values))
    flow = Flow(
        "series",
        in_sequence(
            Step("prepare", _OTHERS * _USUAL, spread=0.05, wait=_at_once, pull=_at_once),
            Step("work", 1.0, scales=1.0, wait=_at_once, pull=_at_once),
            Step("store", _OTHERS * _USUAL, spread=0.05, wait=_at_once, pull=_at_once),
        ),
        starts=lambda _, __: times.tolist(),
        prepare=partial(_set, seconds),
    )
    known = read(manifest(flow), (each.name for each in flow.steps))
    now = float(times[-1]) + 2.0 * HOUR
    runs = simulate(flow, known.definition, known.names, (seeds[0], seeds[1]), now)
    result = analyze_workflow(known.definition, runs, Policy(), profile=flow.name, now=now)
    return any(item.rule == RULE for item in result.recommendations)


def _at_once(_: Run) -> float:
    """No wait: run times are what the law says."""
    return 0.0


def _set(seconds: Rows, run: Run) -> None:
    """The step of this run takes what the law says."""
    run.load = float(seconds[run.number])

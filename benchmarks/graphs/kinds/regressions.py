"""Steps that became slower within the window, and what must not be taken for it."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.graphs.law import Change, Flow
from benchmarks.graphs.plant import MINUTES, Kind, Plant, changed, placed
from benchmarks.graphs.shapes import any_of, chain, fan, flow, two_paths

LEAST_SHARE = 1.0 - 1.0 / 1.1
"""Of the makespan: a regression is reported from 10% on (``minIncreasePercent``)."""


def _slower(flow: Flow, step: str, change: Change, *rules: str) -> Plant:
    bad = flow.having(step, change=change)
    note = f"{step} x {change.factor:.2f} since {change.since:.1f} d"
    answers = rules or ("degradation",)
    return Plant(bad, flow, answers, step, MINUTES, shown=changed(step), least_share=LEAST_SHARE, note=note)


def _change(rng: Rng) -> Change:
    return Change(since=float(rng.uniform(1.5, 11)), factor=float(rng.uniform(1.3, 2.5)))


def regressed(rng: Rng, name: str) -> Plant | None:
    """A step that matters for the makespan takes 1.3 to 2.5 times as long since some day. The fix is what it was before."""
    drawn = flow(rng, name, any_of(rng))
    step = placed(rng, drawn, 0.08)
    return None if step is None else _slower(drawn, step, _change(rng))


def regressed_aside(rng: Rng, name: str) -> Plant | None:
    """The same of a step that hardly matters: often too small to be published, and never to be overstated."""
    drawn = flow(rng, name, any_of(rng))
    step = placed(rng, drawn, 0.0, 0.08)
    return None if step is None else _slower(drawn, step, _change(rng))


def regressed_and_fixed(rng: Rng, name: str) -> Plant | None:
    """A step was slower for some days and is again what it was: nothing is to be recommended."""
    drawn = flow(rng, name, any_of(rng))
    step = placed(rng, drawn, 0.08)
    if step is None:
        return None
    change = Change(float(rng.uniform(6, 11)), float(rng.uniform(1.5, 4)), factor=float(rng.uniform(1.3, 2.5)))
    return Plant(drawn.having(step, change=change), drawn, (), None, "")


def regressed_items(rng: Rng, name: str) -> Plant:
    """The first two items of a fan-out take longer since some day. The fix is what they were before; that two items are
    slower than the others is a right answer too."""
    drawn = flow(rng, name, fan(rng, int(rng.choice([5, 12, 30]))))
    change = Change(float(rng.uniform(2, 10)), factor=float(rng.uniform(1.5, 3)), first_items=2)
    return _slower(drawn, "work", change, "degradation", "straggler")


def regressed_large(rng: Rng, name: str) -> Plant | None:
    """Runs with large inputs take longer since some day. The fix is what they were before; that the step varies is a right
    answer too."""
    drawn = flow(rng, name, any_of(rng, (chain, fan, two_paths)))
    drawn = replace(drawn, input_spread=0.4)
    step = placed(rng, drawn, 0.1)
    if step is None:
        return None
    change = Change(float(rng.uniform(2, 10)), factor=float(rng.uniform(1.7, 3)), above=1.3)
    return _slower(drawn, step, change, "degradation", "variance")


KINDS: tuple[Kind, ...] = (regressed, regressed_aside, regressed_and_fixed, regressed_items, regressed_large)

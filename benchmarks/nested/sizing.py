"""Sizes of the steps of one family, and what they waste."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.accuracy.sizing_adapters import in_template
from benchmarks.nested import cases
from benchmarks.nested.cases import Places
from benchmarks.nested.choose import Rows
from concertmaster.core.sizing import cpu_request, memory_request, waste
from concertmaster.core.sizing.memory import MIN_RUNS as FEWEST_ENDED

KRR_MARGIN, KRR_LEAST = 1.15, 1e8
BYTE_SECONDS = 1e9 * 3600.0


def requests(step: cases.Step, known: Places, ahead: Places, *, by_input: bool) -> Rows:
    """Memory requests (bytes) of the runs ``ahead`` from those ``known``: one for all, or ``by_input`` where that pays."""
    size = memory_request(
        step.peaks[known],
        step.seconds[known],
        inputs=step.inputs[known],
        current_request=step.preset,
        bound=waste.FAILURE_BOUND,
    )
    if by_input and size is not None and size.model is not None:
        return np.array([size.model.request(float(x)) for x in step.inputs[ahead]])
    return np.full(ahead.size, step.preset if size is None else in_template(size))


def sized(*, shuffled: bool, by_input: bool = False) -> Callable[[Sequence[cases.Step]], Rows]:
    def score(steps: Sequence[cases.Step]) -> Rows:
        rows = []
        for step in steps:
            known, ahead = cases.split(step, shuffled=shuffled)
            rows.append(_charged(step, known, ahead, requests(step, known, ahead, by_input=by_input)))
        return np.array(rows)

    return score


def cold_start(steps: Sequence[cases.Step]) -> Rows:
    """Each run that is submitted after FEWEST_ENDED have ended, sized from all that have ended by then, by input where that
    pays."""
    rows = []
    for step in steps:
        earlier = np.arange(step.peaks.size)
        known = np.minimum(np.searchsorted(step.ended, step.submitted, side="right"), earlier)
        parts = [
            (np.arange(count), np.flatnonzero(known == count)) for count in np.unique(known) if count >= FEWEST_ENDED
        ]
        if parts:
            rows.append(np.sum([_charged(step, *part, requests(step, *part, by_input=True)) for part in parts], axis=0))
    return np.array(rows).reshape(-1, 4)


def _charged(step: cases.Step, known: Places, ahead: Places, given: Rows) -> list[float]:
    """GBh wasted, failed attempts, executions, and the waste in GBh of the largest peak plus 15%; retries double."""
    krr = np.full(ahead.size, max(KRR_LEAST, KRR_MARGIN * float(step.peaks[known].max())))
    wasted, failed = _wasted(step, ahead, given)
    return [wasted, failed, float(ahead.size), _wasted(step, ahead, krr)[0]]


def _wasted(step: cases.Step, ahead: Places, given: Rows) -> tuple[float, float]:
    peaks, seconds = step.peaks[ahead], step.seconds[ahead]
    kills = np.maximum(0.0, np.ceil(np.log2(peaks / given) - 1e-12))
    bytes_ = given * (2.0**kills - 1.0) + given * 2.0**kills - peaks
    return float(bytes_ @ seconds) / BYTE_SECONDS, float(kills.sum())


def waste_share(families: Sequence[Rows]) -> float:
    shares = [max(rows[:, 0].sum(), 1e-9) / max(rows[:, 3].sum(), 1e-9) for rows in families]
    return float(np.exp(np.mean(np.log(shares))))


def failed(families: Sequence[Rows]) -> float:
    return float(np.mean([100.0 * rows[:, 1].sum() / rows[:, 2].sum() for rows in families]))


def sized_cpu(steps: Sequence[cases.Step]) -> Rows:
    """Unused core-hours, used core-hours, added hours, hours, and added hours with the largest observed usage as
    request."""
    rows = []
    for step in steps:
        good = np.isfinite(step.cores) & (step.seconds > 0.0)
        known, ahead = cases.split(step, shuffled=False)
        known, ahead = known[good[known]], ahead[good[ahead]]
        if not known.size or not ahead.size:
            continue
        found = cpu_request(step.cores[known], step.seconds[known])
        cores, hours = step.cores[ahead], step.seconds[ahead] / 3600.0
        given = max(min(found.request if found is not None else math.inf, step.preset_cores), 0.01)
        largest = max(float(step.cores[known].max()), 0.01)
        longer, with_largest = (
            0.0 if size >= step.preset_cores else float(np.maximum(cores / size - 1.0, 0.0) @ hours)
            for size in (given, largest)
        )
        unused = float(np.maximum(given - cores, 0.0) @ hours)
        rows.append([unused, float(cores @ hours), longer, float(hours.sum()), with_largest])
    return np.array(rows)


def unused(families: Sequence[Rows]) -> float:
    return float(np.exp(np.mean([np.log(max(rows[:, 0].sum(), 1e-9) / rows[:, 1].sum()) for rows in families])))


def longer(families: Sequence[Rows]) -> float:
    every = np.concatenate(families)
    return float(100.0 * every[:, 2].sum() / every[:, 3].sum())


def longer_than_largest(families: Sequence[Rows]) -> float:
    ours, with_largest = (np.mean([rows[:, k].sum() / rows[:, 3].sum() for rows in families]) for k in (2, 4))
    return float(100.0 * ours / max(with_largest, 1e-9))

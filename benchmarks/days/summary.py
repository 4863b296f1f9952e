"""Figures by family and by group of families, and those of constants that are chosen on the other families."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.days.levels import FAMILIES, GROUPS, Rows
from benchmarks.days.score import BOUND, Judged
from benchmarks.nested.choose import DRAWS, SEED, Figure, nested
from benchmarks.nested.measures import Variant
from concertmaster.core.sizing import growth_by_day

VARIANTS: dict[str, Variant] = {
    "shipped": {},
    **{f"growth by day for {h:g} histories": {(growth_by_day, "HORIZON"): h} for h in (1.0, 2.0)},
    **{f"one step from {share:g}": {(growth_by_day, "ONE_STEP"): share} for share in (0.0, 0.5)},
}
_BAD = 2.0 * BOUND  # share of later runs above a size, from which on chance does not explain it

ByVariant = Mapping[str, Judged]


def summarize(cases: Mapping[str, Sequence[ByVariant]], seeds: int) -> dict[str, Any]:
    """The content of the result file. ``cases``: by family, what became of each by variant."""
    shipped = {family: [case["shipped"] for case in of_family] for family, of_family in cases.items()}
    known = [family for family in FAMILIES if family.name in cases]
    groups = [(group, [family.name for family in known if family.group == group]) for group in GROUPS]
    scores = {
        variant: {family: rows([case[variant] for case in of_family]) for family, of_family in cases.items()}
        for variant in VARIANTS
    }
    figure = Figure("size / least that keeps the promise @ later runs above the size, %", _to_best, _above, 100 * BOUND)
    return {
        "seeds": seeds,
        "families": [_row(f.name, f.what, [shipped[f.name]]) for f in known],
        "groups": [
            *(_row(group, f"{len(names)} families", [shipped[name] for name in names]) for group, names in groups if names),
            _row("all", f"{len(known)} families", list(shipped.values())),
        ],
        "nested": asdict(nested("memory by day", scores, figure)),
    }  # fmt: skip


def rows(judged: Iterable[Judged]) -> Rows:
    """Log of the size over the least that keeps the promise, and the share of later runs above it; shape (cases, 2)."""
    return np.array([[np.log(j.to_best), j.above] for j in judged])


def _to_best(families: Sequence[Rows]) -> float:
    return float(np.exp(np.mean([of[:, 0].mean() for of in families])))


def _above(families: Sequence[Rows]) -> float:
    return float(100.0 * np.mean([of[:, 1].mean() for of in families]))


def _row(name: str, what: str, families: Sequence[Sequence[Judged]]) -> dict[str, Any]:
    """Means over all cases, in which a request that is not lowered counts as it is; intervals over families, or of one
    family over its cases."""
    every = [j for of in families for j in of]
    under = sum(j.promised for j in every)
    drawn = families if len(families) > 1 else [[j] for j in every]
    cpu = [j for j in every if j.longer is not None and j.cores is not None]
    return {
        "name": name,
        "what": what,
        "cases": len(every),
        "lowered": 100.0 * _mean(j.lowered for j in every),
        "above": 100.0 * _mean(j.above for j in every),
        "interval": [100.0 * end for end in _interval(drawn, lambda j: j.above)],
        "peer": 100.0 * _mean(j.peer for j in every),
        "promised": 100.0 * under / max(1e-9, sum(j.lowered for j in every)),
        "broken": 100.0 * sum(j.promised * j.broken for j in every) / max(1e-9, under),
        "bad": 100.0 * _mean(j.promised * j.broken > _BAD for j in every),
        "to_largest": _geometric(j.to_largest for j in every if j.lowered),
        "to_best": _geometric(j.to_best for j in every if j.lowered),
        "peer_to_best": _geometric(j.peer_to_best for j in every if j.lowered),
        "longer": 100.0 * _mean(j.longer or 0.0 for j in cpu),
        "cores": _geometric(j.cores or 1.0 for j in cpu),
    }


def _interval(groups: Sequence[Sequence[Judged]], of: Callable[[Judged], float]) -> tuple[float, float]:
    """90% interval of the mean over groups, by resampling them."""
    means = np.array([_mean(of(j) for j in group) for group in groups])
    at = np.random.default_rng(SEED).integers(means.size, size=(DRAWS, means.size))
    low, high = np.quantile(means[at].mean(axis=1), (0.05, 0.95))
    return float(low), float(high)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else 0.0


def _geometric(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.exp(np.mean(np.log(found)))) if found else 1.0

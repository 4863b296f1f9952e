"""What degraded runs are found among runs of three steps, of which one follows the law and has a problem in some runs."""

from __future__ import annotations

import numpy as np

from benchmarks.series.law import Law, generator, log_normal
from benchmarks.series.tally import Key, Tally
from concertmaster.core.analysis.degraded_runs import find_degraded

LENGTHS = (30, 100, 300)
SHARE = 0.1  # of the runs have the problem
_STEPS = ("prepare", "work", "store")
_ASIDE = 0.2  # of the usual seconds of the step: what each of the others takes


def judge(law: Law, seed: int) -> Tally:
    """Runs without a problem, and with one that is as large as twice the planted change on logarithms."""
    tally = Tally()
    if not law.scales:
        return tally
    for n in LENGTHS:
        rng = generator(law.name, seed, 30_000 + n)
        bad = np.zeros(n, dtype=np.bool_)
        bad[rng.choice(n, max(3, round(SHARE * n)), replace=False)] = True
        for planted in (False, True):
            if not planted and law.slow_runs:
                continue  # its slow runs are a problem
            level = np.where(bad & planted, law.factor**2, 1.0)
            _, values = law.series(rng, level, np.arange(n) >= n)
            usual = float(np.nanmedian(values))
            others = _ASIDE * usual * log_normal(rng, 2 * n, 0.1).reshape(n, 2)
            table = np.column_stack([others[:, 0], values, others[:, 1]])
            found = np.zeros(n, dtype=np.bool_)
            for problem in find_degraded(_STEPS, table, table.sum(axis=1)):
                found[list(problem.runs)] = True
            if not planted:
                tally.add(Key(law.name, "problems", str(n)), bool(found.any()))
                continue
            for hit in found[bad]:
                tally.add(Key(law.name, "problem found", str(n)), bool(hit))
            for right in bad[found] if not law.slow_runs else ():
                tally.add(Key(law.name, "problem right", str(n)), bool(right))
    return tally

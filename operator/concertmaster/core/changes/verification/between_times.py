"""How much runs differ between times at which nobody changed anything: those of a day share its inputs, nodes and load.

The runs before a change, split where no change was made, show it (placebo tests in time; Abadie, Diamond, Hainmueller,
American Journal of Political Science 59, 2015). How far as many runs in a row as after the change are from as many before
them as it is compared with varies by what independent runs would show, and by what those of a time have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.changes.verification.power import unexplained
from concertmaster.core.stats.comparison import MIN_RUNS
from concertmaster.core.stats.quantiles import Z90, student_quantile

_MIN_STRETCH = 2  # runs
_MIN_PLACES = 3.0  # stretches as long as that after the change, at the least


@dataclass(frozen=True, slots=True)
class BetweenTimes:
    """``logs``: logarithms of the amounts of runs before a change in order of start, at equal input size; shape (n,)."""

    logs: Floats

    @classmethod
    def of(cls, levels: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Self:
        """Of positive amounts of runs and the sizes of their inputs, in order of start; by level, whose differences do not
        count, nor does one of fewer runs than show a spread."""
        return cls(
            np.concatenate([unexplained(*level) for level in levels if len(level[0]) >= MIN_RUNS] or [np.zeros(0)])
        )

    def error(self, before: int, after: int) -> float:
        """Standard error of the mean log of so many runs ``after`` a change less that of so many ``before`` it, beyond that
        of independent ones; 0 where these runs differ no more than chance explains."""
        if not (before and after and self.logs.size):
            return 0.0
        compared = min(before, self.logs.size // 2)
        later = min(after, int((self.logs.size - compared) / _MIN_PLACES))
        excess = 0.0
        while later >= _MIN_STRETCH and compared:  # short stretches show what long ones are too few for
            excess = max(excess, self._excess(compared, later))
            later //= 2
        return math.sqrt(excess * float(self.logs.var()) * (1.0 / before + 1.0 / after))

    def _excess(self, compared: int, later: int) -> float:
        """How many times as much stretches of ``later`` runs vary around the ``compared`` ones before them as independent
        runs, less 1; 0 if not clearly."""
        places = (self.logs.size - compared) / later
        sums = np.concatenate([np.zeros(1), np.cumsum(self.logs)])
        at = np.arange(compared, self.logs.size - later + 1)
        apart = (sums[at + later] - sums[at]) / later - (sums[at] - sums[at - compared]) / compared
        independent = float(self.logs.var()) * (1.0 / compared + 1.0 / later)
        times = float(apart @ apart) / at.size / independent if independent > 0.0 else 1.0
        if times <= 1.0 + Z90 * math.sqrt(2.0 / places):
            return 0.0
        return (student_quantile(0.95, places) / Z90) ** 2 * times - 1.0

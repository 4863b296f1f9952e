"""Daily aggregates of a workflow, which outlive its pruned runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from concertmaster.core.fast_init import fast_init
from concertmaster.core.known import success_rate
from concertmaster.core.units import DAY

RUN = ""
"""The ``step`` of a row about the run as a whole."""
KILLED, KILLED_FOR_GOOD, KILLED_AT, KILLS_OVER = "killed", "killed-for-good", "killed-at", "kills-over"
"""What is counted or known of the OOM kills of a container: see ``DailyPeaks``."""
RELEASED = "released"
"""The factor of a release on amounts of that name: see ``DailyPeaks``."""
EXCEPTIONAL_DAYS = 35
"""Days for which an exceptional amount is kept: the run of each month end is known until the next one."""
EXCEPTIONAL = 1.15
"""Times any later amount: less is within the headroom of sizes."""


@fast_init
@dataclass(frozen=True, slots=True)
class DailyRow:
    """One UTC day of a workflow, or of one of its steps; a run counts on the day it ended.

    ``count`` are runs (executions of a step); ``timed`` of them have the durations that ``seconds`` adds up and ``p50`` and
    ``p95`` (seconds) describe. ``cost`` and ``wasted`` (currency units) and ``queue`` (seconds waited for a node) are
    sums of the day; ``metrics`` sums of users' own metrics by name, such as tokens. None: unknown. ``score`` is the last
    one of the day. ``until`` is the end of the newest run counted (unix seconds). ``largest``: by name, the largest
    amount of any run of the day, see ``DailyPeaks``; only exceptional ones, unless runs of the window may be gone,
    or another profile of the workflow analyses fewer.

    ``whole``: the row counts everything up to ``until`` and replaces the recorded row of that day. Otherwise it counts only
    later runs and is added to it.
    """

    day: int
    step: str
    count: int
    succeeded: int
    failed: int
    timed: int = 0
    seconds: float = 0.0
    p50: float | None = None
    p95: float | None = None
    cost: float | None = None
    wasted: float | None = None
    queue: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    largest: Mapping[str, float] = field(default_factory=dict)
    score: int | None = None
    until: float = 0.0
    whole: bool = True

    @property
    def start(self) -> float:
        """When the day began (unix seconds)."""
        return self.day * DAY

    @property
    def mean(self) -> float | None:
        """Mean duration in seconds."""
        return self.seconds / self.timed if self.timed else None

    @property
    def success(self) -> float | None:
        """Share (0 to 1) that succeeded of those with a known outcome."""
        return success_rate(self.succeeded, self.failed)


@dataclass(frozen=True, slots=True)
class DailyPeaks:
    """The largest amounts of each day (since 1970), by step and name: ``memory/CONTAINER``, ``storage/CONTAINER`` and
    ``volume/CLAIM`` (bytes), ``cpu/CONTAINER`` (cores, mean over a run), ``gpu/CONTAINER`` (GPUs busy at any time), and
    ``seconds`` of what succeeded, the run as a whole (``RUN``) included. Of OOM kills: ``killed/CONTAINER`` (runs with
    one), ``killed-for-good/CONTAINER`` (those of them that failed), ``killed-at/CONTAINER`` (the largest limit at which one
    was, bytes), and ``kills-over/CONTAINER`` (1: those until then had ended). ``released/NAME``: on that day began
    a release at another level, this factor of that before it; 0 if amounts of earlier days are no evidence any more.

    What is rare among runs can be regular among days: of a job every five minutes, the large run of each night is one of
    288, and not among the newest 200 for seven hours a day. Of days before the window only exceptional amounts are known,
    which are larger than those of all later days by more than the headroom of sizes. ``every_day``: whether
    those of all days of the window are known, since runs of it may be gone.
    """

    amounts: Mapping[tuple[str, str], Mapping[int, float]] = field(default_factory=dict)
    every_day: bool = True

    def of(self, steps: Iterable[str], name: str, since: int = 0) -> dict[int, float]:
        """The largest of any of these steps, by day, from the day ``since`` on."""
        found: dict[int, float] = {}
        for step in steps:
            for day, amount in self.amounts.get((step, name), {}).items():
                if day >= since and amount > found.get(day, 0.0):
                    found[day] = amount
        return found


@dataclass(frozen=True, slots=True)
class Baseline:
    """A workflow as it was when it was first analysed with enough runs, at ``at`` (unix seconds).

    ``p50`` and ``p95`` are seconds, ``success`` a share, ``cost`` currency units per run; None: unknown.
    """

    at: float
    runs: int
    p50: float | None = None
    p95: float | None = None
    success: float | None = None
    cost: float | None = None
    score: int | None = None


ROLLED_BACK = "RolledBack"  # the state of a recommendation whose change was rolled back


@dataclass(frozen=True, slots=True)
class RecommendationOutcome:
    """Outcome of one recommendation: its ``state`` since ``since``, first published at ``first`` (unix seconds).

    ``money`` (currency units), ``minutes`` and ``failures``: likely gain per month as last published. If implemented, ``by``
    is who applied it and ``verdict`` the outcome of its verification. None: unknown.
    """

    recommendation: str
    state: str
    first: float
    since: float
    money: float | None = None
    minutes: float | None = None
    failures: float | None = None
    by: str | None = None
    verdict: str | None = None
    measured: float | None = None


@dataclass(frozen=True, slots=True)
class LongTermFigures:
    """Figures of an analysis that are kept when its runs are pruned."""

    rows: Sequence[DailyRow] = ()
    baseline: Baseline | None = None
    adoptions: Sequence[RecommendationOutcome] = ()
    since: int = 0  # the day from which on all largest amounts are kept
    exceptional_since: int = 0  # that from which on exceptional ones are

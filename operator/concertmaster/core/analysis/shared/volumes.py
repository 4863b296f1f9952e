"""Usage of persistent volumes mounted by the steps, and when they will be full.

A claim created per run (Argo's ``volumeClaimTemplates``, named after the run) is treated as one volume of many runs, and
the fullest run counts. A claim shared by runs fills up over time: its last use counts, and the trend predicts when it is
full, unless it was cleaned up meanwhile: whether it fills before the next cleanup is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache

from concertmaster.core import arrays as np
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint.scores import MIN_SEGMENT
from concertmaster.core.changepoint.slope_changes import best_break
from concertmaster.core.model import Interval, RunRecord, StepExecution, VolumeUse
from concertmaster.core.stats.exact import is_over
from concertmaster.core.stats.robust import theil_sen
from concertmaster.core.times import END_OF_CALENDAR
from concertmaster.core.units import DAY

_MIN_RUNS = 5  # runs required for a trend
_MIN_SMOOTHED_RUNS = 15  # runs whose cleanups medians of three show
_FASTER = 1.5
_SIGNIFICANCE = 0.01  # below which growth has changed
_PAUSE = 0.5  # share of the time since growth became slower, for which it never was before
_MAX_HORIZON = 90 * DAY  # s; a volume that fills up later than that is not reported as filling


@dataclass(frozen=True, slots=True)
class VolumeFill:
    """One volume. ``claim``: its PersistentVolumeClaim, or the common part of their names when each run creates its own
    (then ``shared`` is False). ``used`` and ``capacity`` in bytes, of the last run or of the fullest; ``peak``: most bytes
    used by any run. ``growth``: bytes per day; ``full``: when it will be full (unix seconds); both None without significant
    growth, and where a shared claim was cleaned up in the window."""

    claim: str
    steps: tuple[str, ...]
    runs: int
    used: float
    capacity: float
    shared: bool
    peak: float
    growth: Interval | None = None
    full: Interval | None = None

    @property
    def share(self) -> float:
        """Used share of the capacity, 0 to 1."""
        return self.used / self.capacity


def volume_fills(analysis: Analysis) -> tuple[VolumeFill, ...]:
    """Every volume mounted by the runs, the fullest first."""
    seen: dict[tuple[str, bool], list[tuple[float, VolumeUse]]] = {}
    steps: dict[tuple[str, bool], set[str]] = {}
    runs: dict[tuple[str, bool], dict[str, float]] = {}  # with the least use in each
    in_run: dict[str, set[str]] = {}
    for run, mounted in zip(analysis.runs, analysis.figures.of_each(_mounted, analysis.runs), strict=True):
        in_run[run.run] = {e.step for e, _ in mounted}
        for e, volume in mounted:
            key = claim_name(run, volume.claim)
            seen.setdefault(key, []).append((e.finished or run.end or 0.0, volume))
            steps.setdefault(key, set()).add(e.step)
            least = runs.setdefault(key, {})
            least[run.run] = min(volume.used, least.get(run.run, volume.used))
    mounting = cache(lambda own: [run for run, found in in_run.items() if not found.isdisjoint(own)])
    fills = [
        _fill(key, rows, sorted(steps[key]), [*runs[key].values()], analysis.now)
        for key, rows in seen.items()
        if not (key[1] and _replaced(mounting, steps[key], runs[key]))
    ]
    return tuple(sorted(fills, key=lambda f: (-f.share, f.claim)))


def _replaced(
    mounting: Callable[[frozenset[str]], Sequence[str]], steps: Collection[str], runs: Collection[str]
) -> bool:
    """Whether the newest runs whose ``steps`` mount volumes (``mounting``) mount others, not this one as ``runs`` did."""
    return is_over([run in runs for run in mounting(frozenset(steps))])


def _mounted(run: RunRecord) -> list[tuple[StepExecution, VolumeUse]]:
    return [(e, volume) for e in run.steps for volume in e.volumes]


def claim_name(run: RunRecord, claim: str) -> tuple[str, bool]:
    """Common part of the claim's name over runs, and whether all runs share one claim."""
    own = claim.startswith(f"{run.run}-") and len(claim) > len(run.run) + 1
    return (claim.removeprefix(f"{run.run}-"), False) if own else (claim, True)


def _fill(
    key: tuple[str, bool],
    rows: Sequence[tuple[float, VolumeUse]],
    steps: Sequence[str],
    least: Sequence[float],
    now: float,
) -> VolumeFill:
    claim, shared = key
    rows = sorted(rows, key=lambda row: row[0])
    # An enlarged claim is judged by its current capacity.
    shown = rows[-1][1] if shared else max((v for _, v in rows), key=lambda v: v.used / v.capacity)
    growth = full = None
    if len(least) >= _MIN_RUNS and not (shared and _cleaned(least)):
        growth = _growth(rows)
    if growth is not None:
        left = max(0.0, shown.capacity - max(shown.used, rows[-1][1].used))
        # From the last run on; none has seen it full, so it is not before now.
        ends = (max(now, rows[-1][0] + left / g * DAY) for g in (growth.high, growth.likely, growth.low))
        at = Interval(*(min(END_OF_CALENDAR, end) for end in ends))
        full = at if at.likely <= now + _MAX_HORIZON else None
    peak = max(v.used for _, v in rows)
    return VolumeFill(claim, tuple(steps), len(least), shown.used, shown.capacity, shared, peak, growth, full)


def _cleaned(least: Sequence[float]) -> bool:
    """Whether the level of the ``least`` use (bytes) of runs (at least five, oldest first) fell by more than half of its
    range."""
    used = np.array(least)
    # Medians of three: temporary files of one run, and their end, are no cleanup.
    level = np.concatenate([used[:1], np.median(np.stack([used[:-2], used[1:-1], used[2:]]), axis=0), used[-1:]])
    return _fell(level)


def _fell(used: Floats) -> bool:
    """Whether it fell by more than half of its range."""
    return bool(np.max(np.maximum.accumulate(used) - used) > (used.max() - used.min()) / 2)


def _growth(rows: Sequence[tuple[float, VolumeUse]]) -> Interval | None:
    """Bytes per day, at present; None unless the 95% interval of the slope is entirely positive, and where the use falls
    back at times, for it grows much faster between runs then."""
    times, used = np.array([at for at, _ in rows]) / DAY, np.array([v.used for _, v in rows])
    times, used = _since_change(times - times[0], used)
    slope = theil_sen(times, used)
    half, quarter = np.searchsorted(times, times[0] + (times[-1] - times[0]) * np.array([0.5, 0.75])).tolist()
    if slope is not None and times.size - half >= MIN_SEGMENT:
        late = theil_sen(times[half:], used[half:])
        if late is not None and late.high < slope.low and not _has_grown_so(times, used, quarter, 1.0):
            slope, times, used = late, times[half:], used[half:]  # it slows down, as where a cache fills
    if slope is None or slope.low <= 0 or _falls_back(times, used, slope.likely):
        return None
    return Interval(slope.low, slope.likely, slope.high)


def _since_change(times: Floats, used: Floats) -> tuple[Floats, Floats]:
    """Those since ``used`` last began to grow clearly faster or more slowly, as where old files are deleted from then on."""
    while used.size >= 2 * MIN_SEGMENT:
        changed, unchanged = best_break(used)
        if unchanged >= _SIGNIFICANCE or _has_grown_so(times, used, changed, _PAUSE):
            break
        times, used = times[changed:], used[changed:]
    return times, used


def _has_grown_so(times: Floats, used: Floats, since: int, share: float) -> bool:
    """Whether before the position ``since``, ``used`` grew as fast as from it on in as long a time, and by as little in this
    ``share`` of it: where large files come now and then, it is constant in between."""
    length, grown = times[-1] - times[since], used[-1] - used[since]
    times, used = times[:since], used[:since]
    known = min(length, times[-1] - times[0])
    slow, fast = _grown_within(times, used, share * length), _grown_within(times, used, known)
    return bool((slow <= grown).any() and (fast * length >= grown * known).any())


def _grown_within(times: Floats, used: Floats, length: float) -> Floats:
    """By how much ``used`` grew in each span of such a ``length`` (days)."""
    ends = np.searchsorted(times, times + length)
    whole = ends < times.size
    return np.asarray(used[ends[whole]] - used[whole], dtype=np.float64)


def _falls_back(times: Floats, used: Floats, slope: float) -> bool:
    """Whether ``used`` (bytes, by days) of few runs fell by more than half of its range, and half of the time grew at more
    than _FASTER times the ``slope`` (bytes a day) of all: a cleanup that ``_cleaned`` cannot tell from temporary files,
    after which use keeps growing as before."""
    if used.size >= _MIN_SMOOTHED_RUNS or not _fell(used):
        return False
    apart = np.diff(times)
    later = apart > 0
    rates, weights = np.diff(used)[later] / apart[later], apart[later]
    order = rates.argsort()
    share = np.cumsum(weights[order]) / weights.sum()
    return bool(rates[order][np.searchsorted(share, 0.5)] > _FASTER * slope)

"""What change points say of a series: whether there is one where nothing changed, and whether planted ones are found."""

from __future__ import annotations

from benchmarks.series.effects import EFFECTS, Planted
from benchmarks.series.law import Law, generator
from benchmarks.series.tally import Key, Tally
from concertmaster.core.changepoint import ChangePoint, Detection, Direction, detect
from concertmaster.core.changepoint.clear import lasting_increase

LENGTHS = (15, 30, 80, 200, 400)
NEAR = 3  # runs between a change and the point that counts as found
REPORTED = 0.1  # least increase that is reported as a regression


def judge(law: Law, seed: int) -> Tally:
    """All effects at all lengths."""
    tally = Tally()
    for part, (name, (effect, least)) in enumerate(EFFECTS.items()):
        for n in LENGTHS:
            if n < least:
                continue
            rng = generator(law.name, seed, 1000 * part + n)
            planted = effect(rng, n, law.factor)
            runs, values = law.series(rng, planted.level, planted.later)
            _count(tally, law, name, planted, detect(runs.times, values))
    return tally


def _count(tally: Tally, law: Law, effect: str, planted: Planted, found: Detection) -> None:
    size = str(planted.level.size)
    points = found.points
    if effect == "quiet":
        tally.add(Key(law.name, "quiet", size), bool(points))
        reported = lasting_increase(points, REPORTED) is not None if _have_ratios(points) else False
        tally.add(Key(law.name, "quiet reported", size), reported)
    elif effect == "growth":
        rising = found.trend_per_week is not None and found.trend_per_week.low > 0
        tally.add(Key(law.name, "growth", size), rising or bool(points))
    elif effect == "ramp":
        first, last = planted.at
        tally.add(Key(law.name, "ramp", size), any(first - NEAR <= p.index <= last + NEAR for p in points))
    else:
        near = [next((p for p in points if abs(p.index - at) <= NEAR), None) for at in planted.at]
        begin = near[0]
        right = begin is not None and (begin.direction is Direction.UP) is (planted.up is not law.falls)
        tally.add(Key(law.name, effect, size), right and None not in near)
        if effect == "step":
            tally.add(Key(law.name, "more", size), len(points) > 1 or (len(points) == 1 and not right))
            if law.scales and begin is not None and right and not found.drifting:
                factor = float(planted.level[-1])
                tally.add(Key(law.name, "factor", size), _holds(begin.low, factor, begin.high))


def _have_ratios(points: tuple[ChangePoint, ...]) -> bool:
    return all(point.ratio > 0 for point in points)


def _holds(low: float, truth: float, high: float) -> bool:
    """Rounding of the last digit does not count."""
    return low * (1.0 - 1e-9) <= truth <= high * (1.0 + 1e-9)

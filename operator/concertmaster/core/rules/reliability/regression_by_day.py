"""A regression that all runs analysed come after (part of ``degradation``): only medians of earlier days show it."""

from __future__ import annotations

from concertmaster.core import text
from concertmaster.core.model import Finding
from concertmaster.core.rules.base import gain_sentence
from concertmaster.core.rules.earlier_rise import earlier_rise
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.reliability.rise_context import median_before, weekly
from concertmaster.core.rules.reliability.true_increase import share_of_present, true_factor
from concertmaster.core.times import day
from concertmaster.core.units import DAY


def regression_by_day(evidence: Evidence, published: frozenset[str], least: float) -> Finding | None:
    """The runs take longer since a day before all of them. ``published``: the steps of the regressions that were (empty for
    that of the runs); ``least``: the share by which they must take longer."""
    found = earlier_rise(evidence, published, least)
    if found is None:
        return None
    rise, (was, now) = found.rise, found.seconds
    share = share_of_present(true_factor(rise.chance, rise.factor.likely, rise.factor.low, rise.factor.high))
    seconds = share.scaled(now)
    name = evidence.title(found.step) if found.step else "this workflow"
    since, kind, when = f" since {day(found.since * DAY)}", "regression", ""
    if rise.growth is not None:
        first, last = (day(at * DAY) for at in rise.growth)
        since, kind, when = "", "gradual regression", f"; gradual increase between about {first} and {last}"
    return Finding(
        step=found.step,
        about=found.about,
        action=f"Investigate {kind} in {name}{since} (+{text.percent(rise.factor.likely - 1)})",
        because=(
            f"runs take {text.duration(now)} instead of {text.duration(was)} (medians of"
            f" {text.count(len(rise.after), 'day')} after against {len(rise.before)} before)"
            f"{since}{when}: {found.blame(name)}; the"
            f" {text.count(len(evidence.analysis.runs), 'run')} analyzed began on {day(evidence.analysis.first_run or 0.0)}"
        ),
        otherwise=f"every run stays {text.duration(seconds.likely)} longer{weekly(evidence, seconds.likely)}",
        current=f"{text.duration(now)} median",
        proposed=median_before(now * (1.0 - share.likely), was),
        expected=gain_sentence(share, seconds),
        confidence=1.0 - rise.chance,
        gain_seconds=seconds,
        gain_share=share,
        evidence=found.compared,
    )

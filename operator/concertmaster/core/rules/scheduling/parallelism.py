"""``parallelism``: the sufficient number of concurrent pods.

A limit that delays pods while nodes have room costs run time; the rule raises it to the smallest one whose replay is within
2% of a run without any limit. Where pods only wait for nodes, a higher limit gains nothing: the rule then lowers it to that
same smallest one, so that pods queue in the engine, where they reserve nothing and disturb nobody.
"""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core.analysis.replay import enough_parallelism
from concertmaster.core.model import Category, Finding, Level
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.scheduling.higher_limit import higher_limit
from concertmaster.core.rules.scheduling.limit_scopes import limit_scopes
from concertmaster.core.rules.scheduling.lower_limit import lower_limit


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation per field that limits pods, if another value is better."""
    analysis = evidence.analysis
    runs = [run for run in evidence.recent() if run.usable]
    if not runs:
        return
    crowded = any(limit.kind == "capacity" for run in runs for limit in run.limits)
    settings = evidence.settings
    gain, waiting = settings.number("minGainPercent", 5.0), settings.number("minWaitingPercent", 10.0) / 100
    for scope in limit_scopes(analysis.definition):
        if scope.limit is None and not crowded:
            continue  # no limit delays pods, and no capacity is short
        enough = enough_parallelism(runs, scope.limits)
        yield higher_limit(evidence, scope, enough, runs, gain) or lower_limit(evidence, scope, runs, waiting)


RULE = Rule(
    RuleName.PARALLELISM,
    evaluate,
    Category.PERFORMANCE,
    Level.LOW,
    tie_break=9,
    settings=("minGainPercent", "minWaitingPercent"),
    steps=False,
)

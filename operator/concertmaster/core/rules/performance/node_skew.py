"""``node-skew``: the same steps take longer on some nodes than on others (see ``analysis.nodes``)."""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.analysis.nodes.delays import elsewhere
from concertmaster.core.analysis.nodes.slow import MIN_SLOWDOWN, SlowNodes, comparable, slow_nodes
from concertmaster.core.model import Category, Finding, Level
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence, worth
from concertmaster.core.rules.performance.replays import scaled

_TYPE_LABEL = "node.kubernetes.io/instance-type"


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation for the significantly slower nodes, if they cost run time."""
    analysis = evidence.analysis
    least = evidence.settings.number("minSlowerPercent", 100 * MIN_SLOWDOWN) / 100
    slow, factors = analysis.slow_nodes, analysis.node_factors
    if least != MIN_SLOWDOWN:
        slow = slow_nodes(analysis.runs, analysis.figures, least)
        factors = elsewhere(analysis.runs, analysis.figures, slow) if slow is not None else {}
    if slow is None or slow.over:
        return
    replayed, _, _ = scaled(evidence.recent(), factors, slow.error)
    gains = worth(replayed, evidence.settings.number("minGainPercent", 3.0))
    if gains is None:
        return
    share, seconds = gains
    executions = comparable(analysis.runs, analysis.figures)
    there = [e for e in executions if e.node in slow.nodes]
    steps, as_fast = sorted({e.step for e in there}), sorted(slow.unaffected)
    yield Finding(
        step=steps[0] if len(steps) == 1 else None,
        about="",
        action=f"Avoid {slow.title} for this workflow, or investigate why it is slower there",
        because=(
            f"the same steps take {text.percent(slow.ratio - 1)} longer there than elsewhere: {slow.inside}"
            " executions against"
            f" {slow.outside} {evidence.runs(slow.runs)} with pods on both, compared by step within each run"
            f" ({text.listing(steps)})"
        ),
        otherwise=f"runs with pods there stay slower, by {text.duration(seconds.likely)} on average",
        current=f"{text.percent(len(there) / len(executions))} of the executions run there",
        proposed=_instead(slow),
        expected=gain_sentence(share, seconds),
        confidence=0.7,
        gain_seconds=seconds,
        gain_share=share,
        evidence=(
            f"nodes: {text.listing(sorted(slow.nodes), 5)}",
            "replayed with each execution there as fast as elsewhere",
            *([f"not counted, as fast there as elsewhere: {text.listing(as_fast)}"] if as_fast else []),
        ),
    )


def _instead(slow: SlowNodes) -> str:
    """What keeps the pods off these nodes."""
    if not slow.types:
        return "a nodeSelector or node affinity without it, or a repaired node"
    return f"a node affinity with {_TYPE_LABEL} NotIn {text.listing(list(slow.types), 8)}"


RULE = Rule(
    RuleName.NODE_SKEW,
    evaluate,
    Category.PERFORMANCE,
    Level.MEDIUM,
    tie_break=6,
    settings=("minGainPercent", "minSlowerPercent"),
)

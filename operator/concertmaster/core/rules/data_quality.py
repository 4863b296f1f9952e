"""``data-quality``: what stands between this workflow and trustworthy advice, each point with the setting that mends it.

It fires on facts only: steps seen without samples, executions that cannot be told apart, ends that nobody scraped, series
the metrics store does not hold, and too few runs. It never blocks other rules; they guard themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.model import Category, Level, Recommendation, Severity
from concertmaster.core.rules.base import Evidence, Rule


def _coverage(evidence: Evidence) -> tuple[list[str], float]:
    """Sentences on steps with poor sampling, and the worst coverage."""
    least = evidence.analysis.options.min_coverage
    sentences: list[str] = []
    worst = 1.0
    for step in evidence.analysis.steps:
        for container in step.containers:
            if container.coverage is None or container.coverage >= least:
                continue
            worst = min(worst, container.coverage)
            seen = container.executions - container.ambiguous - container.unsampled
            sentences.append(f"{step.step}: {seen} of {container.executions} executions have memory samples")
    return sentences, worst


def _unknown_ends(evidence: Evidence) -> str | None:
    analysis = evidence.analysis
    if not analysis.unknown or analysis.unknown < 0.1 * len(analysis.runs):
        return None
    return f"{analysis.unknown} of {len(analysis.runs)} runs ended without their end being scraped"


def evaluate(evidence: Evidence) -> Iterator[Recommendation]:
    """One recommendation that lists every gap found, worst first, with the setting for the first of them."""
    sentences, worst = _coverage(evidence)
    cures: list[str] = []
    if sentences:
        cures.append("scrape the kubelet's /metrics/cadvisor every 15s, so that short pods leave samples")
    ends = _unknown_ends(evidence)
    if ends:
        sentences.append(ends)
        cures.append(
            "keep finished pods for two scrapes (podGC.deleteDelayDuration: 120s, ttlSecondsAfterFinished: 300)"
        )
    if evidence.gaps.missing:
        sentences += list(evidence.gaps.missing)
        cures.append("add the named series to the kube-state-metrics or kubelet allow-list")
    if evidence.gaps.unassigned:
        sentences.append(
            f"{text.count(evidence.gaps.unassigned, 'run')} of this engine could not be assigned to a workflow"
        )
        cures.append("allow-list the workflow label of pods in kube-state-metrics")
    if not sentences:
        return
    share = 1.0 - worst if worst < 1.0 else None
    yield Recommendation(
        id="data-quality",
        rule="data-quality",
        step=None,
        action=f"Mend the metrics first: {cures[0]}",
        because=f"{'; '.join(sentences[:3])}{f'; and {len(sentences) - 3} more' if len(sentences) > 3 else ''}"
        f" ({evidence.window()})",
        otherwise="these steps get no size advice, and figures that rest on the missing data stay unknown",
        category=Category.BEST_PRACTICE,
        severity=Severity.MEDIUM if share is not None and share > 0.8 else Severity.LOW,
        risk=Level.LOW,
        effort=Level.LOW,
        current=f"{text.count(len(sentences), 'gap')}",
        proposed="no gap",
        expected=f"advice on {text.count(len(sentences), 'more point')} where there is none today",
        how=f"kubectl concertmaster doctor -n {evidence.namespace}",
        confidence=1.0,
        evidence=tuple(sentences + cures),
    )


RULE = Rule("data-quality", evaluate, tie_break=1)

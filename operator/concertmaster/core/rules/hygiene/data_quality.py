"""``data-quality``: gaps in the data of this workflow, each with the setting that fixes it.

Fires on facts only: steps without samples, ambiguous executions, unknown outcomes and reasons, series missing from the
metrics source, anomalies of runs and objects. It never blocks other rules, which have guards of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.analysis.cost.runs import steps_unseen
from concertmaster.core.model import UNKNOWN_STEP, Category, Finding, Level, Outcome
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Damping, Rule
from concertmaster.core.rules.evidence import Evidence

_MIN_SCRAPE_INTERVAL = 15.0  # seconds
_REASONS = "kube_pod_container_status_terminated_reason"
_MIN_FAILURES = 3  # failed executions without a reason


def _coverage(evidence: Evidence) -> tuple[list[str], float]:
    """Sentences on poorly sampled steps, and the share of these (0 to 1) in all pod time, which weighs the gap."""
    least = evidence.analysis.options.min_coverage
    sentences: list[str] = []
    dark = total = 0.0
    for step in evidence.analysis.steps:
        seconds = (step.duration.mean or 0.0) * step.duration.count
        total += seconds
        poor = [c for c in step.containers if c.coverage is not None and c.coverage < least]
        if step.duration.mean is not None and step.duration.mean < _MIN_SCRAPE_INTERVAL:
            poor = []  # too short for any common scrape interval
        dark += seconds if poor else 0.0
        for container in poor:
            seen = container.executions - container.ambiguous - container.unsampled
            sentences.append(
                f"{evidence.title(step.step)}, {seen} of {container.executions} executions have memory samples"
            )
    return sentences, dark / total if total > 0 else 0.0


def _sizes(evidence: Evidence) -> str:
    """What a lack of samples means for sizes."""
    options = evidence.analysis.options
    containers = [c for step in evidence.analysis.steps for c in step.containers]
    poor = [c for c in containers if c.coverage is not None and c.coverage < options.min_coverage]
    if poor and all(c.covered(options.min_coverage, options.min_runs) for c in poor):
        return "sizes rest on the runs since the first with samples"
    return "these steps get no size recommendations"


def _unknown_ends(evidence: Evidence) -> str | None:
    """Runs whose end was not seen. Those that a user stopped have none. Nor are those meant whose pods were all seen to end
    and which lack steps: if they are all older than the others, or have steps that the definition lacks, it was changed
    since, and if pods were gone too soon, they no longer are."""
    runs = evidence.analysis.runs
    lacking = [r for r in runs if steps_unseen(r)]
    others = [r.start or 0.0 for r in runs if not steps_unseen(r)]
    older = max([r.start or 0.0 for r in lacking], default=0.0) < min(others, default=0.0)
    changed = {id(r) for r in lacking if older or any(e.step.startswith(UNKNOWN_STEP) for e in r.steps)}
    unseen = sum(r.outcome is Outcome.UNKNOWN and r.unseen and id(r) not in changed for r in runs)
    if not unseen or unseen < 0.1 * len(runs):
        return None
    return f"{unseen} of {len(runs)} runs ended without their end being scraped"


def _unexplained(evidence: Evidence) -> str | None:
    """Failures without any reason, where no other sentence names the series that has them."""
    if any(_REASONS in series for series in evidence.gaps.missing):
        return None
    steps = [step.failures for step in evidence.analysis.steps]
    failed, dark = sum(step.failed for step in steps), sum(step.unexplained for step in steps)
    return (
        f"the reasons of {dark} of {failed} failed executions are unknown"
        if dark >= _MIN_FAILURES and 2 * dark > failed
        else None
    )


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation that lists every gap, most severe first, with the setting that fixes the first."""
    sentences, dark = _coverage(evidence)
    remedies: list[str] = []
    if sentences:
        remedies.append("scrape the kubelet's /metrics/cadvisor every 15s, so that short pods leave samples")
    ends = _unknown_ends(evidence)
    if ends:
        sentences.append(ends)
        remedies.append(
            "keep finished pods for two scrapes (podGC.deleteDelayDuration: 120s, ttlSecondsAfterFinished: 300)"
        )
    reasons = _unexplained(evidence)
    if reasons:
        sentences.append(reasons)
        remedies.append(f"keep {_REASONS} in the metric allow-list of the kube-state-metrics scrape")
    if evidence.gaps.missing:
        sentences += list(evidence.gaps.missing)
        remedies.append("add the named series to the kube-state-metrics or kubelet allow-list")
    if evidence.gaps.notes:
        sentences += evidence.gaps.notes
        remedies.append("see docs/engines for what the notes on these runs mean")
    if not sentences:
        return
    yield Finding(
        action=f"Fix missing metrics; {remedies[0]}",
        because=f"{'; '.join(sentences[:3])}{f'; and {len(sentences) - 3} more' if len(sentences) > 3 else ''}"
        f" ({evidence.window()}{f'; {text.percent(dark)} of the pod time is unsampled' if dark else ''})",
        otherwise=f"{_sizes(evidence)}, and figures that depend on the missing data stay unknown",
        current=f"{text.count(len(sentences), 'gap')}",
        proposed="no gap",
        expected=f"recommendations on {text.count(len(sentences), 'more point')} that have none today",
        how=f"kubectl concertmaster doctor -n {evidence.namespace}",
        confidence=1.0,
        evidence=tuple(sentences + remedies),
    )


RULE = Rule(
    RuleName.DATA_QUALITY, evaluate, Category.BEST_PRACTICE, Level.LOW, tie_break=1, damping=Damping.NONE, young=True
)

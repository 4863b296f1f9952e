"""Removal of contradictions and double-counted gains from a ranked list of recommendations.

Two recommendations that set the same field cannot both be applied: the better one is kept and mentions the other. Two that
shorten the same step share one gain: the later one says that its gain is not additional. ``bottleneck`` names a location
without a remedy: it is merged into a recommendation of another rule that has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from concertmaster.core.model import Category, Recommendation, Severity
from concertmaster.core.model.enums import RuleName

# Rules that only describe; a rule with a remedy for the same step takes precedence.
_DESCRIBE = (RuleName.BOTTLENECK,)
# The left rule explains the cause of what the right one reports as a symptom of the same step.
_CAUSES = (
    (RuleName.MEMORY_REQUEST, RuleName.RETRY_POLICY),
    (RuleName.NODE_SKEW, RuleName.STRAGGLER),
    (RuleName.NODE_SKEW, RuleName.VARIANCE),
    (RuleName.STRAGGLER, RuleName.VARIANCE),
    (RuleName.CPU_REQUEST, RuleName.VARIANCE),
    (RuleName.CPU_REQUEST, RuleName.SPLIT_LONG_STEP),
    (RuleName.CPU_REQUEST, RuleName.IO_BOUND),
    (RuleName.DEGRADATION, RuleName.VARIANCE),
    (RuleName.DEGRADATION, RuleName.OBJECTIVE_AT_RISK),
    (RuleName.PARALLELISM, RuleName.QUEUE_TIME),
    (RuleName.BATCH_SMALL_STEPS, RuleName.QUEUE_TIME),
    (RuleName.SCHEDULE_CLASH, RuleName.QUEUE_TIME),
)
# The left rule covers everything the right one would say about the same step: the right one is merged into it.
_SAME = (
    (RuleName.TIMEOUT, RuleName.VARIANCE),
    (RuleName.TIMEOUT, RuleName.RETRY_POLICY),
    (RuleName.NODE_SKEW, RuleName.VARIANCE),
    (RuleName.STRAGGLER, RuleName.VARIANCE),
    (RuleName.STRAGGLER, RuleName.TIMEOUT),
    (RuleName.CPU_REQUEST, RuleName.VARIANCE),
    (RuleName.DEGRADATION, RuleName.VARIANCE),
)
_SIZES = (RuleName.CPU_REQUEST, RuleName.MEMORY_REQUEST)


def resolve(ranked: Sequence[Recommendation]) -> list[Recommendation]:
    """The recommendations without contradictions, in the given order."""
    return _point(_overlaps(_explained(_merged(_one_per_field(_sidecars(_retries_of_failing_steps(ranked)))))))


def _retries_of_failing_steps(ranked: Sequence[Recommendation]) -> list[Recommendation]:
    """Drops retry recommendations for steps at which every run fails, since a retry only repeats the failure, and those of
    more retries where the increase of failures may be over."""
    failing = {r.step: r for r in ranked if r.rule == RuleName.FAILING_STEP and (r.upper_bound or _every_run(r))}

    def keeps(item: Recommendation) -> bool:
        if item.rule != RuleName.RETRY_POLICY or item.step not in failing:
            return True
        return item.category is Category.COST and not _every_run(failing[item.step])  # fewer retries

    return [r for r in ranked if keeps(r)]


def _every_run(item: Recommendation) -> bool:
    return item.severity is Severity.CRITICAL


def _sidecars(ranked: Sequence[Recommendation]) -> list[Recommendation]:
    """One recommendation per injected container instead of one per step: its definition is not part of the workflow."""
    names = tuple(f".{r.id.partition('.')[2]}" for r in ranked if r.rule == RuleName.SIDECAR_OVERHEAD)
    return [r for r in ranked if not (r.rule in _SIZES and not r.edits and names and r.id.endswith(names))]


def _one_per_field(ranked: Sequence[Recommendation]) -> list[Recommendation]:
    """The first recommendation for a field is kept; later ones are dropped and listed as evidence of the first."""
    owner: dict[str, int] = {}
    kept: list[Recommendation] = []
    for item in ranked:
        taken = next((owner[e.place] for e in item.edits if e.place in owner), None)
        if taken is not None:
            first = kept[taken]
            note = f"{item.id} would set the same field ({item.current} to {item.proposed}): {item.because}"
            kept[taken] = replace(first, evidence=(*first.evidence, note))
            continue
        for edit in item.edits:
            owner[edit.place] = len(kept)
        kept.append(item)
    return kept


def _merged(items: Sequence[Recommendation]) -> list[Recommendation]:
    """Drops symptoms whose cause is covered by another recommendation and adds them to its evidence."""
    out = list(items)
    for item in items:
        near = (
            n for n, o in enumerate(out) if (o.rule, item.rule) in _SAME and o.step == item.step and _causes(o, item)
        )
        at = next(near, None)
        if at is not None and item.step is not None:
            out[at] = replace(out[at], evidence=(*out[at].evidence, item.because))
            out.remove(item)
    return out


def _causes(cause: Recommendation, symptom: Recommendation) -> bool:
    """Whether the cause explains the symptom: failures by fewer failures, lost time by a gain in time."""
    if symptom.rule == RuleName.RETRY_POLICY:
        return cause.failures_avoided is not None
    return cause.gain_share is not None and symptom.failures_avoided is None


def _explained(items: Sequence[Recommendation]) -> list[Recommendation]:
    """Links a symptom to the recommendation that treats its cause, and ranks it behind that."""
    out: list[Recommendation] = []
    late: list[tuple[int, Recommendation]] = []
    for item in items:
        # Recommendations that only save money (a smaller request) do not explain slowness.
        cause = next(
            (
                o
                for o in items
                if (o.rule, item.rule) in _CAUSES
                and o.category is not Category.COST
                and (o.step == item.step or not item.step)
            ),
            None,
        )
        if cause is None or f"see {cause.id}" in item.action:
            out.append(item)
            continue
        changed = replace(item, action=f"{item.action}; first see {cause.id}")
        if cause in items[: items.index(item)]:
            out.append(changed)
        else:
            late.append((items.index(cause), changed))
    for place, item in late:
        at = next(i for i, o in enumerate(out) if o.id == items[place].id)
        out.insert(at + 1, item)
    return out


def _overlaps(items: Sequence[Recommendation]) -> list[Recommendation]:
    """Marks overlapping gains: of several recommendations that shorten the same step, all but the first."""
    first: dict[str, str] = {}
    out = []
    for item in items:
        if item.step is None or item.gain_share is None or item.rule in _DESCRIBE:
            out.append(item)
        elif item.step not in first:
            first[item.step] = item.id
            out.append(item)
        else:
            out.append(
                replace(item, expected=f"{item.expected}; the run time is not saved on top of {first[item.step]}")
            )
    return out


def _point(items: Sequence[Recommendation]) -> list[Recommendation]:
    """Merges a description of a step into the recommendation that has the remedy, as evidence."""
    out = [i for i in items if i.rule not in _DESCRIBE]
    for item in (i for i in items if i.rule in _DESCRIBE):
        at = next((n for n, o in enumerate(out) if o.step == item.step and o.gain_share is not None), None)
        if at is not None and item.step is not None:
            out[at] = replace(out[at], evidence=(*out[at].evidence, item.because))
            continue
        before = {o.id for o in items[: items.index(item)]}
        out.insert(sum(o.id in before for o in out), item)
    return out

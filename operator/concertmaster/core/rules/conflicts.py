"""What keeps two recommendations from contradicting, or counting the same gain twice.

The list comes ranked. Two that set the same field cannot both be followed: the better one stays and says so. Two that
shorten the same step share one gain: the later one says that its gain is not on top. ``bottleneck`` names a place, not a
remedy: where another rule has the remedy for that place, it is merged into that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from concertmaster.core.model import Category, Recommendation, Severity

# Rules that describe a state; a rule that names a remedy for the same step is what to follow.
_DESCRIBE = ("bottleneck",)
# The left rule explains what the right one would treat as a symptom of the same step.
_CAUSES = (
    ("memory-request", "retry-policy"),
    ("node-skew", "straggler"),
    ("node-skew", "variance"),
    ("straggler", "variance"),
    ("cpu-request", "variance"),
    ("cpu-request", "split-long-step"),
    ("cpu-request", "io-bound"),
    ("degradation", "variance"),
    ("degradation", "objective-at-risk"),
    ("parallelism", "queue-time"),
    ("schedule-clash", "queue-time"),
)
# Of these the left rule says all there is to say about the same step: the right one is merged into it.
_SAME = (
    ("timeout", "variance"),
    ("timeout", "retry-policy"),
    ("node-skew", "variance"),
    ("straggler", "variance"),
    ("cpu-request", "variance"),
    ("degradation", "variance"),
)
_SIZES = ("cpu-request", "memory-request")


def resolve(ranked: Sequence[Recommendation]) -> list[Recommendation]:
    """The recommendations without contradictions, in the order given."""
    return _point(_overlaps(_explained(_merged(_one_per_field(_sidecars(_hopeless(ranked)))))))


def _hopeless(ranked: Sequence[Recommendation]) -> list[Recommendation]:
    """Where every run fails at a step, trying once more repeats the failure: no recommendation on retries for that step."""
    failing = {r.step for r in ranked if r.rule == "failing-step" and r.severity is Severity.CRITICAL}
    return [r for r in ranked if not (r.rule == "retry-policy" and r.step in failing)]


def _sidecars(ranked: Sequence[Recommendation]) -> list[Recommendation]:
    """A container that something else puts into every pod has no field to set here: one recommendation about it, not one
    for each step."""
    names = tuple(f".{r.id.partition('.')[2]}" for r in ranked if r.rule == "sidecar-overhead")
    return [r for r in ranked if not (r.rule in _SIZES and not r.edits and names and r.id.endswith(names))]


def _one_per_field(ranked: Sequence[Recommendation]) -> list[Recommendation]:
    """The first that sets a field keeps it; a later one goes, and what it would set is named as evidence of the first."""
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
    """A symptom of a step goes where another recommendation has its cause, and becomes evidence of that."""
    out = list(items)
    for item in items:
        causes = [a for a, b in _SAME if b == item.rule]
        at = next((n for n, o in enumerate(out) if o.rule in causes and o.step == item.step and _causes(o, item)), None)
        if at is not None and item.step is not None:
            out[at] = replace(out[at], evidence=(*out[at].evidence, item.because))
            out.remove(item)
    return out


def _causes(cause: Recommendation, symptom: Recommendation) -> bool:
    """Whether it does: failures come from what promises fewer of them, lost time from what promises to save it."""
    if symptom.rule == "retry-policy":
        return cause.failures_avoided is not None
    return cause.gain_share is not None


def _explained(items: Sequence[Recommendation]) -> list[Recommendation]:
    """A symptom says which recommendation treats its cause, and stands behind it."""
    out: list[Recommendation] = []
    late: list[tuple[int, Recommendation]] = []
    for item in items:
        causes = [a for a, b in _CAUSES if b == item.rule]
        # What only saves money (a smaller request) explains no slowness.
        found = next(
            (
                o
                for o in items
                if o.rule in causes and o.category is not Category.COST and (o.step == item.step or not item.step)
            ),
            None,
        )
        if found is None or f"see {found.id}" in item.action:
            out.append(item)
            continue
        changed = replace(item, action=f"{item.action}; first see {found.id}")
        if found in items[: items.index(item)]:
            out.append(changed)
        else:
            late.append((items.index(found), changed))
    for place, item in late:
        at = next(i for i, o in enumerate(out) if o.id == items[place].id)
        out.insert(at + 1, item)
    return out


def _overlaps(items: Sequence[Recommendation]) -> list[Recommendation]:
    """Time is gained once: of several that shorten the same step, all but the first say so."""
    first: dict[str, str] = {}
    out = []
    for item in items:
        if item.step is None or item.gain_share is None or item.rule in _DESCRIBE:
            out.append(item)
        elif item.step not in first:
            first[item.step] = item.id
            out.append(item)
        else:
            out.append(replace(item, expected=f"{item.expected}, not on top of {first[item.step]}"))
    return out


def _point(items: Sequence[Recommendation]) -> list[Recommendation]:
    """A description of a step that another recommendation has the remedy for is merged into it, as its evidence."""
    out = [i for i in items if i.rule not in _DESCRIBE]
    for item in (i for i in items if i.rule in _DESCRIBE):
        at = next((n for n, o in enumerate(out) if o.step == item.step and o.gain_share is not None), None)
        if at is not None and item.step is not None:
            out[at] = replace(out[at], evidence=(*out[at].evidence, item.because))
            continue
        before = {o.id for o in items[: items.index(item)]}
        out.insert(sum(o.id in before for o in out), item)
    return out

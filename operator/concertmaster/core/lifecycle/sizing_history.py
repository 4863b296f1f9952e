"""History of sizing decisions: containers excluded by people or verifications, and verified values.

Rebuilt in every analysis from the profile's dismissals and the retained WorkflowChanges, so that it survives restarts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from concertmaster.core.changes.ledger import LedgerEntry
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.enums import RuleName
from concertmaster.core.times import iso

# Rules that proposed sizes formerly: a dismissal of one still excludes that resource of the step.
_RESOURCES: dict[str, str | None] = {
    RuleName.RIGHT_SIZE: None,
    RuleName.MEMORY_REQUEST: "memory",
    RuleName.CPU_REQUEST: "cpu",
}


@dataclass(frozen=True, slots=True)
class SizingHistory:
    """``left_out``: why a request gets no new size, by step (or ``step.container``) and resource (None: both).
    ``verified``: values set by a change that was verified and kept, by recommendation and JSON pointer. ``proposed``:
    requests published by the last analysis, by step, container and resource (cores or bytes)."""

    left_out: Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    verified: Mapping[tuple[str, str], str] = field(default_factory=dict)
    proposed: Mapping[tuple[str, str, str], float] = field(default_factory=dict)

    def excluded(self, step: str, container: str, resource: str) -> str | None:
        """Why that request is excluded; None when it is not."""
        names, resources = (step, f"{step}.{container}"), (None, resource)
        return next((self.left_out[n, r] for n in names for r in resources if (n, r) in self.left_out), None)

    def is_own(self, holder: str | None, pointer: str, present: str | None) -> bool:
        """Whether a verified right-sizing of the object (``holder``; None: the workflow's own) set the current value."""
        rule = RuleName.RIGHT_SIZE.value
        return present is not None and self.verified.get((f"{rule}.{holder}" if holder else rule, pointer)) == present


def sizing_history(
    dismissals: Mapping[str, str],
    lines: Iterable[LedgerEntry],
    objects: Collection[str] = (),
    published: Iterable[tuple[str, str, str, str]] = (),
) -> SizingHistory:
    """The history of one workflow. ``dismissals``: active ones, id to text; ``lines``: ledger lines of its retained changes;
    ``objects``: those with a right-sizing of their own, whose ids contain their name instead of a step; ``published``: step,
    container, field (``requests.cpu``) and new value of the right-sizings published by the last analysis."""
    left_out: dict[tuple[str, str | None], str] = {}
    verified: dict[tuple[str, str], str] = {}
    for line in sorted((x for x in lines if x.rule == RuleName.RIGHT_SIZE), key=lambda x: x.finished):
        verified.update(((line.recommendation, pointer), value) for pointer, value in line.stayed)
        for step in line.harmed:
            left_out[step, None] = f"a change of it was rolled back on {(iso(line.finished) or '')[:10]}"
    for recommendation, words in dismissals.items():
        rule, _, name = recommendation.partition(".")
        if name and rule in _RESOURCES and not (rule == RuleName.RIGHT_SIZE and name in objects):
            left_out[name, _RESOURCES[rule]] = f"dismissed ({words})"
    proposed = {}
    for step, container, name, new in published:
        section, _, resource = name.partition(".")
        amount = quantity(new)
        if section == "requests" and amount:
            proposed[step, container, resource] = amount
    return SizingHistory(left_out, verified, proposed)

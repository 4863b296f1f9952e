"""``best-practices``: a checklist; each item passes, fails or does not apply, with the field to set.

Values are the business of other rules; this one only reports what is missing. Unknown counts as not applicable, never as
failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from concertmaster.core import text
from concertmaster.core.model import Category, ContainerSpec, Finding, Level, StepSpec
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Damping, Rule
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.performance.caching import lookups, recommended_cache
from concertmaster.core.schedules.scheduler import scheduler_of


class State(StrEnum):
    """State of a checklist item."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One item: its name, its state, what is missing where, and the field to set."""

    name: str
    state: State
    detail: str
    field: str

    @property
    def line(self) -> str:
        """The item as a line of evidence."""
        return f"{self.name}: {self.state.value}" + (f", {self.detail}" if self.detail else "") + f" ({self.field})"


def _steps(evidence: Evidence, daemons: bool = False) -> list[StepSpec]:
    """Steps that have pods; ``daemons``: also those that end with the steps they serve."""
    return [s for s in evidence.analysis.definition.graph.steps if not s.waits and (daemons or not s.daemon)]


def _each(
    evidence: Evidence,
    name: str,
    field: str,
    holds: Callable[[StepSpec], bool | None],
    lacks: str,
    daemons: bool = False,
) -> ChecklistItem:
    """An item that every step must pass; ``holds`` returns None when nothing is known of a step."""
    known = {s.name: holds(s) for s in _steps(evidence, daemons)}
    bad = [evidence.title(n) for n, ok in known.items() if ok is False]
    if bad:
        return ChecklistItem(name, State.FAILED, f"{lacks} in {text.listing(bad)}", field)
    return ChecklistItem(name, State.PASSED if any(known.values()) else State.NOT_APPLICABLE, "", field)


def _all(of: Callable[[ContainerSpec], bool]) -> Callable[[StepSpec], bool | None]:
    def holds(spec: StepSpec) -> bool | None:
        rows = [c for c in spec.containers if not c.init]
        return all(of(c) for c in rows) if rows else None

    return holds


def _pinned(container: ContainerSpec) -> bool:
    image = container.image
    if image is None:
        return True  # it is known elsewhere: a StepAction of Tekton has it
    tag = image.rpartition("/")[2].partition(":")[2]
    return "@" in image or (tag not in ("", "latest")) or "{{" in image


def _exit_handler(evidence: Evidence) -> ChecklistItem:
    field = "spec.onExit"
    if not evidence.analysis.definition.engine.exit_handler:
        return ChecklistItem("exit handler", State.NOT_APPLICABLE, "", field)
    declared = evidence.analysis.definition.declared
    if "onExit" in declared or any(s.on_exit for s in evidence.analysis.definition.graph.steps):
        return ChecklistItem("exit handler", State.PASSED, "", field)
    return ChecklistItem("exit handler", State.FAILED, "nobody is notified when a run fails", field)


def _concurrency(evidence: Evidence) -> ChecklistItem:
    """Scheduled runs must not accumulate; wide fan-outs need a limit."""
    definition = evidence.analysis.definition
    by = scheduler_of(definition)
    if definition.schedule is not None and by is not None:
        field = "spec.concurrencyPolicy"
        policy = by.declared.get("concurrencyPolicy")
        if policy in ("Forbid", "Replace"):
            return ChecklistItem("concurrency", State.PASSED, "", field)
        return ChecklistItem("concurrency", State.FAILED, "a late run does not keep the next from starting", field)
    wide = [s.name for s in _steps(evidence) if s.fan_out and (s.width is None or s.width > 10)]
    if not wide:
        return ChecklistItem("concurrency", State.NOT_APPLICABLE, "", "parallelism")
    limited = definition.graph.parallelism is not None or all(
        s.parallelism is not None for s in _steps(evidence) if s.name in wide
    )
    if limited:
        return ChecklistItem("concurrency", State.PASSED, "", "parallelism")
    return ChecklistItem(
        "concurrency", State.FAILED, f"nothing limits the fan-out of {text.listing(wide)}", "parallelism"
    )


def _caching(evidence: Evidence) -> ChecklistItem:
    """Fails only when inputs are known to repeat and nothing caches results."""
    repeats: list[str] = []
    field = evidence.analysis.definition.engine.memoize_field or "cache"
    known = any(s.memoized for s in _steps(evidence))
    for spec in (s for s in _steps(evidence) if not s.memoized):
        if spec.name not in evidence.rows.fingerprinted:
            continue
        rows = [e for of_run in evidence.rows.all.get(spec.name, {}).values() for e in of_run if e.input_fingerprint]
        if len(rows) < 10:
            continue
        known = True
        if (recommended_cache(lookups(rows)).hit_ratio or 0.0) >= 0.2:
            repeats.append(evidence.title(spec.name))
    if repeats:
        return ChecklistItem(
            "caching", State.FAILED, f"inputs repeat in {text.listing(repeats)}, see cache-step", field
        )
    return ChecklistItem("caching", State.PASSED if known else State.NOT_APPLICABLE, "", field)


def _clean_up(evidence: Evidence) -> ChecklistItem:
    declared = evidence.analysis.definition.declared
    engine = evidence.analysis.definition.engine
    if not engine.clean_up_fields:
        return ChecklistItem("clean-up", State.NOT_APPLICABLE, "", "ttlStrategy")
    if evidence.analysis.definition.schedule is not None and engine.keeps_few_scheduled:
        return ChecklistItem("clean-up", State.PASSED, "", "successfulJobsHistoryLimit")  # Kubernetes defaults to three
    if any(f in declared for f in engine.clean_up_fields):
        return ChecklistItem("clean-up", State.PASSED, "", engine.clean_up_fields[0])
    return ChecklistItem("clean-up", State.FAILED, "finished runs are never deleted", engine.clean_up_fields[0])


def _metrics(evidence: Evidence) -> ChecklistItem:
    least = evidence.analysis.options.min_coverage
    poor = [
        evidence.title(s.step)
        for s in evidence.analysis.steps
        if any(c.coverage is not None and c.coverage < least for c in s.containers)
    ]
    if poor:
        return ChecklistItem(
            "metrics", State.FAILED, f"too few samples of {text.listing(poor)}, see data-quality", "scrape interval"
        )
    known = any(c.coverage is not None for s in evidence.analysis.steps for c in s.containers)
    return ChecklistItem("metrics", State.PASSED if known else State.NOT_APPLICABLE, "", "scrape interval")


def _retried(spec: StepSpec) -> bool | None:
    """Whether a step is retried, by itself or with a template around it; an unknown limit counts as set where there is a
    strategy."""
    if spec.outer_retries != 0:
        return True
    return spec.retry_limit > 0 if spec.retry_limit is not None else True if "retryStrategy" in spec.declared else None


def checklist(evidence: Evidence) -> list[ChecklistItem]:
    """All items in a fixed order."""
    engine = evidence.analysis.definition.engine
    whole = "activeDeadlineSeconds" in evidence.analysis.definition.declared
    return [
        _each(
            evidence,
            "time limits",
            engine.deadline_field or "timeout",
            lambda s: True if whole else s.has_timeout,
            "none",
        ),
        _each(
            evidence,
            "retries",
            engine.retry_strategy_field or ("retries", *engine.retry_limit_fields)[-1],
            _retried,
            "none",
        ),
        _exit_handler(evidence),
        _each(
            evidence,
            "requests",
            "resources.requests",
            _all(lambda c: c.cpu_request is not None and c.memory_request is not None),
            "CPU or memory missing",
            True,
        ),
        _each(
            evidence,
            "memory limits",
            "resources.limits.memory",
            _all(lambda c: c.memory_limit is not None),
            "none",
            True,
        ),
        _each(evidence, "pinned images", "image", _all(_pinned), "no tag, or latest,", True),
        _caching(evidence),
        _concurrency(evidence),
        _clean_up(evidence),
        _metrics(evidence),
    ]


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation with the whole checklist, if any item failed."""
    analysis = evidence.analysis
    if not analysis.enough or analysis.definition.graph.inferred:
        return
    items = checklist(evidence)
    failed = [i for i in items if i.state is State.FAILED]
    asked = [i for i in items if i.state is not State.NOT_APPLICABLE]
    if not failed:
        return
    yield Finding(
        action=f"Follow best practices: {text.listing([i.name for i in failed], 5)}",
        because=(
            f"{len(failed)} of {text.count(len(asked), 'item')} that {'applies' if len(asked) == 1 else 'apply'} to"
            " this workflow failed"
            f" {evidence.runs(len(analysis.runs))}; {text.listing([f'{i.name} ({i.detail})' for i in failed], 2)}"
        ),
        otherwise="risks: stuck runs, evictions, unreported failures, overlapping runs",
        current=f"{len(asked) - len(failed)} of {len(asked)} passed",
        proposed=f"set {text.listing(list(dict.fromkeys(i.field for i in failed)), 5)}",
        expected=f"no gain in time or money is predicted; {text.count(len(failed), 'risk')} less",
        confidence=0.3,
        evidence=tuple(i.line for i in items),
    )


RULE = Rule(RuleName.BEST_PRACTICES, evaluate, Category.BEST_PRACTICE, Level.LOW, tie_break=0, damping=Damping.NONE)

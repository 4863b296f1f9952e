"""``best-practices``: a checklist; each item passes, fails or does not apply, with the field to set.

Values are the business of other rules; this one only reports what is missing. Unknown counts as not applicable, never as
failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from concertmaster.core import text
from concertmaster.core.model import Category, ContainerSpec, Finding, Level, StepSpec
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Damping, Rule
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.performance.caching import lookups, recommended_cache
from concertmaster.core.schedules.scheduler import scheduler_of


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One item: its name, the field to set, whether it ``passed`` (None: it does not apply), and what is missing where if it
    did not."""

    name: str
    field: str
    passed: bool | None
    detail: str

    @property
    def line(self) -> str:
        """The item as a line of evidence."""
        state = {True: "passed", False: f"failed, {self.detail}", None: "not applicable"}[self.passed]
        return f"{self.name}: {state} ({self.field})"


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
    return ChecklistItem(name, field, _known(any(known.values()), bad), f"{lacks} in {text.listing(bad)}")


def _known(known: bool, bad: Sequence[str]) -> bool | None:
    """Whether an item passed that nothing ``bad`` must be found for; None where nothing is ``known`` of it."""
    return not bad if known or bad else None


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
    definition = evidence.analysis.definition
    handled = "onExit" in definition.declared or any(s.on_exit for s in definition.graph.steps)
    passed = handled if definition.engine.exit_handler else None
    return ChecklistItem("exit handler", "spec.onExit", passed, "nobody is notified when a run fails")


def _concurrency(evidence: Evidence) -> ChecklistItem:
    """Scheduled runs must not accumulate; wide fan-outs need a limit."""
    definition = evidence.analysis.definition
    by = scheduler_of(definition)
    if definition.schedule is not None and by is not None:
        apart = by.declared.get("concurrencyPolicy") in ("Forbid", "Replace")
        late = "a late run does not keep the next from starting"
        return ChecklistItem("concurrency", "spec.concurrencyPolicy", apart, late)
    wide = [s.name for s in _steps(evidence) if s.fan_out and (s.width is None or s.width > 10)]
    limited = definition.graph.parallelism is not None or all(
        s.parallelism is not None for s in _steps(evidence) if s.name in wide
    )
    unlimited = f"nothing limits the fan-out of {text.listing(wide)}"
    return ChecklistItem("concurrency", "parallelism", limited if wide else None, unlimited)


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
        if recommended_cache(lookups(rows)).hit_ratio >= 0.2:
            repeats.append(evidence.title(spec.name))
    repeated = f"inputs repeat in {text.listing(repeats)}, see cache-step"
    return ChecklistItem("caching", field, _known(known, repeats), repeated)


def _clean_up(evidence: Evidence) -> ChecklistItem:
    definition, fields = evidence.analysis.definition, evidence.analysis.definition.engine.clean_up_fields
    passed: bool | None = any(f in definition.declared for f in fields)
    field = fields[0] if fields else "ttlStrategy"
    if not fields:
        passed = None
    elif definition.schedule is not None and definition.engine.keeps_few_scheduled:
        passed, field = True, "successfulJobsHistoryLimit"  # Kubernetes defaults to three
    return ChecklistItem("clean-up", field, passed, "finished runs are never deleted")


def _metrics(evidence: Evidence) -> ChecklistItem:
    least = evidence.analysis.options.min_coverage
    poor = [
        evidence.title(s.step)
        for s in evidence.analysis.steps
        if any(c.coverage is not None and c.coverage < least for c in s.containers)
    ]
    known = any(c.coverage is not None for s in evidence.analysis.steps for c in s.containers)
    few = f"too few samples of {text.listing(poor)}, see data-quality"
    field = "shorter scrape interval" if poor else "scrape interval"
    return ChecklistItem("metrics", field, _known(known, poor), few)


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
    if analysis.definition.graph.inferred:
        return
    items = checklist(evidence)
    failed = [i for i in items if i.passed is False]
    asked = [i for i in items if i.passed is not None]
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

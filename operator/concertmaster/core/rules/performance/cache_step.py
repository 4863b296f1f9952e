"""``cache-step``: a step that recomputes earlier results.

The history is replayed against a cache of each usual age: which executions had inputs seen before and would have been hits?
The smallest age that reaches nearly all of those hits is proposed, since stale results are the risk of a cache.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core import text
from concertmaster.core.analysis.cost.executions import execution_units
from concertmaster.core.analysis.replay.gain import has_ended, paired_gain, without
from concertmaster.core.analysis.runs.executions import ABSENT
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import (
    Category,
    Edit,
    Finding,
    Interval,
    Level,
    Outcome,
    RunRecord,
    StepExecution,
    StepSpec,
    WorkflowGraph,
)
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence, worth
from concertmaster.core.rules.intervals import mean_interval
from concertmaster.core.rules.performance.caching import RecommendedCache, lookups, recommended_cache
from concertmaster.core.rules.resources.rows.sizing_units import shared
from concertmaster.core.units import HOUR

_MAX_NAME_LENGTH = 253  # of a ConfigMap


def _parameters(spec: StepSpec) -> list[str]:
    inputs = spec.declared.get("inputs")
    rows = inputs.get("parameters") if isinstance(inputs, Mapping) else None
    return [str(r["name"]) for r in rows if isinstance(r, Mapping) and "name" in r] if isinstance(rows, list) else []


def _edits(evidence: Evidence, spec: StepSpec, age: str) -> tuple[Edit, ...]:
    """Memoization. Without declared inputs there is no key and without outputs nothing to store: then no patch."""
    definition = evidence.analysis.definition
    names = _parameters(spec)
    if shared(evidence.analysis, spec):
        return ()
    field = definition.engine.memoize_field
    if field is None or spec.pointer is None or not names or "outputs" not in spec.declared:
        return ()
    # Argo accepts letters, digits and dashes in a key, and runs end in Error on anything else: use a hash of the inputs.
    name = re.sub("[^a-zA-Z0-9]+", "-", spec.template or spec.name).strip("-")  # an inline template has no name
    key = f"{name}-{{{{=sprig.sha256sum(sprig.toJson(inputs.parameters))}}}}"
    # The controller reads only the name; the full CRDs also require a key.
    cache = {"configMap": {"name": _config_map(f"{definition.key.name}-{name}"), "key": "cache"}}
    memoize = {"key": key, "maxAge": age, "cache": cache}
    return (commands.field_edit(f"{spec.pointer}/{field}", None, memoize),)


def _config_map(name: str) -> str:
    """A name that the API server accepts: templates may have capitals, and both names together may be too long."""
    valid = name.lower()
    if len(valid) <= _MAX_NAME_LENGTH:
        return valid
    return f"{valid[: _MAX_NAME_LENGTH - 9].rstrip('-.')}-{zlib.crc32(name.encode()):08x}"


class _Asked(NamedTuple):
    """One execution of the step that a cache would be asked for: its run, and its position in ``RunRecord.steps``."""

    run: str
    source: int
    execution: StepExecution


def _asked(evidence: Evidence, step: str) -> list[_Asked]:
    """Every execution whose times are known, in order of the runs."""
    return [
        _Asked(run.run, k, e)
        for run in evidence.analysis.runs
        for k, e in enumerate(run.steps)
        if e.step == step and e.outcome not in ABSENT and e.started is not None and e.finished is not None
    ]


def _answered(runs: Sequence[RunRecord], asked: Sequence[_Asked], cache: RecommendedCache) -> dict[str, list[_Asked]]:
    """By run: the executions that the cache would have answered, none where the step did not run. Without runs in which it
    ran with unknown inputs only: they say nothing."""
    each = zip(asked, lookups([a.execution for a in asked]), strict=True)
    unknown = {a.run for a in asked} - {a.run for a, lookup in each if lookup.known}
    answered: dict[str, list[_Asked]] = {run.run: [] for run in runs if run.run not in unknown}
    for k in cache.answered:
        answered[asked[k].run].append(asked[k])
    return answered


def _saving(evidence: Evidence, answered: Mapping[str, Sequence[_Asked]]) -> Interval | None:
    """Money per month: the cost of the executions that would have been answered, run by run."""
    costs = evidence.analysis.costs

    def cost(execution: StepExecution) -> float:
        priced = costs.execution(execution)
        return execution_units(execution, costs.pricing) + (priced.total if priced is not None else 0.0)

    saved = [sum(cost(a.execution) for a in of_run) for of_run in answered.values()]
    month = mean_interval(saved, evidence.analysis.cost.runs_per_month or 0.0)
    return replace(month, low=max(0.0, month.low)) if month is not None and month.likely > 0.0 else None


def _gains(evidence: Evidence, answered: Mapping[str, Sequence[_Asked]]) -> tuple[Interval, Interval] | None:
    """Share and seconds of the run saved by the hits, if that is worth it. Each run is replayed with its own hits, since
    those of a run may go together, and inputs that repeat may be the small or the large ones."""
    runs = [run for run in evidence.recent() if run.usable and run.run in answered]
    if not runs:
        return None
    gone = [{a.source for a in answered[run.run]} for run in runs]
    before = np.array([run.replayed for run in runs])
    after = np.array([without(run, own) if own else run.replayed for run, own in zip(runs, gone, strict=True)])
    return worth(paired_gain(before - after, before), evidence.settings.number("minGainPercent", 5.0))


def _finding(
    evidence: Evidence, step: StepAnalysis, spec: StepSpec, asked: Sequence[_Asked], cache: RecommendedCache
) -> Finding | None:
    analysis = evidence.analysis
    ratio, hours = cache.hit_ratio, f"{round((cache.max_age or 0.0) / HOUR)}h"
    answered = _answered(analysis.runs, asked, cache)
    if has_ended(np.array([len(of_run) for of_run in answered.values()])):
        return None
    gains = _gains(evidence, answered)
    saving = _saving(evidence, answered)
    month = analysis.cost.per_month
    worthwhile = saving is not None and month is not None and saving.likely >= 0.05 * month
    if gains is None and not worthwhile:
        return None
    name = evidence.title(step.step)
    edits = _edits(evidence, spec, hours)
    money = f"{text.money(saving.likely, analysis.pricing.currency)} less a month" if saving is not None else ""
    first = (
        gain_sentence(*gains)
        if gains is not None
        else f"no shorter run, but {text.duration(cache.saved_seconds)} less pod time"
    )
    of_image = " with the same image" if any(c.image for a in asked for c in a.execution.containers) else ""
    return Finding(
        step=step.step,
        action=f"Cache the results of {name} for {hours}",
        because=(
            f"{cache.hits} of its {cache.known} executions with known inputs repeat those of an earlier one{of_image},"
            f" {text.percent(ratio)} {evidence.runs(step.runs)}; {cache.distinct} different ones in all"
        ),
        otherwise=(
            f"known results keep being recomputed, {text.duration(cache.saved_seconds)} of pod time in {evidence.window()}"
        ),
        category=Category.PERFORMANCE if gains is not None else Category.COST,
        risk=Level.MEDIUM,
        effort=Level.LOW if edits else Level.MEDIUM,
        current="no cache",
        proposed=f"cache of at most {hours}, hit ratio {text.percent(ratio)}",
        expected=", ".join(p for p in (first, money) if p),
        confidence=min(0.8, cache.known / (cache.known + 20.0)),
        gain_seconds=gains[1] if gains is not None else None,
        gain_share=gains[0] if gains is not None else None,
        saving_per_month=saving,
        edits=edits,
        evidence=(
            f"{hours} is the smallest usual age with 95% of the hits a cache of 30d would have had",
            f"an answer may be up to {hours} old: valid only if the step reads only its inputs",
            *(
                ["its key has no image: after a release, answers of the earlier one stay until they expire"]
                if edits
                else []
            ),
            "Argo before 4.1 requires `cache.configMap.key`, 4.1 does not know it: remove it there from manifests in Git"
            if edits
            else "a cache needs declared input parameters as its key and outputs to keep",
        ),
    )


def _unread(graph: WorkflowGraph, step: str) -> bool:
    """Whether the steps behind it read results, but none of this step: it runs for an effect that a cache would leave out.
    A step that reads from no other shows nothing by what it does not reference, nor does a handler."""
    behind = [s for s in graph.steps if step in s.depends_on and not s.on_exit]
    return bool(behind) and all(s.reads and step not in s.reads for s in behind)


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation per uncached step with repeated inputs."""
    analysis = evidence.analysis
    least = evidence.settings.number("minHitPercent", 20.0) / 100
    for step in analysis.steps:
        spec = step.spec
        if spec is None or spec.memoized or spec.waits or spec.daemon or (step.duration.mean or 0.0) <= 0.1:
            continue
        if step.step not in evidence.rows.fingerprinted:
            continue
        asked = _asked(evidence, step.step)
        inputs = {a.execution.input_fingerprint for a in asked if a.execution.outcome is not Outcome.UNKNOWN} - {None}
        if len(inputs) < 2 or _unread(analysis.definition.graph, step.step):
            continue  # with one input forever, what changes its result is outside the workflow
        cache = recommended_cache(lookups([a.execution for a in asked]))
        if cache.max_age is not None and cache.hit_ratio >= least:
            yield _finding(evidence, step, spec, asked, cache)


RULE = Rule(
    RuleName.CACHE_STEP,
    evaluate,
    Category.PERFORMANCE,
    Level.LOW,
    tie_break=8,
    settings=("minGainPercent", "minHitPercent"),
)

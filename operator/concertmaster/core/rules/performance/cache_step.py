"""``cache-step``: a step that recomputes earlier results.

The history is replayed against a cache of each usual age: which executions had inputs seen before and would have been hits?
The smallest age that reaches nearly all of those hits is proposed, since stale results are the risk of a cache.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping

from concertmaster.core import text
from concertmaster.core.analysis.cost.executions import execution_units
from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import (
    Category,
    Edit,
    Finding,
    Interval,
    Level,
    Outcome,
    StepExecution,
    StepSpec,
    WorkflowGraph,
)
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import share_interval
from concertmaster.core.rules.performance.caching import RecommendedCache, lookups, recommended_cache
from concertmaster.core.rules.resources.rows.sizing_units import shared
from concertmaster.core.stats.means import combined
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


def _saving(evidence: Evidence, rows: list[StepExecution], cache: RecommendedCache) -> Interval | None:
    """Money per month: the mean cost of an execution for each hit, at the current run rate. Executions of unknown inputs are
    taken to repeat as often as the others."""
    analysis = evidence.analysis
    priced = [(analysis.costs.execution(e), execution_units(e, analysis.pricing)) for e in rows]
    costs = [units + (c.total if c is not None else 0.0) for c, units in priced if c is not None or units]
    if not costs or analysis.cost.runs_per_month is None or not analysis.runs:
        return None
    hits = cache.hits * (len(lookups(rows)) / cache.known)
    likely = sum(costs) / len(costs) * hits / len(analysis.runs) * analysis.cost.runs_per_month
    # Hits per month are a count like those observed: standard deviation is its square root.
    spread = 1.645 / max(1.0, float(cache.hits)) ** 0.5
    return Interval(likely * max(0.0, 1 - spread), likely, likely * (1 + spread)) if likely > 0 else None


def _gains(evidence: Evidence, step: str, cache: RecommendedCache) -> tuple[Interval, Interval] | None:
    """Share and seconds of the run saved by the hits, if that is worth it. How often inputs repeat is known from these
    executions only, so the ends of that share are replayed as well."""
    gains = evidence.worth(WhatIf.cache_hit(step, cache.hit_ratio), evidence.settings.number("minGainPercent", 5.0))
    often = share_interval(cache.hits, cache.known)
    if gains is None or often is None:
        return gains
    fewest, most = (evidence.gain(WhatIf.cache_hit(step, share)) for share in (often.low, often.high))
    return _widened(gains[0], fewest.share, most.share), _widened(gains[1], fewest.seconds, most.seconds)


def _widened(gained: Interval, least: Interval | None, most: Interval | None) -> Interval:
    """Combined with what the fewest and the most hits gain."""
    if least is None or most is None:
        return gained
    return combined(gained.likely, [gained, Interval(least.likely, gained.likely, most.likely)])


def _finding(
    evidence: Evidence, step: StepAnalysis, spec: StepSpec, rows: list[StepExecution], cache: RecommendedCache
) -> Finding | None:
    analysis = evidence.analysis
    ratio, hours = cache.hit_ratio, f"{round((cache.max_age or 0.0) / HOUR)}h"
    gains = _gains(evidence, step.step, cache)
    saving = _saving(evidence, rows, cache)
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
    of_image = " with the same image" if any(c.image for e in rows for c in e.containers) else ""
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
    if not analysis.enough:
        return
    least = evidence.settings.number("minHitPercent", 20.0) / 100
    for step in analysis.steps:
        spec = step.spec
        if spec is None or spec.memoized or spec.waits or spec.daemon or (step.duration.mean or 0.0) <= 0.1:
            continue
        if step.step not in evidence.rows.fingerprinted:
            continue
        rows = [e for of_run in evidence.rows.all.get(step.step, {}).values() for e in of_run]
        inputs = {e.input_fingerprint for e in rows if e.outcome is not Outcome.UNKNOWN} - {None}
        if len(inputs) < 2 or _unread(analysis.definition.graph, step.step):
            continue  # with one input forever, what changes its result is outside the workflow
        cache = recommended_cache(lookups(rows))
        if cache.max_age is not None and cache.hit_ratio >= least:
            yield _finding(evidence, step, spec, rows, cache)


RULE = Rule(
    RuleName.CACHE_STEP,
    evaluate,
    Category.PERFORMANCE,
    Level.LOW,
    tie_break=8,
    settings=("minGainPercent", "minHitPercent"),
)

"""The measures, and the candidate constants for each. The first variant of each is the shipped one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.nested import cases, sizing
from benchmarks.nested.choose import Figure, Rows
from benchmarks.nested.series_laws import recorded_series, simulated_series
from benchmarks.nested.traces import traces
from concertmaster.core.changepoint import segment
from concertmaster.core.sizing import (
    authored_request,
    by_input,
    cpu,
    expected_peaks,
    memory,
    tail,
    trend,
    waste,
)
from concertmaster.core.stats import regression
from concertmaster.core.stats.alternatives import LINE

# The package exports the function of the same name.
detecting = import_module("concertmaster.core.changepoint.detect")

Variant = Mapping[tuple[ModuleType, str], Any]
LEAST_ERROR = 0.01
# Authors ask for the default of a class of tools; those of the simulated steps ask for 1.1 to 4 times the largest peak.
GENEROUS = 4.0


_INDICES: dict[str, Variant] = {f"index {a:g}": {(authored_request, "INDEX"): a} for a in (0.5, 2.0)}
_SIZES: dict[str, Variant] = {
    "shipped": {},
    **{f"bound {b:g}": {(waste, "FAILURE_BOUND"): b} for b in (0.02, 0.005)},
    **_INDICES,
    **{f"unlike {u:g}": {(authored_request, "UNLIKE"): u} for u in (1e-9, 0.7, 2.8)},
    **{f"halfway at {h:g}": {(authored_request, "HALFWAY"): h} for h in (0.15, 1.5)},
    **{f"expected {e:g}": {(authored_request, "EXPECTED"): e} for e in (0.05, 0.4)},
    **{f"common {c / 2.0**30:g} GiB": {(authored_request, "COMMON"): c} for c in (2.0**27, 2.0**31)},
    **{f"evidence {e:g}": {(authored_request, "MAX_EVIDENCE"): e} for e in (1.5, 4.0)},
    "flatter 4": {(authored_request, "FLATTER"): 4.0},
    "significance 5%": {(trend, "GROWTH_Z"): 1.645},
    **{f"growth for {h:g} histories": {(expected_peaks, "HORIZON"): h} for h in (1.0, 2.0, 3.0)},
    "inputs' growth for 1.5": {(expected_peaks, "DRIVEN_HORIZON"): 1.5},
    "without records": {(memory, "records_z"): lambda values: 0.0 * trend.records_z(values)},
    "records twice": {(memory, "records_z"): lambda values: 2.0 * trend.records_z(values)},
    "own growth only": {(expected_peaks, "driven_growth"): lambda *_: 0.0},
    "gaps of half the runs": {(tail, "gaps_used"): lambda n: n // 2},
}
_INPUTS: dict[str, Variant] = {
    "shipped": {},
    "whole bound": {(by_input, "OPTIMISM"): 1.0},
    "half the bound": {(by_input, "OPTIMISM"): 0.5},
    **{f"range {r:g}": {(by_input, "RANGE"): r} for r in (1.3, 2.0)},
    "three neighbours": {(by_input, "NEIGHBOURS"): 3},
    "worth a fifth": {(by_input, "WORTH"): 0.2},
    "beyond 0.1": {(by_input, "BEYOND"): 0.1},
    **_INDICES,
}
_PRICES: dict[str, Variant] = {
    "shipped": {},
    **{f"delay price {p:g}": {(cpu, "DELAY_PRICE"): p} for p in (50.0, 100.0, 150.0, 250.0)},
    "growth from 1%": {(cpu, "GROWTH_Z"): 2.326},
    "no growth": {(cpu, "GROWTH_Z"): np.inf},
    "no growth, price 250": {(cpu, "GROWTH_Z"): np.inf, (cpu, "DELAY_PRICE"): 250.0},
}


@dataclass(frozen=True, slots=True)
class Measure:
    """``families`` contain cases, ``score`` converts the cases of one family to rows with the constants in effect."""

    name: str
    families: Mapping[str, Sequence[Any]]
    score: Callable[[Sequence[Any]], Rows]
    variants: Mapping[str, Variant]
    figure: Figure


@contextmanager
def constants(variant: Variant) -> Iterator[None]:
    """The product with other constants."""
    with ExitStack() as stack:
        for (module, name), value in variant.items():
            stack.enter_context(patch.object(module, name, value))
        yield


def scores(measure: Measure) -> dict[str, dict[str, Rows]]:
    """Rows by variant and family."""
    found: dict[str, dict[str, Rows]] = {}
    for name, variant in measure.variants.items():
        with constants(variant):
            found[name] = {family: measure.score(of_family) for family, of_family in measure.families.items()}
    return found


def all_measures(data: Path, traces_in: Path | None = None) -> Iterator[Measure]:
    """All measures, generated one at a time because their cases are large; those of traces only where there are any."""
    pods = cases.pods(data)
    steps, tools = {**pods, **cases.simulated(), **cases.wide()}, cases.tools()
    wasted = Figure("waste, of KRR's @ failed per 100", sizing.waste_share, sizing.failed, 1.0)
    every = {**steps, **tools, **cases.machines(data)}
    yield Measure("memory: one size", every, sizing.sized(shuffled=True), _SIZES, wasted)
    yield Measure("memory: inputs grow", steps, sizing.sized(shuffled=False), _SIZES, wasted)
    yield Measure("memory: inputs grow, tools", tools, sizing.sized(shuffled=False), _SIZES, wasted)
    yield Measure("memory: by input", {**steps, **tools}, sizing.sized(shuffled=True, by_input=True), _INPUTS, wasted)
    yield Measure("memory: cold start, tools", tools, sizing.cold_start, _INPUTS, wasted)
    real = traces(traces_in) if traces_in else {}
    of_real = (
        ("one size", sizing.sized(shuffled=True), _SIZES),
        ("by input", sizing.sized(shuffled=True, by_input=True), _INPUTS),
        ("in order", sizing.sized(shuffled=False), _SIZES),
        ("cold start", sizing.cold_start, _INPUTS),
    )
    for name, score, of_sizes in of_real if real else ():
        yield Measure(f"memory: {name}, traces", real, score, of_sizes, wasted)
    generous = {f: [replace(step, preset=GENEROUS * step.preset) for step in of] for f, of in steps.items()}
    for name, of_sizes, by_input_too in (("one size", _SIZES, False), ("by input", _INPUTS, True)):
        score = sizing.sized(shuffled=True, by_input=by_input_too)
        yield Measure(f"memory: {name}, requests times {GENEROUS:g}", generous, score, of_sizes, wasted)
    unused = Figure("unused core-hours, of those used @ longer run time, %", sizing.unused, sizing.longer, 0.25)
    yield Measure("CPU", pods, sizing.sized_cpu, _PRICES, unused)
    than_largest = Figure(
        "unused core-hours, of those used @ longer run time, % of that with the largest use seen",
        sizing.unused,
        sizing.longer_than_largest,
        100.0,
    )
    yield Measure("CPU, simulated", cases.simulated_cpu(), sizing.sized_cpu, _PRICES, than_largest)
    error = Figure("error, %: root of median times 90th percentile @ 90th percentile", _error, _p90)
    of_runtime = ("0.25/0.5", "0.4/0.4", "1/1", "0.25/0.25 1/1", "0.4/0.4 1/1")
    of_memory = ("0.15/0.15", "0.4/0.4", "0.25/0.5", "0.25/0.25 1/1")
    for target, fit, spans, others in (
        ("runtime", regression.fit_runtime, "RUNTIME_SPANS", of_runtime),
        ("memory", regression.fit_memory, "MEMORY_SPANS", of_memory),
    ):
        variants: dict[str, Variant] = {
            "shipped": {},
            "line alone": {(regression, "likelihoods"): lambda off, _: np.eye(off.shape[0])[LINE]},
            "best alone": {(regression, "likelihoods"): lambda off, _: np.eye(off.shape[0])[off.mean(axis=1).argmin()]},
            "upper half": {(regression, "UPPER"): 0.5},
            **{f"lines {text}": {(regression, spans): _spans(text)} for text in others},
        }
        of_target = cases.relations(data, target)
        yield Measure(f"{target} over input", of_target, _predicted(fit), variants, error)
        of_traces = cases.relations_of(real, target)
        if of_traces:
            yield Measure(f"{target} over input, traces", of_traces, _predicted(fit), variants, error)
    of_sources: dict[str, list[dict[str, Any]]] = {}
    for series in cases.scorer(data, "stepshift").load("dev"):
        of_sources.setdefault(series["source"].split("/")[0], []).append(series)
    yield _changes("changes and ramps", data, of_sources | simulated_series())
    if real:
        yield _changes("changes and ramps, traces", data, recorded_series(real))


def _spans(text: str) -> regression.Spans:
    return tuple((float(within), float(beyond)) for within, _, beyond in (pair.partition("/") for pair in text.split()))


def _predicted(
    fit: Callable[[Rows, Rows], regression.InputRelation],
) -> Callable[[Sequence[tuple[Rows, Rows, Rows, Rows]]], Rows]:
    def score(relations: Sequence[tuple[Rows, Rows, Rows, Rows]]) -> Rows:
        return np.concatenate([np.abs(fit(x, y).predict(asked) / truth - 1.0) for x, y, asked, truth in relations])

    return score


def _error(families: Sequence[Rows]) -> float:
    """Geometric mean of median and 90th percentile: a good method is not exact on most steps and far off on the others."""
    return float(np.sqrt(_percentile(families, 50) * _percentile(families, 90)))


def _p90(families: Sequence[Rows]) -> float:
    return _percentile(families, 90)


def _percentile(families: Sequence[Rows], share: float) -> float:
    """Geometric mean over families. Errors below 1% count as 1%: a family predicted almost exactly would otherwise
    outweigh ten others."""
    logs = [np.log(max(float(np.percentile(rows, share)), LEAST_ERROR)) for rows in families]
    return float(100.0 * np.exp(np.mean(logs)))


def _changes(name: str, data: Path, families: Mapping[str, Sequence[dict[str, Any]]]) -> Measure:
    match = cases.scorer(data, "stepshift").match

    def score(of_family: Sequence[dict[str, Any]]) -> Rows:
        """Hits, false alarms and misses; series without a change, and the number of them with an alarm."""
        rows = []
        for series in of_family:
            found = [point.index for point in detecting.detect(None, series["values"]).points]
            if series["kind"] == "ramp":
                first = series["truth"][0]
                hit = any(first - 5 <= i <= first + 35 for i in found)
                rows.append([float(hit), 0.0, float(not hit), 0.0, 0.0])
            else:
                hits, extra = match(series["truth"], found, 5)
                quiet = series["kind"] == "none"
                rows.append([sum(hits), extra, len(hits) - sum(hits), float(quiet), float(quiet and bool(found))])
        return np.array(rows, dtype=np.float64)

    def missed(rows: Sequence[Rows]) -> float:
        hits, extra, misses = np.concatenate(rows)[:, :3].sum(axis=0)
        return float(100.0 * (1.0 - 2.0 * hits / max(2.0 * hits + extra + misses, 1e-9)))

    def alarms(rows: Sequence[Rows]) -> float:
        quiet, alarmed = np.concatenate(rows)[:, 3:].sum(axis=0)
        return float(100.0 * alarmed / max(quiet, 1.0))

    variants: dict[str, Variant] = {
        "shipped": {},
        **{f"significance {p:g}": {(segment, "SIGNIFICANCE"): p} for p in (0.002, 0.008, 0.015)},
        "two views 0.75": {(segment, "TWO_VIEWS"): 0.75},
        "drifts from 0.4": {(segment, "DRIFT"): 0.4},
        "drifts from 0.65": {(segment, "DRIFT"): 0.65},
    }
    figure = Figure("100 - F1 of steps and ramps @ quiet series with an alarm, %", missed, alarms, 2.0)
    return Measure(name, families, score, variants, figure)

"""``batch-small-steps``: pods that take longer to start than to work.

Each pod pays for controller, scheduling and start-up. Items of a fan-out can share a pod, and consecutive small steps can
be merged. Batch sizes are evaluated by replay: with limited slots, batches shorten the run; without, a batch may still save
pod time as long as the run does not take longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from concertmaster.core import text
from concertmaster.core.analysis.replay import ExecutedRun, WhatIf
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.known import median, upper_median
from concertmaster.core.model import Category, Finding, Interval, Level, WorkflowGraph
from concertmaster.core.model.engines import POD_BY_POD
from concertmaster.core.model.enums import MetricRole, Per, RuleName
from concertmaster.core.rules.base import Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence, worth
from concertmaster.core.rules.intervals import mean_interval

_SIZES = (2, 4, 8, 16, 32)
_SMALL_SECONDS = 120.0  # seconds of work: a pod that works longer is not small, whatever its scheduling latency
_CALLS = 200  # newest executions used to estimate the cost of a call
_MIN_GAIN_SHARE = 0.9  # share of the best gain that the smallest batch must reach
_NO_LONGER = -0.02  # a run 2% longer counts as unchanged


@dataclass(frozen=True, slots=True)
class _Pods:
    """The pods of one step: number per run, and median seconds of work and of overhead before the work. ``queued``: whether
    they wait for Kueue's quota, too, which is no overhead of a pod: a batch needs as much of it."""

    step: str
    items: int
    work: float
    overhead: float
    queued: bool = False

    @property
    def starting(self) -> str:
        """What its pods do in the time of the overhead."""
        return "start" if self.queued else "get a node and start"

    @property
    def share(self) -> float:
        """Overhead share (0 to 1) of a pod's time."""
        whole = self.work + self.overhead
        return self.overhead / whole if whole > 0 else 0.0


_PodTimes = tuple[str, int, tuple[float, ...], tuple[float, ...], tuple[float, ...]]
"""A step in one run: its name, its number of items, and for each pod the seconds of work, of scheduling latency and start-up
before it, and of start-up alone."""


def _of_run(run: ExecutedRun) -> list[_PodTimes]:
    """Each step that ran."""
    rows: list[_PodTimes] = []
    for name, places in run.index.items():
        chains = run.chains[places[0]] if len(places) == 1 else run.chains_of(name)
        if len(chains) == 1 and len(chains[0]) == 1:  # the common case
            ((only,),) = chains
            rows.append((name, 1, (only.work,), (only.pending + only.starting,), (only.starting,)))
        elif chains:
            pods = list(chain.from_iterable(chains))
            # What the first of them waits for: the others may wait until it ends, and so would batches.
            pending = min([a.pending for a in pods])
            works, overheads = tuple([a.work for a in pods]), tuple([pending + a.starting for a in pods])
            rows.append((name, len(chains), works, overheads, tuple([a.starting for a in pods])))
    return rows


def _pods(runs: Sequence[ExecutedRun], figures: RunFigures, queued: bool) -> dict[str, _Pods]:
    pods: dict[str, _Pods] = {}
    for name, of_runs in figures.grouped(_of_run, runs).items():
        _, items, works, waits, starts = zip(*of_runs, strict=True)
        of_pods = works, starts if queued else waits
        work, overhead = [upper_median(list(chain.from_iterable(seconds))) for seconds in of_pods]
        pods[name] = _Pods(name, int(upper_median(items)), work, overhead, queued)
    return pods


def _sizes(graph: WorkflowGraph, pods: _Pods) -> list[int]:
    """Candidate batch sizes: round numbers, and the size at which all concurrent pods need one round."""
    spec = graph.step(pods.step)
    limits = [n for n in (graph.parallelism, spec.parallelism if spec is not None else None) if n]
    one_round = [-(-pods.items // min(limits))] if limits else []
    return sorted({s for s in (*_SIZES, *one_round) if 2 <= s <= pods.items})


def _best_size(
    evidence: Evidence, runs: Sequence[ExecutedRun], pods: _Pods
) -> tuple[int, tuple[Interval, Interval] | None] | None:
    """The batch size that shortens the run most, with share and seconds, else the largest that does not lengthen it."""
    sizes = _sizes(evidence.analysis.definition.graph, pods)
    tried = [(size, evidence.gain(WhatIf.batch_items(pods.step, size), runs)) for size in sizes]
    least = evidence.settings.number("minGainPercent", 5.0)
    shorter = [(size, gains) for size, gain in tried if (gains := worth(gain, least)) is not None]
    if shorter:
        best = max(share.likely for _, (share, _) in shorter)
        return next(t for t in shorter if t[1][0].likely >= _MIN_GAIN_SHARE * best)
    same = [size for size, gain in tried if gain.share is not None and gain.share.likely >= _NO_LONGER]
    return (same[-1], None) if same else None


def _batch(evidence: Evidence, runs: Sequence[ExecutedRun], pods: _Pods) -> Finding | None:
    best = _best_size(evidence, runs, pods)
    if best is None:
        return None
    size, gains = best
    left = -(-pods.items // size)
    saved = (pods.items - left) * pods.overhead
    name = evidence.title(pods.step)
    if gains is not None:
        expected = f"{gain_sentence(*gains)}, and {text.duration(saved)} less pod time"
    else:
        fewer = f"{text.duration(saved)} less pod time in each run, {pods.items - left} pods fewer"
        expected = f"{fewer}; no impact on run duration"
    return Finding(
        step=pods.step,
        action=f"Batch the items of {name}: 1 -> {size} per pod",
        because=(
            f"its {pods.items} pods work {text.duration(pods.work)} each and take {text.duration(pods.overhead)} to"
            f" {pods.starting} (medians {evidence.recent_runs(len(runs))}):"
            f" {text.percent(pods.share)} of their time is not work"
        ),
        otherwise=f"each run keeps paying {text.duration(pods.items * pods.overhead)} of pod time for starting pods",
        category=Category.PERFORMANCE if gains is not None else Category.COST,
        current=f"{pods.items} pods of one item",
        proposed=f"{text.count(left, 'pod')} of {size} items",
        expected=expected,
        confidence=0.6,
        gain_seconds=gains[1] if gains is not None else None,
        gain_share=gains[0] if gains is not None else None,
        evidence=("replayed with the items of a batch one after the other in one pod, start-up paid once",),
    )


def _rows(graph: WorkflowGraph, pods: dict[str, _Pods], least: float) -> Iterator[tuple[str, ...]]:
    """Longest chains of small single-pod steps in which each step is the only successor of the one before."""
    children: dict[str, list[str]] = {}
    for step in graph.steps:
        for before in step.depends_on:
            children.setdefault(before, []).append(step.name)
    single = {
        s.name
        for s in graph.steps
        if s.name in pods
        and pods[s.name].items == 1
        and pods[s.name].share >= least
        and pods[s.name].work <= _SMALL_SECONDS
        and not s.on_exit
        and not s.conditional
    }
    after = {
        s.depends_on[0]: s.name
        for s in graph.steps
        if s.name in single
        and len(s.depends_on) == 1
        and s.depends_on[0] in single
        and len(children[s.depends_on[0]]) == 1
    }
    for head in (n for n in after if n not in after.values()):
        row = [head]
        while row[-1] in after:
            row.append(after[row[-1]])
        yield tuple(row)


def _merge(
    evidence: Evidence, runs: Sequence[ExecutedRun], row: tuple[str, ...], pods: dict[str, _Pods]
) -> Finding | None:
    gains = evidence.worth(WhatIf.merge_steps(*row), evidence.settings.number("minGainPercent", 5.0), runs)
    if gains is None:
        return None
    share, seconds = gains
    work, overhead = sum(pods[n].work for n in row), sum(pods[n].overhead for n in row)
    return Finding(
        step=row[0],
        action=f"Merge {text.listing(list(row), 5)} into one step",
        because=(
            f"these {len(row)} steps in a row work {text.duration(work)} and take {text.duration(overhead)} to"
            f" {pods[row[0]].starting} (medians {evidence.recent_runs(len(runs))})"
        ),
        otherwise=f"each run keeps starting {len(row)} pods for {text.duration(work)} of work",
        current=f"{len(row)} pods",
        proposed="1 pod",
        expected=gain_sentence(share, seconds),
        confidence=0.6,
        gain_seconds=seconds,
        gain_share=share,
        evidence=("replayed with only the first of them paying for controller, scheduling and start-up",),
    )


def _calls(evidence: Evidence) -> Iterator[Finding]:
    """Steps whose tokens grow less than proportionally with their items: part of the tokens is paid per call and can be
    shared by more items per call."""
    policy, rate = evidence.analysis.policy, evidence.analysis.cost.runs_per_month
    tokens, items = policy.metric(MetricRole.TOKENS), policy.metric(MetricRole.ITEMS)
    if tokens is None or items is None or tokens.per is not Per.STEP or items.per is not Per.STEP:
        return
    for name, by_run in evidence.rows.succeeded.items():
        pairs = [
            (e.extra[items.name], e.extra[tokens.name])
            for rows in by_run.values()
            for e in rows
            if e.extra.get(items.name) and tokens.name in e.extra
        ][-_CALLS:]
        usual = median([n for n, _ in pairs]) or 0.0
        fixed, each = _shared(pairs)
        whole = fixed + each * usual
        share = fixed / whole / 2 if whole > 0 else 0.0  # twice the items per call halves the number of calls
        if (
            len(pairs) < evidence.analysis.options.min_runs
            or share < evidence.settings.number("minTokensPercent", 20.0) / 100
        ):
            continue
        price = policy.pricing.units.get(tokens.name)
        saving = mean_interval([share * t for _, t in pairs], price * rate) if price and rate else None
        unit = tokens.unit or "tokens"
        yield Finding(
            step=name,
            about=f"{name}.{tokens.name}",
            action=f"Give {evidence.title(name)} twice the items per call",
            because=(
                f"each call takes {fixed:,.0f} {unit} whatever it works on and {each:,.0f} for each of its usual"
                f" {usual:,.0f} items (over {text.count(len(pairs), 'execution')}, {evidence.window()}):"
                f" {text.percent(fixed / whole)} of its {unit} are paid per call"
            ),
            otherwise=f"every call keeps spending {fixed:,.0f} {unit} on input that all calls share",
            category=Category.COST,
            current=f"{usual:,.0f} items per call",
            proposed=f"{2 * usual:,.0f} items per call",
            expected=f"{text.percent(share)} fewer {unit}",
            confidence=0.5,
            saving_per_month=saving,
            evidence=("a line through the observed executions: tokens over items",),
        )


def _shared(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Tokens per call and per item: a robust line through (items, tokens); (0, 0) when none can be fitted."""
    if len({n for n, _ in pairs}) < 3:
        return 0.0, 0.0
    slopes = [(t2 - t1) / (n2 - n1) for i, (n1, t1) in enumerate(pairs) for n2, t2 in pairs[i + 1 :] if n1 != n2]
    each = max(0.0, median(slopes) or 0.0)
    return max(0.0, median([t - each * n for n, t in pairs]) or 0.0), each


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """Batches for fan-outs of small items, merged small steps, and more items per call where calls cost tokens."""
    yield from _calls(evidence)
    runs = [run for run in evidence.recent() if run.usable]
    if not runs:
        return
    least = evidence.settings.number("minOverheadPercent", 30.0) / 100
    pods = _pods(runs, evidence.analysis.figures, POD_BY_POD in evidence.analysis.definition.declared)
    daemons = {s.name for s in evidence.analysis.definition.graph.steps if s.daemon}
    for own in pods.values():
        if own.step not in daemons and own.items >= 4 and own.share >= least and own.work <= _SMALL_SECONDS:
            yield _batch(evidence, runs, own)
    for row in _rows(evidence.analysis.definition.graph, pods, least):
        yield _merge(evidence, runs, row, pods)


RULE = Rule(
    RuleName.BATCH_SMALL_STEPS,
    evaluate,
    Category.PERFORMANCE,
    Level.MEDIUM,
    tie_break=5,
    settings=("minGainPercent", "minOverheadPercent", "minTokensPercent"),
)

"""``concertmaster what-if``: the observed runs of one workflow, replayed with a change made to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from concertmaster.cli import cluster_options
from concertmaster.cli.analysis import analyze, selecting
from concertmaster.cli.commands.explore.origin import Origin, origin_options
from concertmaster.cli.documents import say
from concertmaster.cli.errors import CallError, UserError
from concertmaster.core import text
from concertmaster.core.analysis.drivers import shares_work
from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.analysis.replay.gain import Gain, gain
from concertmaster.core.model import RunRecord
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.core.stats.scaleout import fit_scaleout, recommend_workers
from concertmaster.core.units import HOUR
from concertmaster.report.runs.served import observed
from concertmaster.report.tables import table
from concertmaster.web.what_if import sentence


def _pairs(values: Sequence[str], option: str, separator: str = "=") -> list[tuple[str, str]]:
    pairs = [tuple(v.split(separator, 1)) for v in values]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise click.UsageError(f"{option} is written NAME{separator}VALUE")
    return [(pair[0], pair[1]) for pair in pairs]


def _number(value: str, option: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise click.UsageError(f"{option}: {value} is not a number") from None
    if not 0 <= number <= 1e6:
        raise click.UsageError(f"{option}: {value} is not between 0 and 1000000")
    return number


def _whole(value: str, option: str) -> int:
    number = _number(value, option)
    if number != int(number):
        raise click.UsageError(f"{option}: {value} is not a whole number")
    return int(number)


def _change(
    scale: Sequence[str],
    drop: Sequence[str],
    limit: Sequence[str],
    cpu: Sequence[str],
    cache: Sequence[str],
    batch: Sequence[str],
    no_retries: bool,
) -> WhatIf:
    """The options as one change."""
    whatif = WhatIf()
    for step, factor in _pairs(scale, "--scale"):
        whatif &= WhatIf.scale_step(step, _number(factor, "--scale"))
    for before, after in _pairs(drop, "--drop", ":"):
        whatif &= WhatIf.drop_edge(before, after)
    for value in limit:
        step, equals, size = value.rpartition("=")
        if equals and not step:
            raise click.UsageError("--limit is written [STEP=]N")
        whatif &= WhatIf.set_parallelism(_whole(size, "--limit"), step or None)
    for step, factor in _pairs(cpu, "--cpu"):
        whatif &= WhatIf.more_cpu(step, _number(factor, "--cpu"))
    for step, share in _pairs(cache, "--cache"):
        whatif &= WhatIf.cache_hit(step, _number(share, "--cache"))
    for step, size in _pairs(batch, "--batch"):
        whatif &= WhatIf.batch_items(step, _whole(size, "--batch"))
    if no_retries:
        whatif &= WhatIf.without_failed_attempts()
    return whatif


def _named(whatif: WhatIf) -> set[str]:
    """Every step a change names."""
    names = {name for name, _ in (*whatif.scales, *whatif.cpu, *whatif.hits, *whatif.batched)}
    names |= {name for edge in whatif.dropped for name in edge}
    return names | {name for name, _ in whatif.parallelism if name is not None}


def describe(result: AnalysisResult, gain: Gain) -> str:
    """The outcome as a sentence."""
    if gain.seconds is None or gain.share is None:
        raise UserError(gain.reason or "the runs cannot be replayed")
    runs = f"{text.count(gain.runs_used, 'run')} with a mean of {text.duration(result.analysis.makespan.mean)}"
    return sentence(gain, runs)


def scaleout(runs: Sequence[RunRecord], step: str) -> str:
    """Run time of a step over the number of its pods, from runs that used different numbers."""
    points: list[tuple[float, float]] = []
    timed = []
    for run in runs:
        rows = [e for e in run.steps if e.step == step and e.started is not None and e.finished is not None]
        if run.outcome.timed and rows:
            begin, end = min(e.started or 0.0 for e in rows), max(e.finished or 0.0 for e in rows)
            points.append((float(len(rows)), end - begin))
            timed.append(rows)
    widths = sorted({int(n) for n, _ in points})
    if len(widths) < 2:
        raise UserError(f"{step} always ran with {widths[0] if widths else 0} pods: two different numbers are needed")
    model = fit_scaleout([n for n, _ in points], [t for _, t in points])
    shared = shares_work(timed)
    candidates = sorted({*widths, *(2**i for i in range(1, 7) if shared and 2**i <= 2 * widths[-1])})
    seconds = model.seconds(candidates)
    lines = [
        [str(n), text.duration(float(t)), "measured" if n in widths else "predicted", f"{n * t / HOUR:.2f}"]
        for n, t in zip(candidates, seconds.tolist(), strict=True)
    ]
    best = recommend_workers(model, candidates)
    if not shared:
        sentence = "no number is recommended: a pod of these runs does not clearly take less time beside more of them"
    else:
        sentence = f"{best.workers} pods are enough: {best.reason}" if best.workers is not None else best.reason
    return table(["PODS", "TIME", "", "POD-HOURS"], lines) + f"\n{sentence}"


def _changes(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--scale", multiple=True, metavar="STEP=FACTOR", help="The step takes FACTOR times as long."),
            click.option(
                "--cpu", multiple=True, metavar="STEP=FACTOR", help="FACTOR times the CPU limit of a throttled step."
            ),
            click.option("--drop", multiple=True, metavar="A:B", help="B no longer waits for A."),
            click.option(
                "--limit", multiple=True, metavar="[STEP=]N", help="At most N pods at a time, of a step or of the run."
            ),
            click.option(
                "--cache",
                multiple=True,
                metavar="STEP=SHARE",
                help="SHARE (0 to 1) of the step's pods come from a cache.",
            ),
            click.option("--batch", multiple=True, metavar="STEP=N", help="N fan-out items share a pod."),
            click.option("--no-retries", is_flag=True, help="Every pod succeeds at its first attempt."),
            click.option("--workers", metavar="STEP", help="Run time of a step over the number of its pods instead."),
        )
    ):
        command = option(command)
    return command


@click.command("what-if")
@click.argument("workflow", shell_complete=cluster_options.profile_names)
@origin_options
@_changes
def command(workflow: str, origin: Origin, workers: str | None, **change: object) -> None:
    """Replay the runs of WORKFLOW with a change made and print the gain with its interval.

    WORKFLOW is its name, KIND/NAME (wftmpl/ingest-orders) or the name of its WorkflowProfile. Several changes are made
    together. The observed runs are simulated again with their own durations, waits and limits; nothing in the cluster is
    touched. From a cluster these are the newest runs that the operator serves; with --facts or --prometheus all runs of
    the window.
    """
    whatif = _change(**change)  # type: ignore[arg-type]
    if whatif.problem:
        raise CallError(whatif.problem)
    named = _named(whatif) | ({workers} if workers else set())
    if not named and whatif == WhatIf():
        raise click.UsageError(
            "name a change: --scale, --cpu, --drop, --limit, --cache, --batch, --no-retries or --workers"
        )
    if not origin.facts.named:
        say(_served(origin, workflow, whatif, named, workers))
        return
    facts = origin.facts.read()
    results = analyze(facts, window=origin.facts.span.window, names=[workflow])
    if not results:
        raise UserError(
            f"no workflow named {workflow} was found among {len(facts.pods)} pods: analyze -o table lists them"
        )
    if len(results) > 1:
        keys = selecting(r.analysis.definition.key for r in results)
        raise UserError(f"several workflows have that name: {keys}; choose one")
    analysis = results[0].analysis
    _check(workflow, named, {s.step for s in analysis.steps})
    if workers:
        say(scaleout(analysis.runs, workers))
        return
    say(describe(results[0], gain(analysis.executed, whatif)))


def _served(origin: Origin, workflow: str, whatif: WhatIf, named: set[str], workers: str | None) -> str:
    """The outcome over the runs that the operator serves."""
    view = origin.served(workflow)
    _check(workflow, named, {str(s["name"]) for s in view.steps})
    if workers:
        runs = [observed(view.key, r).record for r in view.recent.runs if not r.more_pods]
        return scaleout(runs, workers)
    outcome = view.replayed(whatif)
    if outcome.saved_seconds is None:
        raise UserError(outcome.reason or "the runs cannot be replayed")
    return outcome.text


def _check(workflow: str, named: set[str], known: set[str]) -> None:
    if unknown := named - known:
        raise UserError(f"{workflow} has no step {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")

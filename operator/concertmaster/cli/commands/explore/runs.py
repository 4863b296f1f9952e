"""``concertmaster runs``: the runs of one workflow, or one of them in full."""

from __future__ import annotations

import click

from concertmaster.api.views.runs import RunView, WorkflowRuns
from concertmaster.cli import cluster_options
from concertmaster.cli.commands.explore.origin import Origin, origin_options
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.core.model import Outcome
from concertmaster.report.runs.tables import run_text, runs_table
from concertmaster.report.runs.views import RunHistory, run_view, workflow_runs

_MAX_RUNS = 10_000  # lines of a table
_OUTCOMES = [o.value for o in Outcome if o not in (Outcome.RUNNING, Outcome.SKIPPED, Outcome.CACHED)]


@click.command("runs")
@click.argument("workflow", shell_complete=cluster_options.profile_names)
@click.argument("run", required=False)
@origin_options
@click.option("--limit", type=click.IntRange(1, _MAX_RUNS), default=30, show_default=True, help="Most runs shown.")
@click.option("--outcome", type=click.Choice(_OUTCOMES, case_sensitive=False), help="Only runs that ended so.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(workflow: str, run: str | None, origin: Origin, limit: int, outcome: str | None, output: str) -> None:
    """List the runs of WORKFLOW, newest first, or show one RUN with its critical path and its pods.

    WORKFLOW is its name, KIND/NAME (wftmpl/ingest-orders) or the name of its WorkflowProfile; RUN is a name, or latest or
    typical. From a cluster these are the runs that the operator keeps (spec.analysis.maxRuns and
    window of the policy); with --facts or --prometheus all runs of the window.
    """
    answer = _one(origin, workflow, run) if run is not None else _many(origin, workflow, limit, outcome)
    if output == "json":
        click.echo(answer.model_dump_json(by_alias=True, indent=2))
    elif isinstance(answer, RunView):
        say(run_text(answer))
    else:
        if answer.runs:
            say(runs_table(answer))
        else:
            ended = f" with outcome {outcome}" if outcome else ""
            say(f"No finished run of {answer.namespace}/{answer.workflow}{ended} is known.", err=True)
        if answer.total > len(answer.runs):
            limited = len(answer.runs) == limit < _MAX_RUNS
            more = f"--limit {min(answer.total, _MAX_RUNS)}" if limited else "older ones need --prometheus URL"
            say(f"{answer.total - len(answer.runs)} more: {more}")


def _many(origin: Origin, workflow: str, limit: int, outcome: str | None) -> WorkflowRuns:
    wanted = Outcome(outcome) if outcome else None
    if origin.facts.named:
        (history,) = origin.histories([workflow])
        return workflow_runs(history, limit=limit, outcome=wanted)
    page = origin.served(workflow).runs
    runs = [r for r in page.runs if wanted in (None, r.outcome)]
    unseen = page.total - len(page.runs)  # where an operator of an older version has served the newest only
    return page.model_copy(update={"runs": tuple(runs[:limit]), "total": len(runs) + unseen})


def _one(origin: Origin, workflow: str, run: str) -> RunView:
    if origin.facts.named:
        (history,) = origin.histories([workflow])
        return run_view(history, position(history, run))
    seen = origin.served(workflow).run(run)
    if seen is None:
        raise unknown(run)
    return seen


def unknown(run: str) -> UserError:
    """What to do about a run that the operator does not keep."""
    return UserError(
        f"the operator keeps no run {run}: runs WORKFLOW lists those it has; older ones need --prometheus URL"
    )


def position(history: RunHistory, run: str) -> int:
    """Where the run of that name is; ``latest`` and ``typical`` are names too. Raises UserError."""
    at = history.find(run)
    if at is None:
        key = history.definition.key
        raise UserError(
            f"{key.namespace}/{key.name} has no finished run {run}; concertmaster runs {key.name} lists them"
        )
    return at

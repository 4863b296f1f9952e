"""``concertmaster compare``: why one run took longer than another."""

from __future__ import annotations

import click

from concertmaster.api.views.runs import RunComparisonView
from concertmaster.cli import cluster_options
from concertmaster.cli.analysis import selecting
from concertmaster.cli.commands.explore.origin import Origin, origin_options
from concertmaster.cli.commands.explore.runs import position, unknown
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.report.runs.comparison import comparison_view
from concertmaster.report.runs.tables import comparison_text
from concertmaster.report.runs.views import LATEST, TYPICAL


@click.command("compare")
@click.argument("before", metavar="RUN")
@click.argument("after", metavar="RUN")
@origin_options
@click.option(
    "--workflow",
    shell_complete=cluster_options.profile_names,
    help="Workflow of the runs, as NAME or KIND/NAME. Not needed with --facts or --prometheus and names of runs.",
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(before: str, after: str, origin: Origin, workflow: str | None, output: str) -> None:
    """Compare two runs of one workflow: what the second RUN spent its time on that the first did not.

    A RUN is a name, or latest or typical: compare typical latest answers "why was last night slow?".
    """
    view = (
        _recorded(origin, before, after, workflow) if origin.facts.named else _served(origin, before, after, workflow)
    )
    if output == "json":
        click.echo(view.model_dump_json(by_alias=True, indent=2))
    else:
        say(comparison_text(view))


def _recorded(origin: Origin, before: str, after: str, workflow: str | None) -> RunComparisonView:
    known = origin.histories([workflow] if workflow else [])
    chosen = known
    for name in (before, after):
        if name not in (LATEST, TYPICAL):
            chosen = [h for h in chosen if h.find(name) is not None]
    if not chosen and len(known) > 1:
        raise UserError(f"no workflow has both runs, {before} and {after}: concertmaster runs WORKFLOW lists them")
    if len(chosen) > 1:
        names = selecting(h.definition.key for h in chosen)
        raise UserError(f"several workflows have such runs: {names}; choose one with --workflow")
    history = (chosen or known)[0]
    return comparison_view(history, position(history, before), position(history, after))


def _served(origin: Origin, before: str, after: str, workflow: str | None) -> RunComparisonView:
    if workflow is None:
        raise click.UsageError("name the workflow of the runs with --workflow, or a source of runs with --prometheus")
    view = origin.served(workflow)
    comparison = view.compared(before, after)
    if comparison is None:
        raise unknown(next(name for name in (before, after) if view.run(name) is None))
    return comparison

"""``concertmaster runs``: the runs of one workflow, or one of them in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from concertmaster.cli import gather, options
from concertmaster.cli.commands.analyze import examine
from concertmaster.cli.errors import UserError
from concertmaster.core import text
from concertmaster.core.model import Outcome
from concertmaster.report.runs.tables import run_text, runs_table
from concertmaster.report.runs.views import History, run_view, workflow_runs

_OUTCOMES = [o.value for o in Outcome if o not in (Outcome.RUNNING, Outcome.SKIPPED, Outcome.CACHED)]


@click.command("runs")
@click.argument("workflow")
@click.argument("run", required=False)
@options.facts_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=30, show_default=True, help="Most runs shown.")
@click.option("--outcome", type=click.Choice(_OUTCOMES, case_sensitive=False), help="Only runs that ended so.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    workflow: str,
    run: str | None,
    read: Callable[[], gather.Facts],
    window: float | None,
    limit: int,
    outcome: str | None,
    output: str,
) -> None:
    """List the runs of WORKFLOW, newest first, or show one RUN with its critical path and its pods.

    RUN is a name, or latest or typical.
    """
    (history,) = histories(read(), window, [workflow])
    if run is not None:
        view = run_view(history, position(history, run))
        click.echo(view.model_dump_json(by_alias=True, indent=2) if output == "json" else text.plain(run_text(view)))
        return
    page = workflow_runs(history, limit=limit, outcome=Outcome(outcome) if outcome else None)
    if output == "json":
        click.echo(page.model_dump_json(by_alias=True, indent=2))
        return
    click.echo(text.plain(runs_table(page)))
    if page.total > len(page.runs):
        click.echo(f"{page.total - len(page.runs)} more: --limit {page.total}")


def histories(facts: gather.Facts, window: float | None, names: Sequence[str]) -> list[History]:
    """The runs of the workflows of these names (none: of all). Raises UserError where there are none, or where one name
    is that of several workflows."""
    found = [
        History.of(w.result.analysis.definition, w.runs, w.result.analysis.pricing)
        for w in examine(facts, window=window, names=names)
    ]
    found = [h for h in found if h.runs]
    if not found:
        name = f" of a workflow named {', '.join(names)}" if names else ""
        raise UserError(f"no finished run{name} was found among {text.count(len(facts.pods), 'pod')}")
    if names and len(found) > len(names):
        keys = ", ".join(str(h.definition.key) for h in found)
        raise UserError(f"several workflows have that name: {keys}; choose one with --namespace")
    return found


def position(history: History, run: str) -> int:
    """Where the run of that name is; ``latest`` and ``typical`` are names too. Raises UserError."""
    at = history.find(run)
    if at is None:
        key = history.definition.key
        raise UserError(
            f"{key.namespace}/{key.name} has no finished run {run}; concertmaster runs {key.name} lists them"
        )
    return at

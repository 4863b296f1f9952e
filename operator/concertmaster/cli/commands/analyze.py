"""``concertmaster analyze``: a first answer without installing anything, from a Prometheus URL or a recorded file."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from concertmaster.cli import options
from concertmaster.controller.malloc import collect_seldom
from concertmaster.core.analysis.periods import Period
from concertmaster.net.background import in_background


def _zone(context: click.Context, parameter: click.Parameter, value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(f"there is no time zone {value}; write it as Europe/Berlin or UTC") from None


@click.command("analyze")
@options.facts_options
@click.option(
    "--workflow", "names", multiple=True, help="Only workflows of this NAME or KIND/NAME; may be given again."
)
@click.option("--min-runs", type=click.IntRange(1, 1000), help="Fewest finished runs before anything is recommended.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "json", "markdown"]),
    default="wide",
    show_default=True,
    help="table: one line per workflow; wide: everything.",
)
@click.option(
    "--trends", "with_trends", is_flag=True, help="Trends by hour, day, week and month only; in JSON in addition."
)
@click.option(
    "--history",
    "history_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="History file of the operator, or a copy: trends reach up to 400 days back, beyond the metrics.",
)
@click.option(
    "--period",
    "periods",
    multiple=True,
    type=click.Choice([p.value for p in Period]),
    help="Only trends of this length; may be given again.",
)
@click.option(
    "--time-zone",
    "zone",
    default="UTC",
    show_default=True,
    metavar="NAME",
    callback=_zone,
    help="Where days begin for trends, as Europe/Berlin.",
)
def command(
    facts: options.FactsOptions,
    names: tuple[str, ...],
    min_runs: int | None,
    output: str,
    with_trends: bool,
    history_file: Path | None,
    periods: tuple[str, ...],
    zone: ZoneInfo,
) -> None:
    """Analyze all workflows that can be seen and print what to change. Needs no rights in any cluster.

    Without --definitions the graphs are inferred from the observed times, which is said beside the result.
    """
    with_trends = with_trends or bool(periods)
    if history_file is not None and not with_trends:
        raise click.UsageError("--history is read for trends: add --trends")
    if with_trends and output == "markdown":
        raise click.UsageError("trends are printed as tables or JSON, not as markdown")
    collect_seldom()
    reading = in_background(facts.read, name="reading")
    # This takes as long as the source's first answers.
    from concertmaster.cli.analyze_report import TrendOptions, print_report

    trends = None
    if with_trends:
        lengths = tuple(p for p in Period if not periods or p.value in periods)
        trends = TrendOptions(lengths, zone, history_file)
    print_report(
        reading.result(),
        output,
        trends,
        window=facts.span.window,
        names=names,
        min_runs=min_runs,
        arguments=facts.arguments(),
    )

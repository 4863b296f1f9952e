"""``concertmaster record``: facts of a time span as a file, to analyse elsewhere or to attach to a question."""

from __future__ import annotations

from pathlib import Path

import click

from concertmaster import engines
from concertmaster.cli import gather
from concertmaster.cli.errors import UserError

POLICIES = ("OptimizationPolicy", "ClusterOptimizationPolicy")


@click.command("record")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@gather.source_options
@click.option(
    "-n", "--namespace", "namespaces", multiple=True, help="Only this namespace; may be given again. Default: all."
)
@click.option(
    "--definitions",
    multiple=True,
    type=click.Path(path_type=Path),
    help="YAML file or directory whose objects go into the file; may be given again.",
)
@click.option("--window", default="14d", show_default=True, callback=gather.duration, help="How far back to look.")
@click.option("--until", metavar="TIME", callback=gather.moment, help="End of the window. Default: now.")
def command(
    file: Path,
    url: str | None,
    config: Path | None,
    source_name: str,
    bearer_token_file: str | None,
    ca_file: str | None,
    matchers: tuple[str, ...],
    namespaces: tuple[str, ...],
    definitions: tuple[Path, ...],
    window: float,
    until: float | None,
) -> None:
    """Write the facts of all runs that ended in the window to FILE (gzip when it ends in .gz).

    The file holds names, times, sizes and reasons, no logs and no environment. The format is described in
    docs/facts-format.md.
    """
    from concertmaster.metrics import facts_file

    objects = [raw for raw in gather.load_objects(definitions) if engines.by_object(raw) or raw["kind"] in POLICIES]
    source = gather.find_source(url, config, source_name, bearer_token_file, ca_file, matchers)
    facts = gather.from_prometheus(source, namespaces=namespaces, window=window, objects=objects, now=until)
    header = facts_file.Header(
        since=facts.since,
        until=facts.until,
        source=source.name,
        recorded=facts.until,
        namespaces=tuple(namespaces),
        notes=facts.missing,
    )
    try:
        count = facts_file.write(file, header, facts.objects, facts.pods, facts.jobs)
    except facts_file.FactsFileError as error:
        raise UserError(str(error)) from None
    click.echo(f"{file}: {count} pods, {len(facts.objects)} objects")

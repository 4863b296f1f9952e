"""``concertmaster record``: facts of a time span as a file, to analyze elsewhere or to attach to a question."""

from __future__ import annotations

from pathlib import Path

import click

from concertmaster import engines
from concertmaster.cli import options
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.engines.common.redact import redacted

POLICIES = ("OptimizationPolicy", "ClusterOptimizationPolicy")


@click.command("record")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@options.source_options
@options.span_options
def command(file: Path, source: options.SourceOptions, span: options.SpanOptions) -> None:
    """Write the facts of all runs that ended in the window to FILE (gzip when it ends in .gz).

    The file holds names, times, sizes and reasons, and what the queries of given profiles and policies say. Of the
    objects it keeps structure and resources: no environments, arguments, scripts, parameter values or annotations. The
    format is described in docs/facts-format.md.
    """
    from concertmaster.prometheus.facts import facts_file

    objects = [redacted(raw) for raw in span.objects() if engines.by_object(raw) or raw["kind"] in POLICIES]
    chosen = source.find()
    facts = span.ask(chosen, objects)
    header = facts_file.FactsHeader(
        since=facts.since,
        until=facts.until,
        source=chosen.name,
        recorded=facts.until,
        namespaces=span.namespaces,
        notes=facts.missing,
        blind=tuple(facts_file.FactsSpan(*span) for span in facts.blind),
    )
    try:
        count = facts_file.write(file, header, facts.objects, facts.pods, facts.jobs, facts.answers)
    except facts_file.FactsFileError as error:
        raise UserError(str(error)) from None
    reported = f", {len(facts.answers)} values of extra metrics and queries" if facts.answers else ""
    say(f"{file}: {count} pods, {len(facts.objects)} objects{reported}")

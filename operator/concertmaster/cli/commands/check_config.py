"""``concertmaster check-config``: the operator's configuration, checked as the operator would."""

from __future__ import annotations

import json
from pathlib import Path

import click

from concertmaster import settings
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError


@click.command("check-config")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--schema", "show_schema", is_flag=True, help="Print the JSON Schema of the file instead.")
def command(file: Path | None, show_schema: bool) -> None:
    """Check FILE. Every mistake is named with its field and what to do; exit status 1 when there is one."""
    if show_schema:
        click.echo(json.dumps(settings.schema(), indent=2))
        return
    if file is None:
        raise click.UsageError("give the FILE to check, or --schema")
    try:
        config = settings.load(file)
    except settings.SettingsError as error:
        raise UserError(str(error)) from None
    for note in config.notes():
        say(f"note: {note}", err=True)
    names = ", ".join(f"{s.name} ({s.url})" for s in config.sources)
    where = ", ".join(config.namespaces) or "every namespace it may read"
    say(f"{file} is valid: every {config.interval}, {where}, from {names}")

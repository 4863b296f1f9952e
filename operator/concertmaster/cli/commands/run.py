"""``concertmaster run``: the operator."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from concertmaster import settings
from concertmaster.cli.errors import UserError


@click.command("run")
@click.option(
    "--config", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The operator's configuration."
)
@click.option(
    "--kubeconfig",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Cluster to run against. Default: the pod's own, else as kubectl.",
)
def command(config: Path, kubeconfig: Path | None) -> None:
    """Run until SIGTERM or Ctrl-C. Logs go to stderr, one JSON object per line."""
    try:
        configuration = settings.load(config)
    except settings.SettingsError as error:
        raise UserError(str(error)) from None
    from concertmaster.controller.main import RunOptions, run

    sys.exit(run(configuration, RunOptions(kubeconfig=kubeconfig)))

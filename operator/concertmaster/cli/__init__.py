"""The command line: ``concertmaster``, also installed as ``kubectl-concertmaster``.

Each command lives in a module of its own that is imported when it is called, so that ``concertmaster --help`` does not load
numpy, and ``concertmaster crds`` not the Kubernetes client.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
from typing import Any

import click

from concertmaster import __version__
from concertmaster.cli.errors import UserError
from concertmaster.core.text import plain
from concertmaster.net.http_logging import silence_urllib3

COMMANDS = {
    "run": ("concertmaster.cli.commands.run", "run the operator"),
    "analyze": (
        "concertmaster.cli.commands.analyze",
        "analyze workflows from a Prometheus or a facts file, without cluster rights",
    ),
    "what-if": ("concertmaster.cli.commands.what_if", "replay the observed runs of a workflow with a change made"),
    "runs": ("concertmaster.cli.commands.explore.runs", "list the runs of a workflow, or show one of them in full"),
    "compare": (
        "concertmaster.cli.commands.explore.compare",
        "explain why one run of a workflow took longer than another",
    ),
    "report": (
        "concertmaster.cli.commands.explore.report",
        "write one file about all workflows over a period, as HTML, Markdown, JSON or CSV",
    ),
    "dashboard": (
        "concertmaster.cli.commands.explore.dashboard",
        "serve pages and a JSON API on the loopback address, with your own rights",
    ),
    "web": (
        "concertmaster.cli.commands.web",
        "serve the same in the cluster, each request with the rights of its bearer token",
    ),
    "record": ("concertmaster.cli.commands.record", "write the facts of a time span to a file, for analyze --facts"),
    "top": ("concertmaster.cli.commands.top", "rank the recommendations of all workflows by value"),
    "list": ("concertmaster.cli.commands.list", "list recommendations, as a table or for other programs"),
    "describe": ("concertmaster.cli.commands.describe", "describe one workflow in at most 40 lines"),
    "explain": ("concertmaster.cli.commands.explain", "explain a recommendation: evidence, patch, policy checks"),
    "dismiss": ("concertmaster.cli.commands.dismiss", "dismiss a recommendation, with a reason and an expiry"),
    "approve": ("concertmaster.cli.commands.approve", "approve or reject a change the operator proposed"),
    "doctor": ("concertmaster.cli.commands.doctor", "find what prevents recommendations, and print the line to change"),
    "completion": ("concertmaster.cli.commands.completion", "print shell completion for bash, zsh, fish and kubectl"),
    "crds": ("concertmaster.cli.commands.crds", "print, write or check the custom resource definitions"),
    "check-config": ("concertmaster.cli.commands.check_config", "check an operator configuration"),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[name][0]).command
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT):
                raise
            # Python would complain when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if error.errno == errno.EPIPE:
                # The reader went away (head, less): the status of other programs that SIGPIPE ends. Click would make it 1.
                sys.exit(128 + signal.SIGPIPE)
            raise UserError(f"the output cannot be written: {error.strerror}. Write it elsewhere.") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="concertmaster")
def cli() -> None:
    """Measure, explain and optimize workflows on Kubernetes."""


def main() -> None:
    """Entry point. Errors a user can fix are one line on stderr and exit status 1; a wrong call exits with 2."""
    # Matrices of a few hundred rows: threads of the linear algebra wait for each other ten times as long as they work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    silence_urllib3()
    if isinstance(sys.stdout, io.TextIOWrapper):  # as kubectl, whatever the locale says: names and JSON are UTF-8
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    name = "kubectl concertmaster" if "kubectl" in os.path.basename(sys.argv[0]) else "concertmaster"  # noqa: PTH119
    try:
        cli(prog_name=name, standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UserError as error:
        click.echo(f"error: {plain(str(error))}", err=True)
        sys.exit(error.status)

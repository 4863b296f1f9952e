"""What commands print: text for people, JSON or YAML for other programs."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import click
import yaml
from click.core import ParameterSource

from concertmaster.core.text import plain

OPTION = click.option(
    "-o", "--output", type=click.Choice(["text", "yaml", "json"]), default="text", show_default=True, help="Form."
)

_COMMAND = re.compile(r"(^\s*|[:;] +| {3,})kubectl( concertmaster [a-z-]+)?(?= )", re.MULTILINE)
_ASK_THE_OPERATOR = frozenset({"explain", "list", "runs", "what-if", "compare", "dashboard", "report"})


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Prints text for people. Names and messages come from clusters, so none of them commands the terminal."""
    click.echo(plain(repeated(text)), err=err, nl=nl)


def repeated(text: str) -> str:
    """``text`` with ``--context`` and ``--operator``, as far as they were given, in each command it names: else it would
    speak to another cluster when it is pasted."""
    context = click.get_current_context(silent=True)
    given = {
        name: f" --{name} {shlex.quote(str(context.params[name]))}"
        for name in ("context", "operator")
        if context is not None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    if not given:
        return text

    def command(match: re.Match[str]) -> str:
        plugin = match[2] or ""
        asked = given.get("operator", "") if plugin.rpartition(" ")[2] in _ASK_THE_OPERATOR else ""
        return f"{match[0]}{given.get('context', '')}{asked}"

    return _COMMAND.sub(command, text)


def echo(document: Any, output: str) -> None:
    """Prints ``document`` as ``json`` or ``yaml``."""
    if output == "json":
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)

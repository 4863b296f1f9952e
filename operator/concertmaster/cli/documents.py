"""What commands print: text for people, JSON or YAML for other programs."""

from __future__ import annotations

import json
from typing import Any

import click
import yaml

from concertmaster.core.text import plain

OPTION = click.option(
    "-o", "--output", type=click.Choice(["text", "yaml", "json"]), default="text", show_default=True, help="Form."
)


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Prints text for people. Names and messages come from clusters, so none of them commands the terminal."""
    click.echo(plain(text), err=err, nl=nl)


def echo(document: Any, output: str) -> None:
    """Prints ``document`` as ``json`` or ``yaml``."""
    if output == "json":
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)

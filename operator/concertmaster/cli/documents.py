"""What commands print for other programs: JSON or YAML."""

from __future__ import annotations

import json
from typing import Any

import click
import yaml

OPTION = click.option(
    "-o", "--output", type=click.Choice(["text", "yaml", "json"]), default="text", show_default=True, help="Form."
)


def echo(document: Any, output: str) -> None:
    """Prints ``document`` as ``json`` or ``yaml``."""
    if output == "json":
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)

"""``concertmaster crds``: the custom resource definitions, generated from the models."""

from __future__ import annotations

from pathlib import Path

import click

from concertmaster.api import files, reference, schema
from concertmaster.cli.errors import UserError


@click.command("crds")
@click.option(
    "--write", "write_to", type=click.Path(file_okay=False, path_type=Path), help="Write one file per kind here."
)
@click.option(
    "--check", "check_in", type=click.Path(file_okay=False, path_type=Path), help="Fail when files here differ."
)
@click.option(
    "--reference", "pages_to", type=click.Path(file_okay=False, path_type=Path), help="Write the reference pages here."
)
def command(write_to: Path | None, check_in: Path | None, pages_to: Path | None) -> None:
    """Print the custom resource definitions, ready for: kubectl apply --server-side -f -"""
    if check_in is not None:
        differences = files.check(check_in, schema.render(), foreign="*.yaml")
        if differences:
            raise UserError(
                f"{'; '.join(differences)}: run 'concertmaster crds --write {check_in}' and commit the result"
            )
        click.echo(f"{check_in} is fresh")
    elif write_to is not None or pages_to is not None:
        try:
            written = files.write(write_to, schema.render()) if write_to is not None else []
            written += files.write(pages_to, reference.render()) if pages_to is not None else []
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be written ({error.strerror}); choose another folder") from None
        for path in written:
            click.echo(path)
    else:
        click.echo("---\n".join(schema.render().values()), nl=False)

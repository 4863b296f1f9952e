"""``concertmaster completion``: shell completion, of the command itself and as a kubectl plugin."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

_SHELLS = ("bash", "zsh", "fish")
_KUBECTL = """#!/bin/sh
# Completion of "kubectl concertmaster": save as kubectl_complete-concertmaster, executable, in a directory of PATH.
exec kubectl-concertmaster completion --candidates -- "$@"
"""
_NO_FILES = ":4"  # Cobra's ShellCompDirectiveNoFileComp, which kubectl expects from the completion of a plugin


@click.command("completion", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="bash|zsh|fish|kubectl")
@click.option("--candidates", is_flag=True, help="Print what may follow the words typed so far, in kubectl's form.")
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...], candidates: bool) -> None:
    """Print the completion script of a shell, or the one by which kubectl completes the plugin.

    \b
    source <(concertmaster completion bash)
    kubectl concertmaster completion kubectl > ~/.local/bin/kubectl_complete-concertmaster
    chmod +x ~/.local/bin/kubectl_complete-concertmaster
    """
    group = ctx.find_root().command
    if candidates:
        *typed, incomplete = words or ("",)
        for item in ShellComplete(group, {}, "concertmaster", "").get_completions(typed, incomplete):
            click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
        click.echo(_NO_FILES)
    elif words == ("kubectl",):
        click.echo(_KUBECTL, nl=False)
    elif len(words) == 1 and words[0] in _SHELLS:
        completion = get_completion_class(words[0])
        assert completion is not None
        click.echo(completion(group, {}, "concertmaster", "_CONCERTMASTER_COMPLETE").source())
    else:
        raise click.UsageError("name one shell: bash, zsh, fish or kubectl")

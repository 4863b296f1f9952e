"""The options by which commands find a cluster, a namespace and profiles, as kubectl has them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click

from concertmaster.cli import details, options, profiles
from concertmaster.cli.errors import UserError
from concertmaster.kube.errors import KubeError
from concertmaster.kube.objects import CHANGES, PROFILES, Resource

_MAX_COMPLETIONS = 200  # names offered by completion

_F = TypeVar("_F", bound=Callable[..., Any])


CONTEXT = click.option("--context", help="Context of the kubeconfig. Default: the current one.")
KUBECONFIG = click.option(
    "--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="The cluster. Default: as kubectl."
)
FACTS = click.option(
    "--facts",
    "facts_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File written by concertmaster record, instead of the cluster.",
)
PROFILES_WITH = click.option(
    "-l", "--selector", help="Only profiles of the cluster with these labels, such as team=data."
)
_NAMESPACE = click.option("-n", "--namespace", help="Namespace. Default: that of the context.")
_NAMESPACES = options.namespaces("Namespace", "that of the context")
_ALL = click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")
_SELECTOR = click.option("-l", "--selector", help="Only profiles with these labels, such as team=data.")


def operator(purpose: str) -> Callable[[_F], _F]:
    """``--operator``; ``purpose`` says what the operator is, or what it is asked for."""
    return click.option(
        "--operator",
        metavar="NAMESPACE/SERVICE",
        help=f"The operator{purpose}. Default: ${details.VARIABLE}, else {details.DEFAULT}.",
    )


def cluster(command: _F) -> _F:
    """``-n``, ``--context`` and ``--kubeconfig``."""
    return _NAMESPACE(CONTEXT(KUBECONFIG(command)))


def many(command: _F) -> _F:
    """The same with ``-A`` and ``-l``."""
    return _ALL(_SELECTOR(cluster(command)))


def several(command: _F) -> _F:
    """The same, with several namespaces, for commands that only read."""
    return _ALL(_SELECTOR(_NAMESPACES(CONTEXT(KUBECONFIG(command)))))


def profile_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of WorkflowProfiles, for shell completion."""
    return [n for p in _found(ctx, PROFILES) if (n := str(p["metadata"]["name"])).startswith(incomplete)]


def recommendation_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Ids of the recommendations of the profile already typed, for shell completion."""
    name = ctx.params.get("profile")
    ids = [i for p in _found(ctx, PROFILES) if p["metadata"]["name"] == name for i in profiles.ids(p)]
    return [i for i in ids if i.startswith(incomplete)]


def change_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of WorkflowChanges without a decision, for shell completion."""
    waiting = (c for c in _found(ctx, CHANGES) if not (c.get("spec") or {}).get("decision"))
    return [n for c in waiting if (n := str(c["metadata"]["name"])).startswith(incomplete)]


def _found(ctx: click.Context, resource: Resource) -> list[dict[str, Any]]:
    """The objects in the namespace the options typed so far select; none when the cluster does not answer."""
    kubeconfig, context = ctx.params.get("kubeconfig"), ctx.params.get("context")
    given = ctx.params.get("namespace") or next(iter(ctx.params.get("namespaces") or ()), None)
    place = given or profiles.default_namespace(kubeconfig, context)
    try:
        return list(islice(profiles.connect(kubeconfig, context).items(resource.path(place)), _MAX_COMPLETIONS))
    except (UserError, KubeError):
        return []

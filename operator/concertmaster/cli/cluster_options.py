"""The options by which commands find a cluster, a namespace and profiles, as kubectl has them, handed to them as ``cluster``
where they say which cluster it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click

from concertmaster.api.discovery import full_kind
from concertmaster.cli import details, options, profiles
from concertmaster.cli.errors import UserError
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError
from concertmaster.kube.objects import CHANGES, PROFILES, Resource
from concertmaster.kube.operator_service import OperatorService
from concertmaster.report.workflows import list_entries

_MAX_COMPLETIONS = 200  # names offered by completion
_MAX_READ = 2000  # objects of which it offers the names that match: a person waits for it

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster that the options select."""

    context: str | None
    kubeconfig: Path | None

    def connect(self) -> KubeClient:
        """A client for it. Raises UserError."""
        return profiles.connect(self.kubeconfig, self.context)

    def operator(self, option: str | None) -> OperatorService:
        """Its operator, by the option ``--operator``. Raises UserError."""
        return details.connect(option, self.kubeconfig, self.context)

    @property
    def namespace(self) -> str:
        """The namespace kubectl would use."""
        return profiles.default_namespace(self.kubeconfig, self.context)


def where(command: _F) -> _F:
    """``--context`` and ``--kubeconfig``."""
    return options.gathered(
        Cluster,
        "cluster",
        command,
        (
            click.option("--context", help="Context of the kubeconfig. Default: the current one."),
            click.option(
                "--kubeconfig",
                type=click.Path(dir_okay=False, path_type=Path),
                help="The cluster. Default: as kubectl.",
            ),
        ),
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


def one(command: _F) -> _F:
    """``-n``, ``--context`` and ``--kubeconfig``."""
    return _NAMESPACE(where(command))


def many(command: _F) -> _F:
    """The same with ``-A`` and ``-l``."""
    return _ALL(_SELECTOR(one(command)))


def several(command: _F) -> _F:
    """The same, with several namespaces, for commands that only read."""
    return _ALL(_SELECTOR(_NAMESPACES(where(command))))


def profile_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of WorkflowProfiles, for shell completion; once a kind is typed, of the workflows of that kind."""
    kind, slash, name = incomplete.partition("/")
    if not slash:
        return _beginning(incomplete, (str(p["metadata"]["name"]) for p in _found(ctx, PROFILES)))
    targets = (list_entries.place(p)[1].partition("/") for p in _found(ctx, PROFILES))
    of_kind = (own for of, _, own in targets if of.lower() == full_kind(kind).lower())
    return [f"{kind}/{own}" for own in _beginning(name, of_kind)]


def recommendation_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Ids of the recommendations of the profile or KIND/NAME already typed, for shell completion."""
    try:
        client, namespace = _place(ctx)
        return _beginning(
            incomplete, profiles.ids(profiles.read(client, namespace, str(ctx.params.get("profile") or "")))
        )
    except (UserError, KubeError):
        return []


def change_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of WorkflowChanges without a decision, for shell completion."""
    waiting = (c for c in _found(ctx, CHANGES) if not (c.get("spec") or {}).get("decision"))
    return _beginning(incomplete, (str(c["metadata"]["name"]) for c in waiting))


def _beginning(typed: str, names: Iterable[str]) -> list[str]:
    return list(islice((name for name in names if name.startswith(typed)), _MAX_COMPLETIONS))


def _place(ctx: click.Context) -> tuple[KubeClient, str]:
    """The cluster and the namespace that the options typed so far select. Raises UserError."""
    cluster = Cluster(ctx.params.get("context"), ctx.params.get("kubeconfig"))
    given = ctx.params.get("namespace") or next(iter(ctx.params.get("namespaces") or ()), None)
    return cluster.connect(), given or cluster.namespace


def _found(ctx: click.Context, resource: Resource) -> list[dict[str, Any]]:
    """The objects in the namespace the options typed so far select; none when the cluster does not answer."""
    try:
        client, namespace = _place(ctx)
        return list(islice(client.items(resource.path(namespace)), _MAX_READ))
    except (UserError, KubeError):
        return []

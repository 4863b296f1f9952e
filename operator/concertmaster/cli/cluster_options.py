"""The options by which commands find a cluster, a namespace and profiles, as kubectl has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])

_CONTEXT = click.option("--context", help="Context of the kubeconfig. Default: the current one.")
_KUBECONFIG = click.option(
    "--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="Cluster to look at. Default: as kubectl."
)
_NAMESPACE = click.option("-n", "--namespace", help="Namespace. Default: that of the context.")
_ALL = click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")
_SELECTOR = click.option("-l", "--selector", help="Only profiles with these labels, such as team=data.")


def cluster(command: _F) -> _F:
    """``-n``, ``--context`` and ``--kubeconfig``."""
    return _NAMESPACE(_CONTEXT(_KUBECONFIG(command)))


def many(command: _F) -> _F:
    """The same with ``-A`` and ``-l``."""
    return _ALL(_SELECTOR(cluster(command)))

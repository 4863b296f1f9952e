"""Reading profiles from the cluster, for ``list`` and ``explain``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from concertmaster.cli.errors import UserError
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError, NotFound
from concertmaster.kube.objects import PROFILES


def connect(kubeconfig: Path | None) -> KubeClient:
    """A client for the cluster kubectl would talk to. Raises UserError."""
    try:
        return KubeClient.connect(kubeconfig)
    except KubeError as error:
        raise UserError(f"no cluster to talk to: {error}") from None


def default_namespace() -> str:
    """kubectl sets this for its plugins; else the namespace everybody has."""
    return os.environ.get("KUBECTL_PLUGINS_CURRENT_NAMESPACE") or "default"


def read(client: KubeClient, namespace: str, name: str) -> dict[str, Any]:
    """One profile. Raises UserError."""
    try:
        return client.get(PROFILES.path(namespace, name))
    except NotFound:
        raise UserError(
            f"there is no WorkflowProfile {name} in namespace {namespace}: kubectl get wfp -A lists them"
        ) from None
    except KubeError as error:
        raise UserError(str(error)) from None


def each(client: KubeClient, namespace: str | None) -> Iterator[dict[str, Any]]:
    """All profiles of a namespace (None: of the cluster). Raises UserError."""
    try:
        yield from client.items(PROFILES.path(namespace))
    except NotFound:
        raise UserError("the kind WorkflowProfile is not installed in this cluster") from None
    except KubeError as error:
        raise UserError(str(error)) from None

"""Reading profiles from the cluster, for ``list``, ``explain`` and ``dismiss``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from concertmaster.cli.errors import UserError
from concertmaster.core.times import parse_time
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError, NotFound
from concertmaster.kube.objects import PROFILES
from concertmaster.report.recommendation_log import decision


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


def recommendations(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The recommendations of a profile's status: those described in full, then those in short."""
    status = raw.get("status") or {}
    return [*(status.get("recommendations") or ()), *(status.get("remaining") or ())]


def decisions(raw: Mapping[str, Any], now: float) -> dict[str, str]:
    """Its dismissals that are in force, id to the words in which a status describes them."""
    return {
        str(d["recommendation"]): decision(str(d["reason"]), d.get("expirationTime"))
        for d in (raw.get("spec") or {}).get("dismissals") or ()
        if d.get("expirationTime") is None or parse_time(str(d["expirationTime"])) > now
    }


def ids(raw: Mapping[str, Any]) -> list[str]:
    """The ids of everything that was recommended."""
    return [str(r["id"]) for r in recommendations(raw)]


def entry(raw: Mapping[str, Any], recommendation: str) -> dict[str, Any] | None:
    """One recommendation of a profile's status."""
    return next((r for r in recommendations(raw) if r["id"] == recommendation), None)

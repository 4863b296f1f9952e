"""What the operator serves, asked for through the API server: its service proxy needs no port-forward or second login."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from concertmaster.kube.client import ClientLimits, KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound

NO_RIGHT, NO_SERVICE = "you have no right to reach it", "there is no Service"
NOT_ANALYSED = "it has not analyzed this profile since it started; wait for its next cycle"
LIMITS = ClientLimits(connect=5.0, read=10.0, deadline=12.0, attempts=2)


def ask(
    client: KubeClient,
    operator: tuple[str, str],
    profile: Mapping[str, Any],
    part: str = "",
    holds: str = "recommendations",
    *,
    query: Mapping[str, str] | None = None,
    own: bool = True,
) -> tuple[dict[str, Any], str]:
    """The operator's document about a profile, or a ``part`` of it, which ``holds`` a list of that name. Empty if it is
    unavailable, with a sentence on the reason and the remedy. ``operator``: namespace and name of its Service. ``query``:
    parameters of the part. ``own``: whether the rights used are those of the person who reads the sentence."""
    meta = profile["metadata"]
    namespace, service = operator
    asked = {**(query or {}), "uid": str(meta["uid"])}
    about = f"/api/v1/namespaces/{quote(str(meta['namespace']))}/workflowprofiles/{quote(str(meta['name']))}{part}"
    try:
        answer = client.get(_proxy(namespace, service) + about, asked)
        if isinstance(shard := answer.get("shard"), str):  # each shard has a Service of its name
            answer = client.get(_proxy(namespace, shard) + about, asked)
    except KubeError as error:
        return {}, why(error, namespace, service, own=own)
    if "shard" in answer:
        return {}, NOT_ANALYSED  # the namespace is just handed over
    if not isinstance(answer.get(holds), list):
        return {}, f"Service {namespace}/{service} is not the operator; name it with --operator NAMESPACE/SERVICE"
    return answer, ""


def runs_part(run: str) -> tuple[str, str, dict[str, str]]:
    """What to ``ask`` for the runs that the operator's history keeps, one line each, or for ``run`` in full."""
    return ("/runs", "pods", {"run": run}) if run else ("/runs", "runs", {})


def _proxy(namespace: str, service: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/services/{quote(service, safe='')}:http/proxy"


def why(error: KubeError, namespace: str, service: str, *, own: bool = True) -> str:
    """What kept the operator from answering, and what to do."""
    if isinstance(error, Forbidden) and not own:
        return f"the ServiceAccount of the dashboard may not reach it; it needs Role {service}-explain in {namespace}"
    if isinstance(error, Forbidden):
        return (
            f"{NO_RIGHT}; ask for: kubectl create rolebinding -n {namespace} explain"
            f" --role={service}-explain --user=YOU"
        )
    if isinstance(error, NotFound) and f'services "{service}" not found' in str(error):
        return f"{NO_SERVICE} {service} in namespace {namespace}; name it with --operator NAMESPACE/SERVICE"
    if isinstance(error, NotFound):
        return NOT_ANALYSED
    return str(error)

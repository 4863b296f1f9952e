"""What the operator serves, asked for through the API server: its service proxy needs no port-forward or second login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from concertmaster.kube.client import ClientLimits, KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound

NO_RIGHT, NO_SERVICE = "you have no right to reach it", "there is no Service"
NOT_ANALYSED = "it has not analyzed this profile since it started; wait for its next cycle"
LIMITS = ClientLimits(connect=5.0, read=10.0, deadline=12.0, attempts=2)
Served = tuple[dict[str, Any], str]
"""What the operator serves; empty if it is unavailable, with a sentence on the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class OperatorService:
    """The operator's Service. ``own``: whether the rights of ``client`` are those of the person who reads the answers."""

    client: KubeClient
    namespace: str
    name: str
    own: bool = True

    def document(self, profile: Mapping[str, Any]) -> Served:
        """The last analysis of a profile (see ``report.detail``)."""
        return self._ask(profile, "", "recommendations")

    def days(self, profile: Mapping[str, Any]) -> Served:
        """The daily rows of a profile's workflow (see ``report.daily``)."""
        return self._ask(profile, "/days", "days")

    def runs(self, profile: Mapping[str, Any], run: str = "") -> Served:
        """The runs that the operator's history keeps, one line each, or ``run`` in full."""
        return self._ask(profile, "/runs", "pods", {"run": run}) if run else self._ask(profile, "/runs", "runs")

    def _ask(self, profile: Mapping[str, Any], part: str, holds: str, query: Mapping[str, str] | None = None) -> Served:
        """A ``part`` of what is served about a profile, which ``holds`` a list of that name."""
        meta = profile["metadata"]
        asked = {**(query or {}), "uid": str(meta["uid"])}
        about = f"/api/v1/namespaces/{quote(str(meta['namespace']))}/workflowprofiles/{quote(str(meta['name']))}{part}"
        try:
            answer = self.client.get(_proxy(self.namespace, self.name) + about, asked)
            if isinstance(shard := answer.get("shard"), str):  # each shard has a Service of its name
                answer = self.client.get(_proxy(self.namespace, shard) + about, asked)
        except KubeError as error:
            return {}, why(error, self.namespace, self.name, own=self.own)
        if "shard" in answer:
            return {}, NOT_ANALYSED  # the namespace is just handed over
        if not isinstance(answer.get(holds), list):
            other = f"Service {self.namespace}/{self.name} is not the operator"
            return {}, f"{other}; name it with --operator NAMESPACE/SERVICE"
        return answer, ""


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

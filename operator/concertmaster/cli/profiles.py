"""Reading profiles from the cluster, for ``list``, ``explain`` and ``dismiss``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from concertmaster.api.discovery import KIND_SHORT, full_kind
from concertmaster.cli.errors import UserError
from concertmaster.core import text
from concertmaster.kube.client import ClientLimits, KubeClient
from concertmaster.kube.configuration import current_namespace
from concertmaster.kube.errors import Forbidden, KubeError, NotFound, Unauthorized, Unreachable
from concertmaster.kube.objects import PROFILES
from concertmaster.report.workflows.coverage import none_text
from concertmaster.report.workflows.fields import recommendations, workflow_kind, workflow_name
from concertmaster.report.workflows.fleet import FleetView


def connect(kubeconfig: Path | None, context: str | None = None, limits: ClientLimits | None = None) -> KubeClient:
    """A client for the cluster kubectl would talk to. Raises UserError."""
    try:
        return KubeClient.connect(kubeconfig, context=context, limits=limits)
    except KubeError as error:
        raise UserError(str(error)) from None


def default_namespace(kubeconfig: Path | None, context: str | None) -> str:
    """The namespace kubectl would use: of the kubeconfig's context, else ``default``."""
    return current_namespace(kubeconfig, context) or "default"


def read(client: KubeClient, namespace: str, name: str) -> dict[str, Any]:
    """One profile, by its own name or by that of its workflow, which KIND/NAME tells from others. Raises UserError."""
    if not name:  # the address without a name is that of the list
        raise UserError(f"the name of the WorkflowProfile is empty: kubectl get wfp -n {namespace} lists them")
    if "/" not in name:
        try:
            return client.get(PROFILES.path(namespace, name))
        except NotFound:
            pass  # of a workflow
        except KubeError as error:
            raise failed(error, namespace) from None
    known = list(each(client, namespace))
    found = [profile for profile in known if is_about(profile, name)]
    if len(found) == 1:
        return found[0]
    if found:
        several = text.listing([profile["metadata"]["name"] for profile in found])
        raise UserError(f"several WorkflowProfiles in namespace {namespace} are about {name}: {several}; choose one")
    kind, slash, own = name.rpartition("/")
    if not slash:
        missing = f"there is no WorkflowProfile or workflow {name} in namespace {namespace}"
        raise UserError(missing + _where(client, name, known))
    if full_kind(kind) not in KIND_SHORT:
        raise UserError(f"there is no kind {kind} of workflow; known: {', '.join(sorted(KIND_SHORT.values()))}")
    raise UserError(
        f"no WorkflowProfile in namespace {namespace} is about {full_kind(kind)} {own}: kubectl get wfp -n {namespace} lists"
        " them"
    )


def is_about(profile: Mapping[str, Any], name: str) -> bool:
    """Whether a profile has this name, its workflow has it, or its workflow is this KIND/NAME. KIND: that of
    its workflowRef in any case, the engine's short name for it, or that of the column WORKFLOW of tables."""
    kind, slash, own = name.rpartition("/")
    if not slash:
        return name in (workflow_name(profile), profile["metadata"]["name"])
    return workflow_name(profile) == own and (workflow_kind(profile) or "").lower() == full_kind(kind).lower()


def _where(client: KubeClient, name: str, known: Iterable[Mapping[str, Any]]) -> str:
    """Where a profile or workflow of that name is instead, or which of the ``known`` ones of the namespace was meant."""
    try:
        everywhere = list(client.items(PROFILES.path(None)))
    except KubeError:
        everywhere = []  # without the right to list them all
    homes = {p["metadata"]["namespace"] for p in everywhere if name in (p["metadata"]["name"], workflow_name(p))}
    if homes:
        place = min(homes) if len(homes) == 1 else "NAMESPACE"
        return f"; there is one in {text.listing(sorted(homes))}: use -n {place}"
    names = {n for p in known for n in (p["metadata"]["name"], workflow_name(p)) if n}
    return f": {text.meant(name, names, 'kubectl get wfp -A lists them')}"


def failed(error: KubeError, namespace: str | None = None) -> UserError:
    """The message about a list of the profiles of a namespace (None: of the cluster) that failed."""
    if isinstance(error, NotFound):
        return UserError(
            "the kind WorkflowProfile is not installed in this cluster: install the chart, or choose another --context"
        )
    remedy = connection_remedy(error)
    if not remedy and isinstance(error, Forbidden):
        remedy = (
            "name namespaces that you may read with -n NAMESPACE"
            if namespace is None
            else f"ask for the ClusterRole view in namespace {namespace}, or name another with -n NAMESPACE"
        )
    return UserError(f"{error}; {remedy}" if remedy else str(error))


def connection_remedy(error: KubeError) -> str:
    """What to do where the API server does not answer or does not know who asks; empty for other errors."""
    if isinstance(error, Unreachable):
        return "check --kubeconfig and --context: kubectl cluster-info must work"
    # Anonymous: the kubeconfig's login command failed, and the client asked without credentials.
    if isinstance(error, Unauthorized) or (isinstance(error, Forbidden) and 'User "system:anonymous"' in str(error)):
        return "log in to the cluster again: kubectl auth whoami must show your name"
    return ""


def each(client: KubeClient, namespace: str | None, selector: str | None = None) -> Iterator[dict[str, Any]]:
    """All profiles of a namespace (None: of the cluster), those with the labels of ``selector``. Raises UserError."""
    try:
        yield from client.items(PROFILES.path(namespace), label_selector=selector)
    except KubeError as error:
        raise failed(error, namespace) from None


def within(client: KubeClient, namespaces: Iterable[str], selector: str | None = None) -> Iterator[dict[str, Any]]:
    """All profiles of several namespaces, as ``each``."""
    for namespace in namespaces:
        yield from each(client, namespace, selector)


def readable(client: KubeClient, selector: str | None, own: str) -> tuple[list[dict[str, Any]], str]:
    """All profiles of the cluster; without the right to list them, those of the namespace ``own``, and a sentence that says
    so. Raises UserError."""
    try:
        return list(client.items(PROFILES.path(None), label_selector=selector)), ""
    except Forbidden:
        limited = (
            f"no right to list WorkflowProfiles in all namespaces: showing namespace {own};"
            f" -n {own},OTHER shows others too"
        )
        return list(each(client, own, selector)), limited
    except KubeError:
        return list(each(client, None, selector)), ""  # it says what to do


def nothing(view: FleetView, namespaces: Sequence[str], selector: str | None) -> str:
    """Why there is no recommendation for any profile of the view: those of the namespaces (none: of the cluster), with the
    labels of ``selector``."""
    if view.rows:
        return none_text(view)
    where = f" with labels {selector}" if selector else ""
    where += f" in namespace {text.listing(list(namespaces))}" if namespaces else ""
    others = "; -A shows all namespaces" if namespaces else ""
    return (
        f"No recommendations: no WorkflowProfile{where} was found{others}. Policies with discover create them; to see what"
        " is missing: kubectl concertmaster doctor"
    )


def called(raw: Mapping[str, Any]) -> str:
    """A profile as NAMESPACE/NAME."""
    return f"{raw['metadata']['namespace']}/{raw['metadata']['name']}"


def ids(raw: Mapping[str, Any]) -> list[str]:
    """The ids of everything that was recommended."""
    return [str(r["id"]) for r in recommendations(raw)]


def entry(raw: Mapping[str, Any], recommendation: str) -> Mapping[str, Any] | None:
    """One recommendation of a profile's status."""
    return next((r for r in recommendations(raw) if r["id"] == recommendation), None)

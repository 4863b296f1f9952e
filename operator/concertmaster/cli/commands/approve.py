"""``concertmaster approve``: decide about a plan the operator proposed, after having read it."""

from __future__ import annotations

from pathlib import Path

import click

from concertmaster.cli import cluster_options, profiles
from concertmaster.cli.errors import UserError
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.reconcile import FINISHED
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound, Rejected
from concertmaster.kube.objects import CHANGES

_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@click.command("approve")
@click.argument("change")
@click.option(
    "--reject", is_flag=True, help="Reject it instead. An automatic change under proof is then taken back at once."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@cluster_options.cluster
def command(
    change: str, namespace: str | None, reject: bool, yes: bool, context: str | None, kubeconfig: Path | None
) -> None:
    """Approve the WorkflowChange CHANGE. The first decision counts and cannot be changed."""
    client = profiles.connect(kubeconfig, context)
    place = namespace or profiles.default_namespace(kubeconfig, context)
    current = _read(client, place, change)
    decision = "Reject" if reject else "Approve"
    if current.decision is not None:
        raise UserError(
            f"{place}/{change} was decided already: {current.decision} by {current.spec.get('decidedBy') or 'somebody'}"
        )
    if current.phase in FINISHED:
        raise UserError(f"{place}/{change} is {current.phase}: there is nothing to decide any more")
    if not reject and (wrong := current.forged()) is not None:
        raise UserError(f"{place}/{change} must not be approved: {wrong}")
    click.echo(describe(current))
    if not yes:
        click.confirm(f"{decision} it?", abort=True)
    who = decide(client, current, decision)
    click.echo(f"{decision} by {who}; kubectl describe wfc -n {place} {change} tells what comes of it")


def describe(change: WorkflowChangeView) -> str:
    """What is decided about, as text."""
    target, status = change.target, change.status
    where = f"{target.kind} {target.namespace or ''}/{target.name}" if target is not None else "an unknown object"
    lines = [
        f"{change.recommendation} of profile {change.profile}",
        f"  on {where}",
        f"  {(status.get('predicted') or {}).get('text') or 'no prediction'}",
        *(f"    {operation}" for operation in change.operations("patch") or ()),
    ]
    return "\n".join(lines)


def decide(client: KubeClient, change: WorkflowChangeView, decision: str) -> str:
    """Write the decision in the caller's own name; that name. Raises UserError."""
    try:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        who = str(((client.create(_REVIEWS, review).get("status") or {}).get("userInfo") or {}).get("username") or "")
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": change.uid},
            {"op": "test", "path": "/spec/planDigest", "value": change.digest},
            {"op": "add", "path": "/spec/decision", "value": decision},
            *([{"op": "add", "path": "/spec/decidedBy", "value": who}] if who else []),
        ]
        client.patch(change.ref.path, operations, kind="json")
    except Forbidden as error:
        raise UserError(f"you may not decide about changes here: {error}; bind the ClusterRole ...-approve") from None
    except Rejected as error:
        raise UserError(f"the decision was not taken: {error}") from None
    except KubeError as error:
        raise UserError(str(error)) from None
    return who or "you"


def _read(client: KubeClient, namespace: str, name: str) -> WorkflowChangeView:
    try:
        return WorkflowChangeView(client.get(CHANGES.path(namespace, name)))
    except NotFound:
        raise UserError(
            f"there is no WorkflowChange {name} in namespace {namespace}: kubectl get wfc -A lists them"
        ) from None
    except KubeError as error:
        raise UserError(str(error)) from None

"""``concertmaster approve``: decide about changes the operator proposed, after having read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from concertmaster.api.conditions import ConditionType
from concertmaster.cli import cluster_options, policies, profiles, selection
from concertmaster.cli.documents import say
from concertmaster.cli.errors import CallError, UserError
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.phases.proposed import ASKS
from concertmaster.core.changes.reconcile import FINISHED, IN_FLIGHT
from concertmaster.core.model.enums import ChangePhase
from concertmaster.core.model.policy import Pricing
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound, Rejected
from concertmaster.kube.objects import CHANGES, SELF_REVIEWS

_REMEDY = "ask for the ClusterRole *-approve of the chart in namespace"


@click.command("approve")
@click.argument("change", required=False, shell_complete=cluster_options.change_names)
@click.option(
    "--reject", is_flag=True, help="Reject instead. An automatic change in verification is then rolled back at once."
)
@click.option("--all", "every", is_flag=True, help="All changes that wait for a decision in what -n, -A and -l select.")
@click.option("--below", metavar="AMOUNT", help="Those whose recommendation is worth less than this a month, as 1usd.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@cluster_options.many
def command(
    change: str | None,
    namespace: str | None,
    all_namespaces: bool,
    selector: str | None,
    reject: bool,
    every: bool,
    below: str | None,
    yes: bool,
    cluster: cluster_options.Cluster,
) -> None:
    """Approve the WorkflowChange CHANGE, or many at once with --all or --below. The first decision about a change counts
    and cannot be changed."""
    bulk = every or below is not None
    if bulk == (change is not None):
        raise CallError("name a CHANGE, or select many with --all or --below AMOUNT")
    if not bulk and (all_namespaces or selector):
        raise CallError("-A and -l select for --all and --below only")
    most = selection.amount(below)
    client, place = cluster.connect(), namespace or cluster.namespace
    decision = "Reject" if reject else "Approve"
    if change is not None:
        changes = [_read(client, place, change)]
        _assert_decidable(changes[0], reject=reject)
    else:
        selected = list(profiles.each(client, None if all_namespaces else place, selector))
        changes = list(_waiting(client, selected, None if all_namespaces else place, most))
        if not changes:
            say("no change waits for a decision")
            return
    for one in changes:
        say(describe(one))
    if not yes:
        selection.confirm(f"{decision} {'it' if len(changes) == 1 else f'all {len(changes)}'}?")

    def write(one: WorkflowChangeView) -> None:
        who = decide(client, one, decision)
        done = "Rejected" if reject else "Approved"
        say(f"{done} by {who}; to follow it: kubectl describe wfc -n {one.namespace} {one.name}")

    selection.decide_each(changes, write)


def _assert_decidable(change: WorkflowChangeView, *, reject: bool) -> None:
    name = f"{change.namespace}/{change.name}"
    if change.decision is not None:
        decided = f"{name} was decided already: {change.decision} by {change.spec.get('decidedBy') or 'somebody'}"
        if reject and change.phase in IN_FLIGHT:
            decided += f"; to roll it back, delete it: kubectl delete wfc -n {change.namespace} {change.name}"
        raise UserError(decided)
    if change.phase in FINISHED:
        raise UserError(f"{name} is {change.phase}: there is nothing to decide any more")
    if not reject and (wrong := change.forged()) is not None:
        raise UserError(f"{name} must not be approved: {wrong}")


def _waiting(
    client: KubeClient,
    selected: Sequence[Mapping[str, Any]],
    namespace: str | None,
    below: selection.MinimumValue | None,
) -> Iterator[WorkflowChangeView]:
    """Proposed changes without a decision whose profiles are selected, worth less than ``below`` a month; what the
    operator did not propose is left out."""
    scale = Pricing() if below is None else policies.scale_of_below(client)
    wanted = {(c.profile["metadata"]["namespace"], c.profile["metadata"]["name"], c.id)
              for c in selection.chosen(selected, below, scale)}  # fmt: skip
    try:
        listed = [WorkflowChangeView(raw) for raw in client.items(CHANGES.path(namespace))]
    except KubeError as error:
        raise UserError(str(error)) from None
    for change in listed:
        asked = change.phase == ChangePhase.PROPOSED and change.decision is None and change.forged() is None
        if asked and (change.namespace, change.profile, change.recommendation) in wanted:
            yield change


def describe(change: WorkflowChangeView) -> str:
    """What is decided about, as text."""
    target, status = change.target, change.status
    where = f"{target.kind} {target.namespace or ''}/{target.name}" if target is not None else "an unknown object"
    predicted = str((status.get("predicted") or {}).get("text") or "")
    asked = str(change.condition(ConditionType.APPROVED).get("message") or "").partition(ASKS)[0]
    beyond = "; ".join(
        part for part in asked.split("; ") if part not in predicted
    )  # such as who else runs a shared Task
    lines = [
        f"{change.recommendation} of profile {change.profile}",
        f"  on {where}",
        f"  {predicted or 'no prediction'}",
        *([f"  note: {beyond}"] if beyond and change.decision is None else []),
        *(f"    {json.dumps(operation)}" for operation in change.operations("patch") or ()),
    ]
    return "\n".join(lines)


def decide(client: KubeClient, change: WorkflowChangeView, decision: str) -> str:
    """Write the decision in the caller's own name; that name. Raises UserError."""
    try:
        review = client.create(SELF_REVIEWS.path(), SELF_REVIEWS.body())
        who = str(((review.get("status") or {}).get("userInfo") or {}).get("username") or "")
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": change.uid},
            {"op": "test", "path": "/spec/planDigest", "value": change.digest},
            {"op": "add", "path": "/spec/decision", "value": decision},
            *([{"op": "add", "path": "/spec/decidedBy", "value": who}] if who else []),
        ]
        client.patch(change.ref.path, operations, kind="json")
    except Forbidden as error:
        raise UserError(f"you may not decide about changes here: {error}; {_REMEDY} {change.namespace}") from None
    except Rejected as error:
        raise UserError(f"the decision was not taken: {error}") from None
    except KubeError as error:
        raise UserError(str(error)) from None
    return who or "you"


def _read(client: KubeClient, namespace: str, name: str) -> WorkflowChangeView:
    if not name:  # the address without a name is that of the list
        raise UserError(f"the name of the WorkflowChange is empty: kubectl get wfc -n {namespace} lists them")
    try:
        return WorkflowChangeView(client.get(CHANGES.path(namespace, name)))
    except NotFound:
        raise UserError(
            f"there is no WorkflowChange {name} in namespace {namespace}: kubectl get wfc -A lists them"
        ) from None
    except Forbidden as error:
        raise UserError(f"{error}; {_REMEDY} {namespace}") from None
    except KubeError as error:
        raise UserError(str(error)) from None

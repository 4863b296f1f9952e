"""``concertmaster dismiss``: decide against a recommendation, with a reason and for a time.

Written with server-side apply under a field manager of its own, so that neither an author's ``kubectl apply`` nor
another dismissal is overwritten. For a profile that Git, Helm or a controller owns, the lines to commit are printed
instead.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import yaml

from concertmaster.cli import cluster_options, profiles
from concertmaster.cli.errors import UserError
from concertmaster.core.changes.checks_cluster import owners
from concertmaster.core.lifecycle.sizing_history import RULE as SIZING
from concertmaster.core.model.scalars import Duration, ScalarError
from concertmaster.core.times import iso, parse_time
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Conflict, Forbidden, KubeError
from concertmaster.kube.objects import PROFILES
from concertmaster.kube.profiles import is_discovered
from concertmaster.report import recommendation_log as remembered

MANAGER = "concertmaster-dismiss"


@click.command("dismiss")
@click.argument("profile")
@click.argument("recommendation")
@click.option("-r", "--reason", help="Why, for colleagues; one line.")
@click.option("--for", "span", help="For how long, such as 30d. Default: until the advice changes materially.")
@click.option("--until", help="Until when, such as 2027-01-31 or 2027-01-31T00:00:00Z.")
@click.option("--undo", is_flag=True, help="Take the dismissal back.")
@click.option("--print", "only_print", is_flag=True, help="Print what to commit, and write nothing.")
@cluster_options.cluster
def command(
    profile: str,
    recommendation: str,
    reason: str | None,
    span: str | None,
    until: str | None,
    undo: bool,
    only_print: bool,
    namespace: str | None,
    context: str | None,
    kubeconfig: Path | None,
) -> None:
    """Dismiss RECOMMENDATION of the WorkflowProfile PROFILE."""
    place = namespace or profiles.default_namespace(kubeconfig, context)
    client = profiles.connect(kubeconfig, context)
    raw = profiles.read(client, place, profile)
    if undo:
        take_back(client, raw, recommendation)
        click.echo(f"{recommendation} of {place}/{profile} is no longer dismissed")
        return
    if not reason or not reason.strip():
        raise UserError("say why, for colleagues: --reason 'peak at month end'")
    known = profiles.entry(raw, recommendation)
    row = known is None and recommendation.startswith(f"{SIZING}.")
    if row:  # one step of the table; Ready names a step that does not exist
        known = profiles.entry(raw, SIZING)
    if known is None:
        ids = ", ".join(profiles.ids(raw)) or "none"
        raise UserError(f"{place}/{profile} has no recommendation {recommendation}; it has: {ids}")
    decision = {"reason": " ".join(reason.split()), "recommendation": recommendation}
    if (end := expiration(span, until, time.time())) is not None:
        decision["expirationTime"] = end
    refuse_same(known, decision)
    # A discovered profile carries its target's labels, also those that say who owns the target.
    own = is_discovered(raw["metadata"].get("labels") or {})
    holders = () if own else owners(raw, ["/spec/dismissals"], MANAGER)
    if only_print or holders:
        whose = f"# {' and '.join(holders)} owns {place}/{profile}: commit this there\n" if holders else ""
        others = [d for d in _dismissals(raw) if d.get("recommendation") != recommendation]
        click.echo(whose + yaml.safe_dump({"spec": {"dismissals": [*others, decision]}}, sort_keys=False).rstrip())
        return
    write(client, raw, decision)
    back = f" until {end}" if end is not None else "" if row else " until the advice changes materially"
    click.echo(f"{recommendation} of {place}/{profile} is dismissed{back}; take it back with --undo")


def refuse_same(known: Mapping[str, Any], decision: Mapping[str, str]) -> None:
    """Raises UserError for a decision in spite of which the recommendation is back: in the same words it is no new one."""
    words = remembered.decision(decision["reason"], decision.get("expirationTime"))
    if known["state"] == "Active" and known.get("dismissal") == words:
        raise UserError(
            f"{decision['recommendation']} was dismissed in these words and is {known.get('note') or 'back all the same'};"
            " decide anew with another --reason, or an end (--for, --until)"
        )


def expiration(span: str | None, until: str | None, now: float) -> str | None:
    """The end of a dismissal as the resource spells it, None without one. Raises UserError."""
    if span and until:
        raise UserError("give --for or --until, not both")
    if span:
        try:
            end = now + Duration(span).seconds
        except ScalarError as error:
            raise UserError(f"--for: {error}") from None
        if end <= now:
            raise UserError(f"--for: {span} is over already")
        return iso(end)
    if not until:
        return None
    try:
        end = parse_time(until) if "T" in until else datetime.fromisoformat(until).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise UserError(f"--until: {until!r} is no time such as 2027-01-31 or 2027-01-31T00:00:00Z") from None
    if end <= now:
        raise UserError(f"--until: {until} is over already")
    return iso(end)


def write(client: KubeClient, raw: Mapping[str, Any], decision: Mapping[str, str]) -> None:
    """Apply the decision, with those this command made before (an apply that left them out would remove them). An end
    that somebody else gave the same dismissal is not removed by that; it is here."""
    meta = raw["metadata"]
    own = [d for d in _dismissals(raw) if d.get("recommendation") in _owned(raw) - {decision["recommendation"]}]
    body = {
        "apiVersion": PROFILES.api_version,
        "kind": PROFILES.kind,
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
        "spec": {"dismissals": [*own, dict(decision)]},
    }
    stored = _send(
        client,
        raw,
        body,
        "application/apply-patch+yaml",
        {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"},
    )
    for index, entry in enumerate(_dismissals(stored)):
        end = entry.get("expirationTime")
        if entry.get("recommendation") == decision["recommendation"] and end and "expirationTime" not in decision:
            path = f"/spec/dismissals/{index}"
            operations = [
                {"op": "test", "path": f"{path}/recommendation", "value": decision["recommendation"]},
                {"op": "test", "path": f"{path}/expirationTime", "value": end},
                {"op": "remove", "path": f"{path}/expirationTime"},
            ]
            _send(client, raw, operations, "application/json-patch+json", {"fieldManager": MANAGER})


def take_back(client: KubeClient, raw: Mapping[str, Any], recommendation: str) -> None:
    """Remove the decision, whoever made it. Raises UserError."""
    ids = [d.get("recommendation") for d in _dismissals(raw)]
    if recommendation not in ids:
        known = ", ".join(str(i) for i in ids) or "none"
        raise UserError(f"{recommendation} is not dismissed; dismissed are: {known}")
    path = f"/spec/dismissals/{ids.index(recommendation)}"
    operations = [
        {"op": "test", "path": f"{path}/recommendation", "value": recommendation},
        {"op": "remove", "path": path},
    ]
    _send(client, raw, operations, "application/json-patch+json", {"fieldManager": MANAGER})


def _send(
    client: KubeClient, raw: Mapping[str, Any], body: Any, content: str, query: Mapping[str, str]
) -> dict[str, Any]:
    """The object as it is stored now. Raises UserError."""
    meta = raw["metadata"]
    path = PROFILES.path(meta["namespace"], meta["name"])
    try:
        return client.request("PATCH", path, query=dict(query), body=body, content_type=content)
    except Forbidden as error:
        raise UserError(f"you may not change WorkflowProfiles here: {error}") from None
    except Conflict as error:
        raise UserError(f"the profile was changed at this very moment, try again: {error}") from None
    except KubeError as error:
        raise UserError(str(error)) from None


def _dismissals(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list((raw.get("spec") or {}).get("dismissals") or ())


def _owned(raw: Mapping[str, Any]) -> set[str]:
    """The dismissals this command made, by the object's managedFields."""
    texts: set[str] = set()
    for entry in raw["metadata"].get("managedFields") or ():
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply":
            listed = ((entry.get("fieldsV1") or {}).get("f:spec") or {}).get("f:dismissals") or {}
            texts |= {str(yaml.safe_load(key[2:])["recommendation"]) for key in listed if key.startswith("k:")}
    return texts

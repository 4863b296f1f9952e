"""Writing dismissals into profiles.

Written with server-side apply under a field manager of its own, so that neither an author's ``kubectl apply`` nor
another dismissal is overwritten. For a profile that Git, Helm or a controller owns, the lines to commit are printed
instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from concertmaster.cli.errors import CallError, UserError
from concertmaster.core.changes.checks_cluster import owners
from concertmaster.core.model.scalars import Duration, ScalarError
from concertmaster.core.times import iso, parse_time
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Conflict, Forbidden, KubeError
from concertmaster.kube.objects import PROFILES
from concertmaster.kube.profiles import is_discovered
from concertmaster.report.status import recommendation_log as remembered

MANAGER = "concertmaster-dismiss"


def holders(raw: Mapping[str, Any]) -> Sequence[str]:
    """Who owns the profile's spec, so that the dismissal must be committed there. A discovered profile carries its
    target's labels, also those that say who owns the target: it is the operator's own."""
    if is_discovered(raw["metadata"].get("labels") or {}):
        return ()
    return owners(raw, ["/spec/dismissals"], MANAGER)


def to_commit(raw: Mapping[str, Any], decision: Mapping[str, str], whose: Sequence[str]) -> str:
    """The YAML to commit where the profile is kept."""
    meta = raw["metadata"]
    head = f"# {' and '.join(whose)} owns {meta['namespace']}/{meta['name']}: commit this there\n" if whose else ""
    others = [d for d in entries(raw) if d.get("recommendation") != decision["recommendation"]]
    return head + yaml.safe_dump({"spec": {"dismissals": [*others, dict(decision)]}}, sort_keys=False).rstrip()


def refuse_same(known: Mapping[str, Any], decision: Mapping[str, str]) -> None:
    """Raises UserError for a decision in spite of which the recommendation is back: in the same words it is no new one."""
    words = remembered.decision(decision["reason"], decision.get("expirationTime"))
    if known["state"] == "Active" and known.get("dismissal") == words:
        raise UserError(
            f"{decision['recommendation']} was dismissed in these words and is {known.get('note') or 'back all the same'};"
            " decide anew with another --reason, or an end (--for, --until)"
        )


def expiration(span: str | None, until: str | None, now: float) -> str | None:
    """The end of a dismissal as the resource spells it, None without one. Raises CallError."""
    if span and until:
        raise CallError("give --for or --until, not both")
    if span:
        try:
            end = now + Duration(span).seconds
        except ScalarError as error:
            raise CallError(f"--for: {error}") from None
    elif until:
        try:
            end = parse_time(until)
        except ValueError:
            raise CallError(f"--until: {until!r} is no time such as 2027-01-31 or 2027-01-31T00:00:00Z") from None
    else:
        return None
    given = f"--for: {span}" if span else f"--until: {until}"
    if end <= now:
        raise CallError(f"{given} is over already")
    try:
        return iso(end)
    except (ValueError, OverflowError):  # after the year 9999
        raise CallError(
            f"{given} is too far ahead; without an end it lasts until the recommendation changes materially"
        ) from None


def write(client: KubeClient, raw: Mapping[str, Any], decision: Mapping[str, str]) -> None:
    """Apply the decision, with those this command made before (an apply that left them out would remove them). An end
    that somebody else gave the same dismissal is not removed by that; it is here."""
    meta = raw["metadata"]
    own = [d for d in entries(raw) if d.get("recommendation") in _owned(raw) - {decision["recommendation"]}]
    body = PROFILES.body(
        metadata={"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
        spec={"dismissals": [*own, dict(decision)]},
    )
    stored = _send(
        client,
        raw,
        body,
        "application/apply-patch+yaml",
        {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"},
    )
    for index, entry in enumerate(entries(stored)):
        end = entry.get("expirationTime")
        if entry.get("recommendation") == decision["recommendation"] and end and "expirationTime" not in decision:
            path = f"/spec/dismissals/{index}"
            operations = [
                {"op": "test", "path": f"{path}/recommendation", "value": decision["recommendation"]},
                {"op": "test", "path": f"{path}/expirationTime", "value": end},
                {"op": "remove", "path": f"{path}/expirationTime"},
            ]
            _send(client, raw, operations, "application/json-patch+json", {"fieldManager": MANAGER})


def withdraw(client: KubeClient, raw: Mapping[str, Any], recommendation: str) -> None:
    """Remove the decision, whoever made it. Raises UserError."""
    ids = [d.get("recommendation") for d in entries(raw)]
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
        remedy = f"ask for the ClusterRole edit in namespace {meta['namespace']}; --print prints what to commit instead"
        raise UserError(f"you may not change WorkflowProfiles here: {error}; {remedy}") from None
    except Conflict as error:
        raise UserError(f"the profile was changed at the same time, try again: {error}") from None
    except KubeError as error:
        raise UserError(str(error)) from None


def entries(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The dismissals in the spec of a profile."""
    return list((raw.get("spec") or {}).get("dismissals") or ())


def _owned(raw: Mapping[str, Any]) -> set[str]:
    """The dismissals this command made, by the object's managedFields."""
    texts: set[str] = set()
    for entry in raw["metadata"].get("managedFields") or ():
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply":
            listed = ((entry.get("fieldsV1") or {}).get("f:spec") or {}).get("f:dismissals") or {}
            texts |= {str(yaml.safe_load(key[2:])["recommendation"]) for key in listed if key.startswith("k:")}
    return texts

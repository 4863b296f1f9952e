"""What only the operator knows of a profile, asked for through the API server: its service proxy needs no port-forward, no
Ingress and no second login. The status stays the base: whoever cannot reach the operator gets that, and a note says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from concertmaster.cli import profiles
from concertmaster.cli.errors import UserError
from concertmaster.core.model import Impact, Interval
from concertmaster.kube.client import ClientLimits, KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound
from concertmaster.report import impact as impacts

_AMOUNTS = ("runMinutesPerMonth", "failedRunsPerMonth", "moneyPerMonth")
_PAST = ("Implemented", "Obsolete")
DEFAULT = "concertmaster/concertmaster"
VARIABLE = "CONCERTMASTER_OPERATOR"
_LIMITS = ClientLimits(connect=5.0, read=10.0, deadline=12.0, attempts=2)


def place(option: str | None) -> tuple[str, str]:
    """Namespace and name of the operator's Service. Raises UserError."""
    where = option or os.environ.get(VARIABLE) or DEFAULT
    namespace, _, name = where.partition("/")
    if not namespace or not name or "/" in name:
        raise UserError(f"the operator is named as NAMESPACE/SERVICE, not {where}")
    return namespace, name


def ask(
    kubeconfig: Path | None, raw: Mapping[str, Any], operator: tuple[str, str], context: str | None = None
) -> tuple[dict[str, Any], str]:
    """The operator's document about a profile, empty with a sentence on why it could not be had and what to do."""
    return _ask(kubeconfig, raw, operator, context, "", "recommendations")


def ask_days(
    kubeconfig: Path | None, raw: Mapping[str, Any], operator: tuple[str, str], context: str | None = None
) -> dict[str, Any]:
    """The daily rows the operator keeps of a profile's workflow, empty where it cannot be asked or is older."""
    return _ask(kubeconfig, raw, operator, context, "/days", "days")[0]


def _ask(
    kubeconfig: Path | None,
    raw: Mapping[str, Any],
    operator: tuple[str, str],
    context: str | None,
    part: str,
    holds: str,
) -> tuple[dict[str, Any], str]:
    meta = raw["metadata"]
    namespace, service = operator
    path = (
        f"/api/v1/namespaces/{quote(namespace, safe='')}/services/{quote(service, safe='')}:http/proxy"
        f"/api/v1/namespaces/{quote(str(meta['namespace']))}/workflowprofiles/{quote(str(meta['name']))}{part}"
    )
    try:
        client = KubeClient.connect(kubeconfig, context=context, limits=_LIMITS)
        try:
            answer = client.get(path, {"uid": str(meta["uid"])})
        finally:
            client.close()
    except KubeError as error:
        return {}, _why(error, namespace, service)
    if not isinstance(answer.get(holds), list):
        return {}, f"Service {namespace}/{service} is not the operator; name it with --operator NAMESPACE/SERVICE"
    return answer, ""


def _why(error: KubeError, namespace: str, service: str) -> str:
    if isinstance(error, Forbidden):
        return (
            f"you have no right to reach it; ask for: kubectl create rolebinding -n {namespace} explain"
            f" --role={service}-explain --user=YOU"
        )
    if isinstance(error, NotFound) and f'services "{service}" not found' in str(error):
        return f"there is no Service {service} in namespace {namespace}; name it with --operator NAMESPACE/SERVICE"
    if isinstance(error, NotFound):
        return "it has not analysed this profile since it started; wait for its next cycle"
    return str(error)


def merged(raw: Mapping[str, Any], detail: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """The recommendations of the status, each with what the operator knows of it; then those the status has no room for.
    What was carried out or has gone is described as it was. ``now`` (unix seconds) decides which dismissals are in force."""
    described = profiles.recommendations(raw)
    currency = (detail.get("cost") or {}).get("currency")
    known = {str(r["id"]): as_status(r, currency) for r in detail.get("recommendations") or ()}
    whole = [
        item if item["state"] in _PAST else {**item, **known.get(str(item["id"]), {}), "state": item["state"]}
        for item in described
    ]
    shown = {str(item["id"]) for item in described}
    return whole + [_stated(item, raw, now) for identifier, item in known.items() if identifier not in shown]


def as_status(item: Mapping[str, Any], currency: str | None) -> dict[str, Any]:
    """A recommendation of the operator's document in the words of a status."""
    impact = item.get("impact")
    if not isinstance(impact, Mapping):
        return dict(item)
    amounts = (Interval(**amount) if (amount := impact.get(name)) else None for name in _AMOUNTS)
    return {**item, "impact": impacts.line(Impact(*amounts), currency or "USD")}


def minor(detail: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The recommendations of the operator's document that are too small to be published."""
    currency = (detail.get("cost") or {}).get("currency")
    return [{**as_status(item, currency), "state": "Minor"} for item in detail.get("minor") or ()]


def _stated(item: Mapping[str, Any], raw: Mapping[str, Any], now: float) -> dict[str, Any]:
    """A recommendation that only the operator knows, with its state. A dismissal it has not seen yet counts; one
    in spite of which the recommendation came back does not."""
    state = str(item.get("state", "Active"))
    decision = profiles.decisions(raw, now).get(str(item["id"]))
    if state != "Active" or decision in (None, item.get("dismissal")):
        return {**item, "state": state}
    return {**item, "state": "Dismissed", "dismissal": decision}

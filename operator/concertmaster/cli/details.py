"""Details of a profile that only the operator has, read through the API server: its service proxy needs no port-forward,
no Ingress and no second login. The status is the fallback: without access to the operator it is used alone, with a
note."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from concertmaster.cli.errors import CallError
from concertmaster.kube import operator_service
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError

DEFAULT = "concertmaster/concertmaster"
VARIABLE = "CONCERTMASTER_OPERATOR"


def place(option: str | None) -> tuple[str, str]:
    """Namespace and name of the operator's Service. Raises CallError."""
    where = option or os.environ.get(VARIABLE) or DEFAULT
    namespace, _, name = where.partition("/")
    if not namespace or not name or "/" in name:
        raise CallError(f"the operator is named as NAMESPACE/SERVICE, not {where}")
    return namespace, name


def ask(
    kubeconfig: Path | None, raw: Mapping[str, Any], operator: tuple[str, str], context: str | None = None
) -> tuple[dict[str, Any], str]:
    """The operator's document about a profile, empty with a sentence on why it could not be had and what to do."""
    return _ask(kubeconfig, raw, operator, context, "", "recommendations")


def ask_each(
    kubeconfig: Path | None,
    profiles: Sequence[Mapping[str, Any]],
    operator: tuple[str, str],
    context: str | None = None,
) -> Iterator[tuple[dict[str, Any], str]]:
    """The same about many profiles, in their order, over one connection. Ends where the operator answers about none: the
    reason is that of the others too."""
    from concertmaster.cli.operator_history import (
        OperatorHistory,  # it imports the reports, for which other commands do not wait
    )

    answered = False
    try:
        with closing(KubeClient.connect(kubeconfig, context=context, limits=operator_service.LIMITS)) as client:
            for document, problem in OperatorHistory(client, operator).documents(profiles):
                yield document, problem
                answered = answered or problem in ("", operator_service.NOT_ANALYSED)
                if not answered:
                    return
    except KubeError as error:
        yield {}, str(error)


def ask_days(
    kubeconfig: Path | None, raw: Mapping[str, Any], operator: tuple[str, str], context: str | None
) -> dict[str, Any]:
    """The daily rows the operator keeps of a profile's workflow, empty where it cannot be asked or is older."""
    return _ask(kubeconfig, raw, operator, context, "/days", "days")[0]


def ask_runs(
    kubeconfig: Path | None,
    raw: Mapping[str, Any],
    operator: tuple[str, str],
    context: str | None,
    run: str,
) -> dict[str, Any]:
    """The runs that the operator keeps of a profile's workflow, or ``run`` in full; empty where it cannot be asked or is
    older."""
    return _ask(kubeconfig, raw, operator, context, *operator_service.runs_part(run))[0]


def _ask(
    kubeconfig: Path | None,
    raw: Mapping[str, Any],
    operator: tuple[str, str],
    context: str | None,
    part: str,
    holds: str,
    query: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], str]:
    try:
        client = KubeClient.connect(kubeconfig, context=context, limits=operator_service.LIMITS)
    except KubeError as error:
        return {}, str(error)
    try:
        return operator_service.ask(client, operator, raw, part, holds, query=query)
    finally:
        client.close()

"""The operator that commands ask for what only it has, through the API server: its service proxy needs no port-forward,
no Ingress and no second login."""

from __future__ import annotations

import os
from pathlib import Path

from concertmaster.cli import profiles
from concertmaster.cli.errors import CallError
from concertmaster.kube.operator_service import LIMITS, OperatorService

DEFAULT = "concertmaster/concertmaster"
VARIABLE = "CONCERTMASTER_OPERATOR"


def place(option: str | None) -> tuple[str, str]:
    """Namespace and name of the operator's Service. Raises CallError."""
    where = option or os.environ.get(VARIABLE) or DEFAULT
    namespace, _, name = where.partition("/")
    if not namespace or not name or "/" in name:
        raise CallError(f"the operator is named as NAMESPACE/SERVICE, not {where}")
    return namespace, name


def connect(option: str | None, kubeconfig: Path | None, context: str | None) -> OperatorService:
    """The operator, over a connection that does not wait long for it. Raises UserError."""
    where = place(option)
    return OperatorService(profiles.connect(kubeconfig, context, LIMITS), *where)

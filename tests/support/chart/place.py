"""A tenant's namespace, and the simplest installation for tests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.chart.bed import Bed
from tests.support.cluster.operator_bed import condition, get_object

FAST = {"interval": "10s", "limits": {"backfill": "2d"}}
CRONJOBS = [{"apiVersion": "batch/v1", "kind": "CronJob"}]
REF = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl"}


@contextmanager
def namespaces(bed: Bed, *stems: str) -> Iterator[list[str]]:
    """New namespaces; the release ``cm`` is installed in the first one, and removed with all of them."""
    names = [bed.namespace(f"{stem}-{secrets.token_hex(3)}") for stem in stems]
    try:
        yield names
    finally:
        bed.remove("cm", names[0])
        for name in names:
            bed.cluster.run_kubectl("delete", "namespace", name, "--wait=false")


def get(bed: Bed, kind: str, namespace: str, name: str) -> dict[str, Any]:
    """An object; empty if it does not exist."""
    return get_object(bed.cluster, kind, namespace, name)


def state(bed: Bed, namespace: str, name: str, kind: str = "Ready") -> dict[str, Any]:
    """A condition of a profile."""
    return condition(get(bed, "wfp", namespace, name), kind)


def with_recommendations(bed: Bed, namespace: str, name: str = "cronjob-etl") -> bool:
    """Whether the profile has a complete analysis."""
    return state(bed, namespace, name).get("reason") == "Analyzed"

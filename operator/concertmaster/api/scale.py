"""The scale on which recommendations of different workflows are ranked: the prices of the cluster's policies. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from concertmaster.api.models.policy import ClusterOptimizationPolicy
from concertmaster.api.resolve import resolve
from concertmaster.core.model.policy import Pricing


def scales(policies: Iterable[Mapping[str, Any]]) -> dict[tuple[float, float], list[str]]:
    """The values of an hour of run time and of a failed run, with the names of the ClusterOptimizationPolicies that have
    them. Objects as the API server returns them."""
    found: dict[tuple[float, float], list[str]] = {}
    for raw in policies:
        # A newer operator may have written values into the status that this version does not know.
        declared = {key: value for key, value in raw.items() if key != "status"}
        try:
            policy = ClusterOptimizationPolicy.model_validate(declared)
            pricing = resolve(None, policy).pricing
        except ValueError:
            continue  # not in force; its condition says why
        # One of a file may have no name.
        found.setdefault((pricing.run_hour, pricing.failed_run), []).append(policy.metadata.name)
    return found


def common_scale(policies: Iterable[Mapping[str, Any]]) -> Pricing:
    """Those values where all policies have the same, else the defaults."""
    found = list(scales(policies))
    return Pricing(run_hour=found[0][0], failed_run=found[0][1]) if len(found) == 1 else Pricing()

"""Namespaces that each reject pods in one way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]


def _range(kind: str = "Container", **row: Any) -> Object:
    spec = {"limits": [{"type": kind, **row}]}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"}, "spec": spec}


def _quota(hard: Mapping[str, str], used: Mapping[str, str], **more: Any) -> Object:
    counted = {"hard": dict(hard), "used": {**dict.fromkeys(hard, "0"), **used}}
    spec = {"hard": dict(hard), **more}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": spec, "status": counted}


SPACES: dict[str, list[Object]] = {
    "free": [],
    "default": [_range(default={"cpu": "1200m", "memory": "1200Mi"})],
    "default and request": [_range(default={"cpu": "2"}, defaultRequest={"cpu": "200m"})],
    "max": [_range(max={"cpu": "2", "memory": "2Gi"})],
    "min": [_range(min={"cpu": "500m", "memory": "500Mi"})],
    "ratio": [_range(maxLimitRequestRatio={"cpu": "3"})],
    "ratio and default": [
        _range(default={"cpu": "2", "memory": "2Gi"}, maxLimitRequestRatio={"cpu": "3", "memory": "3"})
    ],
    "pod max": [_range("Pod", max={"cpu": "2", "memory": "2Gi"})],
    "pod min": [_range("Pod", min={"cpu": "500m", "memory": "500Mi"})],
    "pod ratio": [_range("Pod", maxLimitRequestRatio={"cpu": "3"})],
    "quota of CPU": [_quota({"requests.cpu": "8"}, {"requests.cpu": "4"})],
    "quota of memory": [_quota({"requests.memory": "8Gi"}, {"requests.memory": "4Gi"})],
    "quota of pods": [_quota({"pods": "6"}, {"pods": "2"})],
    "quota of limits": [
        _range(default={"cpu": "2", "memory": "2Gi"}),
        _quota({"limits.cpu": "9"}, {"limits.cpu": "3"}),
    ],
    "quota nearly full": [_quota({"requests.cpu": "10", "requests.memory": "20Gi"}, {"requests.cpu": "7500m"})],
    "quota of best effort": [_quota({"pods": "1"}, {}, scopes=["BestEffort"])],
    "quota of others": [_quota({"pods": "1"}, {}, scopes=["NotBestEffort"])],
    "restricted": [],
    "baseline": [],
    "policy: large pods": [],
    "policy: small pods": [],
}
SECURITY = {"restricted": "restricted", "baseline": "baseline"}
RULES = {
    "policy: large pods": "quantity(c.resources.requests['cpu']).compareTo(quantity('900m')) >= 0",
    "policy: small pods": "quantity(c.resources.requests['memory']).compareTo(quantity('2Gi')) <= 0",
}

"""Values that enable everything."""

from __future__ import annotations

from typing import Any

SECRET = {"name": "prometheus-login", "key": "secret"}

EVERYTHING: dict[str, Any] = {
    "sources": [
        {
            "name": "default",
            "url": "https://prometheus.example:9443/prefix",
            "auth": {"basic": {"username": "reader", "passwordSecret": SECRET}},
            "tls": {"caConfigMap": {"name": "ca", "key": "ca.crt"}, "certSecret": SECRET, "keySecret": SECRET},
            "headers": {"X-Scope-OrgID": "team", "X-Api-Key": {"valueSecret": SECRET}},
            "extraMatchers": {"cluster": "prod-1"},
        },
        {"name": "second", "url": "http://second.example", "auth": {"bearerTokenSecret": SECRET}},
    ],
    "receivers": [
        {"name": "team", "format": "Slack", "urlSecret": SECRET, "signingKeySecret": SECRET, "caSecret": SECRET},
        {
            "name": "mounted",
            "format": "JSON",
            "urlFile": "/hooks/url",
            "namespaceSelector": {"matchLabels": {"a": "b"}},
        },
    ],
    "config": {
        "interval": "2m",
        "limits": {"backfill": "7d", "statusWritesPerSecond": 10},
        "clusterTemplateOwners": [{"name": "etl", "namespace": "data"}],
    },
    "apply": {"enabled": True, "namespaces": ["data", "ml"]},
    "approvals": {"admissionPolicy": True},
    "history": {"persistence": {"enabled": True, "storageClassName": "fast", "keep": True}},
    "argoArchive": {
        "url": "postgresql://argo-db.example.com/argo",
        "secret": {"name": "archive-reader"},
        "instanceId": "team",
    },
    "tektonResults": {
        "url": "postgresql://results-db.example.com:5433/tekton-results",
        "secret": {"name": "results-reader"},
    },
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "kps"}},
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True, "annotations": {"folder": "ops"}},
    },
    "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]},
    "commonLabels": {"team": "platform"},
    "priorityClassName": "high",
    "imagePullSecrets": [{"name": "pull"}],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}, "data": {"a": "b"}}
    ],
}

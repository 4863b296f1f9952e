"""Redaction of definitions for recorded files: keeps only the fields that analysis needs.

The engines read names, structure, resources and references between steps. Environments, arguments, scripts and
parameter values may contain credentials, so only the template expressions (``{{...}}``, ``$(...)``) in them are kept:
these distinguish data references from mere ordering. So do the volumes that steps share: what they are is kept, not how
they are mounted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_DROPPED = frozenset(
    {
        "annotations",
        "managedFields",
        "env",
        "envFrom",
        "imagePullSecrets",
        "status",
        "stringData",
        "description",
        "artifactRepositoryRef",
    }
)
_MOUNTS = frozenset({"volumes", "volumeMounts", "volumeClaimTemplates"})
_SOURCES = {"persistentVolumeClaim": ("claimName",), "hostPath": ("path",), "nfs": ("server", "path")}
_TEXTS = frozenset(
    {"args", "command", "source", "script", "value", "default", "expression", "jqFilter", "body", "data"}
)
_EXPRESSION = re.compile(r"\{\{[^{}]{1,500}\}\}|\$\([A-Za-z0-9_.\[\]*'-]{1,500}\)")


def redacted(raw: Any) -> Any:
    """A copy of an object (or any part of one) without content that may be secret."""
    if isinstance(raw, Mapping):
        kept: dict[str, Any] = {
            str(key): _expressions(value) if key in _TEXTS else _mounts(value) if key in _MOUNTS else redacted(value)
            for key, value in raw.items()
            if key not in _DROPPED
        }
        labels = raw.get("podLabels")
        if isinstance(labels, Mapping) and isinstance(labels.get("value"), str):
            kept["podLabels"]["value"] = labels["value"]  # of the label that names the workflow
        return kept
    if isinstance(raw, list | tuple):
        return [redacted(item) for item in raw]
    return raw


def _mounts(rows: Any) -> list[dict[str, Any]]:
    """Volumes, claim templates or mounts with their names and kinds, and of shared ones which they are."""
    listed: list[dict[str, Any]] = []
    for row in rows if isinstance(rows, list | tuple) else ():
        if isinstance(row, Mapping):
            own: dict[str, Any] = {k: row[k] for k in ("name",) if isinstance(row.get(k), str)}
            for kind, source in row.items():
                if isinstance(source, Mapping):
                    named = ("name",) if kind == "metadata" else _SOURCES.get(kind, ())
                    own[str(kind)] = {k: source[k] for k in named if isinstance(source.get(k), str)}
            listed.append(own)
    return listed


def _expressions(value: Any) -> Any:
    """Reduce each text to its template expressions; lists and mappings keep their shape."""
    if isinstance(value, str):
        return " ".join(_EXPRESSION.findall(value))
    if isinstance(value, Mapping):
        # ``value`` and ``data`` may be mappings, whose texts are reduced in the same way.
        return {str(key): _expressions(item) for key, item in value.items() if key not in _DROPPED}
    if isinstance(value, list | tuple):
        return [_expressions(item) for item in value]
    return value

"""Plays kubelets: fake nodes whose pods start, run for a while and end as their annotations say.

The stock completion stage of kwok ends a pod in the moment it starts it; durations are what this project is about,
so the stages here are its own. Short form in `stages.yaml`, expanded by `write_stages`. What annotations mean is
described in `testbed.simulation`; the exporter reads the same ones, so that a pod's series fit its life.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from testbed.process import TestbedError

SOURCE = Path(__file__).with_name("stages.yaml")
ENGINES_SOURCE = Path(__file__).with_name("stages-engines.yaml")  # Tekton pods, and what Argo's executor reports


def stages(source: Path = SOURCE) -> list[dict[str, Any]]:
    """kwok Stage objects from the short form.

    Each entry has `when` (a jq condition over the object) and either `status` (a template of the new status, or the
    name of one under `templates`) or `steps`. `delay` is a jq expression that yields a duration text, `define` names jq
    definitions put in front of both, `set` gives template variables their expressions.
    """
    entries = yaml.safe_load(source.read_text())
    definitions = entries.pop("definitions", {})
    templates = entries.pop("templates", {})
    result = []
    for name, entry in entries.items():
        unknown = entry.keys() - {"kind", "define", "when", "delay", "set", "status", "steps"}
        if unknown:
            raise TestbedError(f"{source}: stage {name} has unknown keys {', '.join(sorted(unknown))}")
        prefix = "".join(definitions[part] + " " for part in entry.get("define", []))
        spec: dict[str, Any] = {
            "resourceRef": {"apiGroup": "v1", "kind": entry.get("kind", "Pod")},
            "selector": {"matchExpressions": [{"key": prefix + entry["when"], "operator": "In", "values": ["true"]}]},
        }
        if "delay" in entry:
            spec["delay"] = {"durationFrom": {"expressionFrom": prefix + entry["delay"]}}
        if "status" in entry:
            variables = "".join(f"{{{{ ${key} := {value} }}}}" for key, value in entry.get("set", {}).items())
            spec["next"] = {"statusTemplate": variables + templates.get(entry["status"], entry["status"])}
        else:
            spec["steps"] = entry["steps"]
        result.append(
            {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}
        )
    return result


def write_stages(target: Path, *sources: Path) -> None:
    """Write the expanded stages (of `stages.yaml` unless configured otherwise) as one YAML stream for kwok's `--config`."""
    target.write_text(yaml.safe_dump_all([stage for source in sources or (SOURCE,) for stage in stages(source)]))


def node(name: str, cpu: str = "32", memory: str = "256Gi") -> dict[str, Any]:
    """A Node object that the stages bring to Ready with this capacity."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"},
            "annotations": {"sim/cpu": cpu, "sim/memory": memory},
        },
    }

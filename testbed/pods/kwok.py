"""Simulated kubelets: fake nodes whose pods start, run and terminate as their annotations say.

kwok's default completion stage terminates a pod as soon as it starts it, but durations are what this project measures,
so it has its own stages: in a short form in `stages.yaml`, expanded by `write_stages`. `testbed.pods.simulation` describes
the annotations; the exporter reads the same ones, so that the series of a pod match its duration.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import yaml

from testbed.process import TestbedError

SOURCE = Path(__file__).with_name("stages.yaml")
ENGINES_SOURCE = Path(__file__).with_name("stages-engines.yaml")  # Tekton pods, and what Argo's executor reports
# kwok computes a stage anew from every event of a pod. On a busy machine an event of the running pod arrives after its end
# was written, and would end it again, at another time. The API server refuses a patch of an outdated version, and kwok
# drops what is refused so: the newest version decides.
_READ = "metadata: {resourceVersion: {{ .metadata.resourceVersion | Quote }}}\n"


def stages(source: Path = SOURCE) -> list[dict[str, Any]]:
    """kwok Stage objects from the short form.

    Each entry has `when` (a jq condition on the object) and either `status` (a template of the new status, or the name
    of one under `templates`) or `steps`. `delay` is a jq expression that yields a duration as text, `define` names jq
    definitions to prepend to both, `set` assigns expressions to template variables. A status is only written to the
    version of the object it was computed from.
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
            status = textwrap.indent(templates.get(entry["status"], entry["status"]), "  ")
            template = f"{_READ}{variables}\nstatus:\n{status}"
            spec["steps"] = [{"patch": {"subresource": "status", "template": template}}]
        else:
            spec["steps"] = entry["steps"]
        result.append(
            {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}
        )
    return result


def write_stages(target: Path, *sources: Path) -> None:
    """Write the expanded stages (`stages.yaml` by default) as one YAML stream for kwok's `--config`."""
    target.write_text(yaml.safe_dump_all([stage for source in sources or (SOURCE,) for stage in stages(source)]))


def node(name: str, cpu: str = "32", memory: str = "256Gi") -> dict[str, Any]:
    """A Node object with this capacity, which the stages make Ready."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"},
            "annotations": {"sim/cpu": cpu, "sim/memory": memory},
        },
    }

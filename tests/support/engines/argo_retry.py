"""The effect of ``argo retry`` on a failed Workflow, without the Argo server: failed nodes and their pods are removed,
all others kept."""

from __future__ import annotations

import copy
import json
from typing import Any

from testbed.services.cluster import Cluster

Object = dict[str, Any]
COMPLETED = "workflows.argoproj.io/completed"


def retry(cluster: Cluster, workflow: Object, mended: dict[str, str]) -> None:
    """Retry a failed Workflow; ``mended`` are additional annotations of its templates."""
    changed = copy.deepcopy(workflow)
    meta, status = changed["metadata"], changed["status"]
    meta["labels"].pop(COMPLETED, None)
    meta["labels"]["workflows.argoproj.io/phase"] = "Running"
    failed = {i for i, n in status["nodes"].items() if n["type"] == "Pod" and n["phase"] in ("Failed", "Error")}
    gone = failed | {i for i, n in status["nodes"].items() if n["phase"] == "Omitted"}
    status["nodes"] = {i: n for i, n in status["nodes"].items() if i not in gone}
    for node in status["nodes"].values():
        node["children"] = [c for c in node.get("children") or () if c not in gone]
        if node["phase"] in ("Failed", "Error"):
            node |= {"phase": "Running", "message": ""}
            node.pop("finishedAt", None)
            node.pop("outboundNodes", None)
    status |= {"phase": "Running", "message": ""}
    status.pop("finishedAt", None)
    for template in status["storedWorkflowTemplateSpec"]["templates"]:
        if "container" in template:
            template["metadata"]["annotations"].update(mended)
    namespace = meta["namespace"]
    names = [
        p["metadata"]["name"]
        for p in cluster.get("pods", "-n", namespace)["items"]
        if p["metadata"].get("annotations", {}).get("workflows.argoproj.io/node-id") in failed
    ]
    cluster.kubectl("delete", "pods", *names, "-n", namespace, "--wait=true", "--timeout=60s")
    cluster.kubectl("replace", "-f", "-", input=json.dumps(changed))

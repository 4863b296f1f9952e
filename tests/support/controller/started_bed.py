"""A change stage whose workflow is a template that a CronWorkflow starts."""

from __future__ import annotations

from typing import Any

from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.model import Edit
from tests.support.controller.changes_bed import PROFILES, Bed
from tests.support.core.change_samples import recommended
from tests.support.resources import known_resource

API = "argoproj.io/v1alpha1"
TEMPLATE, CRON = (known_resource(API, kind) for kind in ("WorkflowTemplate", "CronWorkflow"))
CPU = "/spec/templates/0/container/resources/requests/cpu"


class Started(Bed):
    """A bed whose workflow is a template, started by a CronWorkflow that sets ``over`` of its runs."""

    def __init__(self, **over: Any) -> None:
        super().__init__()
        sizes = {"requests": {"cpu": "2", "memory": "1Gi"}}
        steps = [{"name": "job", "container": {"name": "main", "image": "x", "resources": sizes}}]
        self.client.put(TEMPLATE, "demo", "etl", spec={"entrypoint": "job", "templates": steps})
        started = {"workflowTemplateRef": {"name": "etl"}, **over}
        self.client.put(CRON, "demo", "hourly", spec={"schedule": "0 * * * *", "workflowSpec": started})
        reference = {"apiVersion": API, "kind": "WorkflowTemplate", "name": "etl"}
        self.client.objects[PROFILES.path("demo", "etl")]["spec"] = {"workflowRef": reference}
        self.items = [recommended(Edit(CPU, "2", "1500m"), id="cpu-request.job", step="job")]

    @property
    def target(self) -> dict[str, Any]:
        return self.client.objects[TEMPLATE.path("demo", "etl")]

    def cpu(self) -> Any:
        return jsonpatch.find(self.target, CPU)[1]

"""Plans for all kinds of objects that may be changed."""

from __future__ import annotations

from typing import Any

from concertmaster.core.model import Edit

ARGO, TEKTON = "argoproj.io/v1alpha1", "tekton.dev/v1"

REQUESTS: dict[str, Any] = {"requests": {"cpu": "2", "memory": "1Gi"}}

TEMPLATES = [
    {"name": "main", "dag": {"tasks": [{"name": "a", "template": "a"}]}},
    {"name": "a", "script": {"image": "x", "command": ["sh"], "source": "true", "resources": REQUESTS}},
    {"name": "b", "containerSet": {"containers": [{"name": "one", "image": "x"}, {"name": "two", "image": "x"}]}},
    {"name": "c", "container": {"image": "x", "command": ["c"], "resources": {"requests": {"cpu": 2}}}},
    {
        "name": "d",
        "container": {"image": "x", "command": ["d"]},
        "initContainers": [{"name": "warm", "image": "x", "resources": REQUESTS}],
        "sidecars": [{"name": "proxy", "image": "x", "resources": REQUESTS}],
    },
]

POD = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x", "resources": {}}]}

CRON = "/spec/jobTemplate/spec/template/spec/containers/0/resources/requests"

CASES: dict[str, tuple[str, dict[str, Any], list[Edit]]] = {
    "WorkflowTemplate": (
        ARGO,
        {"entrypoint": "main", "parallelism": 2, "templates": TEMPLATES},
        [
            Edit("/spec/parallelism", "2", "3"),
            Edit("/spec/templates/1/script/resources/requests/cpu", "2", "1500m"),
            Edit("/spec/templates/2/containerSet/containers/1/resources/requests/memory", None, "64Mi"),
            Edit("/spec/templates/3/container/resources/requests/cpu", "2", "1"),
            Edit("/spec/templates/4/initContainers/0/resources/requests/memory", "1Gi", "512Mi"),
            Edit("/spec/templates/4/sidecars/0/resources/requests/cpu", "2", "500m"),
        ],
    ),
    "ClusterWorkflowTemplate": (
        ARGO,
        {"entrypoint": "main", "templates": TEMPLATES},
        [Edit("/spec/templates/0/parallelism", None, "4")],
    ),
    "CronWorkflow": (
        ARGO,
        {"schedules": ["0 * * * *"], "workflowSpec": {"entrypoint": "main", "templates": TEMPLATES}},
        [Edit("/spec/workflowSpec/templates/1/script/resources/requests/memory", "1Gi", "768Mi")],
    ),
    "CronJob": (
        "batch/v1",
        {"schedule": "0 * * * *", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": POD}}}},
        [
            Edit(f"{CRON}/cpu", None, "1"),
            Edit(f"{CRON}/memory", None, "64Mi"),
            Edit("/spec/jobTemplate/spec/parallelism", None, "2"),
        ],
    ),
    "Pipeline": (
        TEKTON,
        {"tasks": [{"name": "a", "taskSpec": {"steps": [{"name": "s", "image": "x", "computeResources": REQUESTS}]}}]},
        [Edit("/spec/tasks/0/taskSpec/steps/0/computeResources/requests/cpu", "2", "1")],
    ),
    "Task": (
        TEKTON,
        {"stepTemplate": {"computeResources": REQUESTS}, "steps": [{"name": "s", "image": "x"}]},
        [
            Edit("/spec/stepTemplate/computeResources/requests/cpu", "2", "1"),
            Edit("/spec/steps/0/computeResources/requests/memory", None, "64Mi"),
        ],
    ),
}

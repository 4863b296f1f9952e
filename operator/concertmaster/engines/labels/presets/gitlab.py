"""GitLab Runner with the Kubernetes executor.

Every job pod has ``project.runner.gitlab.com/name`` and ``.../namespace``. Pipeline and job are annotations by default;
if the runner configuration also sets them as labels ``ci-pipeline-id`` and ``ci-job-name``
(``[runners.kubernetes.pod_labels]``, which expands variables), jobs become steps of pipelines. Otherwise each pod is a
run of its own.

https://docs.gitlab.com/runner/executors/kubernetes/#default-labels-for-job-pods
https://docs.gitlab.com/ci/yaml/#retry
"""

from __future__ import annotations

from concertmaster.core.model import PodFact, PodLabels
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.labels.preset import Preset, value

PROJECT, NAMESPACE = "project.runner.gitlab.com/name", "project.runner.gitlab.com/namespace"
_MAX_RETRIES = 2  # the maximum that GitLab accepts
_VARIABLES = {"build": "", "helper": "HELPER_"}  # variable prefixes by container; services are svc-0, svc-1 ...


def _project(fact: PodFact, keys: PodLabels) -> str | None:
    project, namespace = value(fact, keys.workflow), value(fact, NAMESPACE)
    return f"{namespace}.{project}" if project and namespace else project


def remedies(sizes: Sizes) -> str | None:
    """Variables of a job in ``.gitlab-ci.yml``."""
    jobs: dict[str, list[str]] = {}
    for (step, container), values in sizes.items():
        infix = _VARIABLES.get(container, "SERVICE_")
        for section, amounts in snippets.sections(values, snippets.NODE).items():
            for resource, amount in amounts.items():
                name = f"KUBERNETES_{infix}{resource.upper().replace('-', '_')}_{section.removesuffix('s').upper()}"
                jobs.setdefault(step, []).append(f'    {name}: "{amount}"')
    head = ["# .gitlab-ci.yml; config.toml must allow it: cpu_request_overwrite_max_allowed and so on"]
    return snippets.joined([head, *([f"{job}:", "  variables:", *lines] for job, lines in jobs.items())])


GITLAB = Preset(
    title="GitLab Runner",
    keys=PodLabels(PROJECT, "ci-pipeline-id", "ci-job-name", preset="gitlab"),
    more=(NAMESPACE,),
    beside=frozenset({"helper"}),
    of_workflow=_project,
    of_run=lambda fact, keys: value(fact, keys.run) or fact.pod,
    of_step=lambda fact, keys: value(fact, keys.step) or "job",
    written=remedies,
    retries=lambda step, limit: f"# .gitlab-ci.yml\n{step}:\n  retry:\n    max: {min(limit, _MAX_RETRIES)}",
    tests_changes=True,
)

"""Field names of JobSets that rules read. JobSets are immutable, so no field may be changed; sizes are set where JobSets
are made."""

from __future__ import annotations

from concertmaster.core.model import EngineTraits, ObjectKind
from concertmaster.core.model.definitions import POD
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets

RUN = ObjectKind("jobset.x-k8s.io/v1alpha2", "JobSet", "jobsets")


def remedies(sizes: Sizes) -> str | None:
    """Replicated Jobs of a JobSet, with these sizes."""
    pods: dict[str, list[str]] = {}
    containers: dict[str, list[str]] = {}
    for (step, container), values in sizes.items():
        if container == POD:
            pods.setdefault(step, []).extend(snippets.yaml_lines(values, 0))
        else:
            containers.setdefault(step, []).extend([f"- name: {container}", *snippets.yaml_lines(values, 2)])
    jobs: list[str] = []
    for step in dict.fromkeys(step for step, _ in sizes):
        held = ["containers:", *containers[step]] if step in containers else []
        pod = ["  template:", "    spec:", "      template:", "        spec:"]
        jobs += [f"- name: {step}", *pod, *snippets.indented([*pods.get(step, []), *held], 10)]
    head = ["# JobSet (jobset.x-k8s.io/v1alpha2)", "spec:", "  replicatedJobs:"]
    return snippets.joined([[*head, *snippets.indented(jobs, 2)] if jobs else []])


JOBSET = EngineTraits(
    name="JobSet",
    kinds=(RUN,),
    deadline_field="activeDeadlineSeconds",
    deadline_of_run=True,
    retry_limit_fields=("failurePolicy.maxRestarts",),
    clean_up_fields=("ttlSecondsAfterFinished",),
    single_step=True,
    starts_when_ready=True,
    remedies=remedies,
)

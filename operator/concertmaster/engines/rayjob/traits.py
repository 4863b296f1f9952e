"""Field names of RayJobs that rules read. KubeRay uses the spec as of the start of the run, so no field may be
changed; sizes are set where RayJobs are made."""

from __future__ import annotations

from concertmaster.core.model import EngineTraits, ObjectKind
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.common.ordering import ALONE

RUN = ObjectKind("ray.io/v1", "RayJob", "rayjobs")
HEAD, SUBMITTER = "head", "submitter"
SUBMITTING = "ray-job-submitter"
_AUTOSCALER = "autoscaler"  # KubeRay adds this container to the head, and sizes it by a field of its own
_TASKS = (
    "# Ray starts as many tasks as containers have CPUs, which KubeRay takes from their limits, else their requests,",
    "# rounded up. To keep that number, set num-cpus in rayStartParams of the group.",
)
_TEMPLATE = "  # Without a submitterPodTemplate so far: also set the container's image, that of the head."


def remedies(sizes: Sizes) -> str | None:
    """Head, groups of workers and submitter of a RayJob, with these sizes. Where no other pod ran, the head did the work."""
    by_step: dict[str, list[str]] = {}
    autoscaler: list[str] = []
    for (step, container), values in sizes.items():
        if (step, container) == (HEAD, _AUTOSCALER):
            autoscaler = ["    autoscalerOptions:", *snippets.yaml_lines(values, 6)]
            continue
        if (step, container) == (HEAD, SUBMITTING):  # of SidecarMode, with a size of its own that nothing sets
            continue
        lines = [f"- name: {container}", *snippets.yaml_lines(values, 2)]
        by_step.setdefault(HEAD if step == ALONE else step, []).extend(lines)
    cluster, workers, submitter = [], [], []
    for step, lines in by_step.items():
        if step == SUBMITTER:
            spec = ["restartPolicy: Never", "containers:", *lines]
            submitter = [_TEMPLATE, "  submitterPodTemplate:", "    spec:", *snippets.indented(spec, 6)]
        elif step == HEAD:
            cluster = [
                "    headGroupSpec:",
                "      template:",
                "        spec:",
                *snippets.indented(["containers:", *lines], 10),
            ]
        else:
            pod = ["      template:", "        spec:", *snippets.indented(["containers:", *lines], 10)]
            workers += [f"    - groupName: {step}", *pod]
    cluster += ["    workerGroupSpecs:", *workers] if workers else []
    cluster += autoscaler
    cluster = ["  rayClusterSpec:", *cluster] if cluster else []
    cpu = any(key.endswith(".cpu") for (step, _), values in sizes.items() if step != SUBMITTER for key in values)
    lines = [*cluster, *submitter]
    return snippets.joined(
        [["# RayJob (ray.io/v1)", *(_TASKS if cpu and cluster else ()), "spec:", *lines] if lines else []]
    )


def retries(step: str, limit: int) -> str:
    """Each retry creates a RayCluster: of whatever step, it is one of the whole run."""
    return f"# RayJob (ray.io/v1)\nspec:\n  backoffLimit: {limit}"


RAYJOB = EngineTraits(
    name="RayJob",
    kinds=(RUN,),
    deadline_field="activeDeadlineSeconds",
    deadline_of_run=True,
    retry_limit_fields=("backoffLimit",),
    clean_up_fields=("shutdownAfterJobFinishes", "deletionStrategy"),
    remedies=remedies,
    retries=retries,
)

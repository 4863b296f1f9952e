"""Volcano Jobs: gangs of pods.

Pods have ``volcano.sh/job-name``, ``volcano.sh/task-spec`` (the task, which is the step) and ``volcano.sh/task-index``.

https://volcano.sh/en/docs/vcjob/
"""

from __future__ import annotations

from concertmaster.core.model import PodLabels
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.labels.preset import Preset, base, value


def remedies(sizes: Sizes) -> str | None:
    """Tasks of a Volcano Job."""
    lines = ["# Job (batch.volcano.sh/v1alpha1)", "spec:", "  tasks:"]
    for (step, container), values in sizes.items():
        lines += [
            f"  - name: {step}",
            "    template:",
            "      spec:",
            "        containers:",
            f"        - name: {container}",
            *snippets.yaml_lines(values, 10),
        ]
    return snippets.joined([lines])


VOLCANO = Preset(
    title="Volcano",
    keys=PodLabels(
        "volcano.sh/job-name",
        "volcano.sh/job-name",
        "volcano.sh/task-spec",
        item="volcano.sh/task-index",
        preset="volcano",
    ),
    of_workflow=lambda fact, keys: base(run) if (run := value(fact, keys.workflow)) else None,
    written=remedies,
)

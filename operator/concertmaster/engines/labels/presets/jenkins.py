"""Jenkins: agents of the Kubernetes plugin.

``jenkins/label`` is the template of an agent's pod. A template defined in a pipeline is named after job and build,
``<job>_<number>-<five characters>``: the job is the workflow, the build the run. A template in the controller's
configuration serves many builds; then each of its pods is a run.

https://plugins.jenkins.io/kubernetes/
"""

from __future__ import annotations

import re

from concertmaster.core.model import PodFact, PodLabels
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.labels.preset import Preset, value

LABEL = "jenkins/label"
_OF_BUILD = re.compile(r"^(?P<job>.+)_\d+-[a-z0-9]{5}$")


def _job(fact: PodFact, keys: PodLabels) -> str | None:
    label = value(fact, keys.workflow)
    match = _OF_BUILD.fullmatch(label) if label else None
    return match["job"] if match else label


def _build(fact: PodFact, keys: PodLabels) -> str | None:
    label = value(fact, keys.workflow)
    return label if label and _OF_BUILD.fullmatch(label) else fact.pod


def remedies(sizes: Sizes) -> str | None:
    """``containerTemplate`` of a ``podTemplate``."""
    names = {"requests": "resourceRequest", "limits": "resourceLimit"}
    lines = ["// podTemplate(containers: ["]
    for (_, container), values in sizes.items():
        given = [
            f"{names[section]}{resource.title().replace('-', '')}: '{amount}'"
            for section, amounts in snippets.sections(values, snippets.NODE).items()
            for resource, amount in amounts.items()
        ]
        lines.append(f"containerTemplate(name: '{container}', {', '.join(given)}),  // and image, command as before")
    return snippets.joined([lines])


def retries(step: str, limit: int) -> str:
    conditions = "conditions: [kubernetesAgent(), nonresumable()]"
    return (  # Jenkins counts attempts, not retries
        "// inside podTemplate: agents that were lost get a new pod, steps that fail do not\n"
        f"retry(count: {limit + 1}, {conditions}) {{\n  node(POD_LABEL) {{\n    // stages as before\n  }}\n}}"
    )


JENKINS = Preset(
    title="Jenkins",
    keys=PodLabels(LABEL, LABEL, preset="jenkins"),
    beside=frozenset({"jnlp"}),
    of_workflow=_job,
    of_run=_build,
    of_step=lambda fact, keys: "agent",
    written=remedies,
    retries=retries,
    tests_changes=True,
)

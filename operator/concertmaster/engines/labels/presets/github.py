"""GitHub Actions: runner scale sets of the Actions Runner Controller.

A runner executes one job and exits. Its pod has ``actions.github.com/scale-set-name`` and labels for organization or
repository, but neither workflow nor job, so sizes apply to the scale set. Job pods in Kubernetes mode, and the
listener, lack ``actions-ephemeral-runner``.

https://docs.github.com/en/actions/hosting-your-own-runners/managing-self-hosted-runners-with-actions-runner-controller
"""

from __future__ import annotations

from concertmaster.core.model import PodFact, PodLabels
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.labels.preset import Preset, value

SCALE_SET, RUNNER = "actions.github.com/scale-set-name", "actions-ephemeral-runner"


def _scale_set(fact: PodFact, keys: PodLabels) -> str | None:
    return value(fact, keys.workflow) if value(fact, RUNNER) else None


def remedies(sizes: Sizes) -> str | None:
    """Values of the scale set's Helm chart."""
    lines = ["# values of the Helm chart gha-runner-scale-set", "template:", "  spec:", "    containers:"]
    for (_, container), values in sizes.items():
        lines += [f"    - name: {container}", *snippets.yaml_lines(values, 6)]
    return snippets.joined([lines])


GITHUB = Preset(
    title="GitHub Actions",
    keys=PodLabels(SCALE_SET, SCALE_SET, preset="github-actions"),
    more=(RUNNER,),
    of_workflow=_scale_set,
    of_run=lambda fact, keys: fact.pod,
    of_step=lambda fact, keys: "runner",
    written=remedies,
    tests_changes=True,
)

"""Custom labels: any keys that a profile or policy names."""

from __future__ import annotations

from concertmaster.core.model import PodLabels
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.labels.preset import Preset


def remedies(sizes: Sizes) -> str | None:
    """Resources of the containers in Kubernetes syntax."""
    return snippets.joined(
        [[f"# step {step}, container {c}", *snippets.yaml_lines(v, 0)] for (step, c), v in sizes.items()]
    )


PLAIN = Preset(title="Pod labels", keys=PodLabels("", ""), written=remedies, infers=False)

"""The kinds of healthy workflows, by what they are about."""

from benchmarks.healthy.kinds import failures, fan_outs, few, inputs, nodes, pipelines, resources, seasons
from benchmarks.healthy.law import Kind

KINDS: tuple[Kind, ...] = (
    *pipelines.KINDS,
    *fan_outs.KINDS,
    *inputs.KINDS,
    *seasons.KINDS,
    *nodes.KINDS,
    *failures.KINDS,
    *resources.KINDS,
    *few.KINDS,
)

__all__ = ["KINDS"]

"""The same workflows where only 5 to 12 of their runs are known."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.healthy.kinds import failures, fan_outs, inputs, nodes, pipelines, resources, seasons
from benchmarks.healthy.law import Flow, Kind, Rng
from benchmarks.healthy.starts import few


def seldom(kind: Kind) -> Kind:
    """The kind with few runs, which are not on a schedule."""

    def seldom_run(rng: Rng) -> Flow:
        made = kind(rng)
        engine = "argo" if made.engine == "cron" else made.engine
        return replace(made, starts=few(5, 12), schedule=None, engine=engine)

    seldom_run.__name__ = f"few_{kind.__name__}"
    seldom_run.__doc__ = f"Few runs are known. {kind.__doc__}"
    return seldom_run


KINDS: tuple[Kind, ...] = tuple(
    seldom(kind)
    for kind in (
        pipelines.pipeline_tekton,
        pipelines.hourly,
        pipelines.sparse_samples,
        pipelines.training,
        pipelines.diamond,
        pipelines.conditional,
        pipelines.checks_before_deployment_argo,
        pipelines.constant_inputs,
        pipelines.short_pods,
        pipelines.new_versions,
        fan_outs.items_of_unknown_size,
        fan_outs.items_of_known_size,
        fan_outs.limited_to_ten,
        fan_outs.twelve_items,
        fan_outs.short_items,
        fan_outs.one_node,
        fan_outs.two_nodes,
        fan_outs.map_and_reduce,
        fan_outs.two_stages,
        inputs.samples_of_unknown_size,
        inputs.samples_of_known_size,
        inputs.memory_for_rare_inputs,
        inputs.pool_for_large_inputs,
        seasons.by_day_every_two_hours,
        seasons.full_weekly_among_daily,
        nodes.autoscaled,
        nodes.two_generations,
        nodes.preemptible,
        nodes.one_node_for_each_run,
        nodes.rarely_pending,
        nodes.waits_of_15_seconds,
        nodes.waits_of_30_seconds,
        failures.one_in_a_hundred,
        failures.retried,
        failures.superseded,
        failures.heavy_tails,
        failures.varied_steps,
        resources.throttled_a_little,
        resources.calls_of_an_interface,
        resources.emptied_weekly,
    )
)

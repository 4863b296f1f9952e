"""The kinds of planted problems of resources, by what they are about."""

from dataclasses import replace

from benchmarks.graphs.draws import stream
from benchmarks.resources.kinds import changed, devices, elsewhere, killed, namespaces, pods, usage
from benchmarks.resources.plant import Kind, Plant
from benchmarks.resources.remedies import written

KINDS: dict[str, Kind] = {
    kind.__name__.replace("_", "-"): kind
    for kind in (
        *changed.KINDS,
        *pods.KINDS,
        *usage.KINDS,
        *killed.KINDS,
        *namespaces.KINDS,
        *devices.KINDS,
        *elsewhere.KINDS,
    )
}


def planted(kind: str, seed: int) -> Plant:
    """The problem of that kind by this seed."""
    made = KINDS[kind](stream(seed, kind), f"{kind}-{seed}")
    return replace(made, flow=written(made.flow), fixed=written(made.fixed))


__all__ = ["KINDS", "planted"]

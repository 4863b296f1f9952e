"""The kinds of planted problems, by what they are about."""

from benchmarks.graphs.draws import Rng, stream
from benchmarks.graphs.kinds import conditional, cost, pairs, regressions, reliability, speed, unlike
from benchmarks.graphs.plant import Kind, Plant
from benchmarks.graphs.shapes import any_of, flow

_TRIES = 50


def healthy(rng: Rng, name: str) -> Plant:
    """A workflow without any problem: nothing is to be recommended."""
    drawn = flow(rng, name, any_of(rng))
    return Plant(drawn, drawn, (), None, "")


KINDS: dict[str, Kind] = {
    kind.__name__.replace("_", "-"): kind
    for kind in (
        *regressions.KINDS,
        *speed.KINDS,
        *cost.KINDS,
        *reliability.KINDS,
        *conditional.KINDS,
        *pairs.KINDS,
        *unlike.KINDS,
        healthy,
    )
}


def planted(kind: str, seed: int) -> Plant:
    """The problem of that kind by this seed, in the first drawn graph that has a place for it."""
    rng = stream(seed, kind)
    for _ in range(_TRIES):
        plant = KINDS[kind](rng, f"{kind}-{seed}")
        if plant is not None:
            return plant
    raise ValueError(f"{kind}: none of {_TRIES} graphs of seed {seed} has a place for it")


__all__ = ["KINDS", "planted"]

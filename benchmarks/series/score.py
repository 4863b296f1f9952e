"""All that is counted for a kind and a seed, and the figures over many."""

from __future__ import annotations

from typing import Any

from benchmarks.series import changes, flows, growth, inputs, problems, sides
from benchmarks.series.laws import LAWS
from benchmarks.series.tally import Tally, merged


def _all(law: int, seed: int) -> Tally:
    return merged(part.judge(LAWS[law], seed) for part in (changes, sides, problems, flows))


WHAT = {
    **{law.name: law.what for law in LAWS},
    **{law.name: law.what for law in inputs.KINDS},
    **{law.name: law.what for law in growth.KINDS},
}
"""What goes on, by kind: laws of values, of inputs, and of growth."""


def judge(kind: str, seed: int) -> Tally:
    """What is said of the series of that kind and seed."""
    for index, law in enumerate(LAWS):
        if law.name == kind:
            return _all(index, seed)
    for of_inputs in inputs.KINDS:
        if of_inputs.name == kind:
            return inputs.judge(of_inputs, seed)
    return growth.judge(next(law for law in growth.KINDS if law.name == kind), seed)


def result(tally: Tally, seeds: int) -> dict[str, Any]:
    """The content of the result file."""
    return {"seeds": seeds, "rows": tally.rows()}

"""``make bench-changes``: changes that coincide with the whole cluster becoming faster or slower.

The simulation is that of campaigns.py. With the change the speed of all work changes, for this workflow and
for eight unchanged ones; every workflow keeps its own noise and drift, and its short steps are unaffected. Each
campaign is verified twice on the same runs: with the other workflows as control group, and without.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.changes.campaign_simulation import APPLIED, BASELINE, HOUR, new_simulation, play
from benchmarks.changes.campaigns import GOOD, change, share
from benchmarks.changes.publishing import options_of, publish
from concertmaster.core.changes.verification.before_after import split_runs
from concertmaster.core.changes.verification.control_group import common_factor
from concertmaster.core.changes.verification.verify import Verification
from concertmaster.core.model import RunRecord
from concertmaster.core.model.enums import OnSame

RESULT = Path(__file__).resolve().parents[1] / "results" / "moved.json"
KINDS = ("faster", "cheaper", "slower")
FACTORS = (0.8, 1.0, 1.25)
OTHERS = 8
_LOOKS = 4  # runs between two evaluations, as each one compares nine workflows


@dataclass(frozen=True, slots=True)
class Moved:
    """The two outcomes of a campaign: rolled back with and without the control group, and whether the predicted
    interval contains the measured effect."""

    kind: str
    factor: float
    restored: dict[str, bool]
    inside: dict[str, bool | None]


def campaign(factor: float, kind: str, seed: int) -> Moved | None:
    """Simulate one workflow in a cluster where all work takes ``factor`` times as long after the change; None if there
    was nothing to change."""
    begun = change(kind, seed)
    if begun is None:
        return None
    most = begun.settings.max_runs
    simulation = replace(begun.simulation, work=begun.simulation.work * factor)
    total = list(begun.runs)
    total += [play(simulation, begun.raw, BASELINE + i, begun.rng, harmed=True) for i in range(most)]
    beside = [_beside(factor, most, np.random.default_rng([seed, i])) for i in range(OTHERS)]
    ends: dict[str, Verification] = {}
    for number in range(_LOOKS, most + 1, _LOOKS):
        seen = BASELINE + min(number, most)
        now = APPLIED + (number + 1) * HOUR
        shared = common_factor([split_runs(runs[:seen], applied=APPLIED, since=None, now=now) for runs in beside])
        for name, given in (("with", shared), ("without", None)):
            if name not in ends or ends[name].verdict is None:
                ends[name] = begun.look(total[:seen], begun.settings, given)
    everything = replace(begun.settings, min_runs=most, on_same=OnSame.KEEP)
    shared = common_factor(
        [split_runs(runs, applied=APPLIED, since=None, now=APPLIED + 10_000 * HOUR) for runs in beside]
    )
    effects = {"with": begun.look(total, everything, shared), "without": begun.look(total, everything)}
    promised = begun.made.predicted
    inside: dict[str, bool | None] = {}
    for name, verification in effects.items():
        measured = verification.measured
        reported = promised is not None and measured is not None and promised.measure == measured.measure
        inside[name] = promised.low <= measured.likely <= promised.high if reported and promised and measured else None
    return Moved(kind, factor, {name: verification.restore for name, verification in ends.items()}, inside)


def _beside(factor: float, most: int, rng: np.random.Generator) -> list[RunRecord]:
    """Runs of an unchanged workflow."""
    simulation, raw = new_simulation(rng, "cheaper")
    moved = replace(simulation, work=simulation.work * factor)
    return [play(simulation if i < BASELINE else moved, raw, i, rng, harmed=False) for i in range(BASELINE + most)]


def summary(rows: Sequence[Moved]) -> list[dict[str, Any]]:
    """The figures of the table, one row per factor."""
    found = []
    for factor in FACTORS:
        mine = [r for r in rows if r.factor == factor]
        figures: dict[str, Any] = {"factor": factor, "campaigns": len(mine)}
        for name in ("without", "with"):
            good = [r.restored[name] for r in mine if r.kind in GOOD]
            reported = [bool(r.inside[name]) for r in mine if r.kind in GOOD and r.inside[name] is not None]
            slower = [r.restored[name] for r in mine if r.kind == "slower"]
            figures[name] = {"inside": share(reported), "false": share(good), "caught": share(slower)}
        found.append(figures)
    return found


def lines(result: dict[str, Any]) -> list[str]:
    """The result as lines of benchmarks/RESULTS.md."""
    reported = {0.8: "a fifth faster", 1.0: "as before", 1.25: "a quarter slower"}
    rows = [
        f"| {reported.get(row['factor'], row['factor'])} ({row['campaigns']}) | {row['without']['inside']}%,"
        f" {row['with']['inside']}% | {row['without']['false']}%, {row['with']['false']}% |"
        f" {row['without']['caught']}%, {row['with']['caught']}% |"
        for row in result["summary"]
    ]
    return [
        "",
        "## Changes made when the whole cluster moves (simulated; `make bench-changes`)",
        "",
        f"Each cell: by the workflow's own runs alone, then with {OTHERS} unchanged workflows as control"
        " (see benchmarks/changes/moved.py).",
        "",
        "| all work takes (campaigns) | effect inside the promise | good changes rolled back | a fifth longer caught |",
        "|---|---|---|---|",
        *rows,
    ]


def main() -> int:
    """Run the campaigns and write the result as JSON."""
    options = options_of(__doc__, each=40)
    rows: list[Moved] = []
    for place, kind in enumerate(KINDS):
        seeds = [options.seed + 10_000 * place + i for i in range(options.each)]
        for factor in FACTORS:
            with ProcessPoolExecutor(options.workers) as pool:
                rows += [m for m in pool.map(partial(campaign, factor, kind), seeds) if m is not None]
            print(f"{kind}, all work {factor} times as long: {len(rows)} campaigns so far", flush=True)
    result = {"summary": summary(rows), "seed": options.seed, "each": options.each}
    print(json.dumps(result["summary"], indent=1))
    publish(RESULT, result, dry=options.dry)
    return 0


if __name__ == "__main__":
    sys.exit(main())

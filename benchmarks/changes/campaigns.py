"""``make bench-changes``: hundreds of changes through the whole loop, on simulated workflows of unknown behaviour.

Each campaign is one workflow with a manifest, runs, recommendations, a plan, the policy checks, the change, further
runs and the verification: all of it product code. The simulation (campaign_simulation.py) deliberately differs from
the model of the replay.

There are four kinds of campaigns: excessive requests (to become cheaper without becoming slower), a parallelism of 2
(to become faster), and the same with a change that has no effect or does harm (20% slower; insufficient memory).
"""

from __future__ import annotations

import copy
import json
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.changes.campaign_simulation import APPLIED, BASELINE, BEGIN, HOUR, Simulation, new_simulation, play
from benchmarks.changes.publishing import options_of, publish
from concertmaster.api.models.policy import OptimizationPolicy
from concertmaster.api.resolve import resolve
from concertmaster.controller.profiles.analysis.analyzer import candidates
from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.changes.checks import blocking, run_checks
from concertmaster.core.changes.plan import Plan, plan
from concertmaster.core.changes.situation import Situation
from concertmaster.core.changes.verification.attribution import LoweredMemory
from concertmaster.core.changes.verification.before_after import split_runs
from concertmaster.core.changes.verification.surroundings import Surroundings
from concertmaster.core.changes.verification.verify import Verification, scheduled, verify
from concertmaster.core.model import RunRecord
from concertmaster.core.model.enums import OnSame, Verdict
from concertmaster.core.model.policy import VerifySettings
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.core.stats.comparison import CommonFactor
from concertmaster.engines import PATCHABLE, complete
from concertmaster.engines.define import define

RESULT = Path(__file__).resolve().parents[1] / "results" / "campaigns.json"
KINDS = ("faster", "cheaper", "slower", "kills")
GOOD = ("faster", "starved", "cheaper")  # kinds without injected harm, here and in the benchmark with real components
POLICY = {
    "apiVersion": "concertmaster.dev/v1alpha1",
    "kind": "OptimizationPolicy",
    "metadata": {"name": "team", "namespace": "demo"},
    "spec": {
        "apply": {
            "mode": "Auto",
            "maxRisk": "Medium",
            "bounds": {"maxStepPercent": 1000, "parallelism": {"max": 200}},
            "gitOps": "Suggest",
        }
    },
}


@dataclass(frozen=True, slots=True)
class Campaign:
    """Outcome of one campaign. ``inside``: whether the measured effect is within the predicted interval (None: no
    prediction)."""

    kind: str
    rule: str
    verdict: str
    restored: bool
    runs: int
    promised: tuple[float, float, float] | None
    measured: float | None
    inside: bool | None


@dataclass(frozen=True, slots=True)
class Changed:
    """A workflow whose change was just applied: ``raw`` is its new manifest, ``runs`` are those before the change."""

    made: Plan
    simulation: Simulation
    raw: dict[str, Any]
    runs: list[RunRecord]
    rng: np.random.Generator
    settings: VerifySettings

    def look(
        self, runs: Sequence[RunRecord], settings: VerifySettings, shared: CommonFactor | None = None
    ) -> Verification:
        """State of the verification after ``runs``."""
        lower = [s.new for s in self.made.settings if s.resource == "memory" and s.old is not None and s.new < s.old]
        found = split_runs(runs, applied=APPLIED, since=None, now=APPLIED + 10_000 * HOUR)
        aim, steps = self.made.aim, (self.made.step,) if self.made.step is not None else ()
        lowered = LoweredMemory.of(lower, resolve(None, OptimizationPolicy.parse(POLICY)))
        return verify(aim, found, settings, age=0.0, steps=steps, lowered=lowered, around=Surroundings(common=shared))


def change(kind: str, seed: int) -> Changed | None:
    """Simulate one workflow up to its change; None if there was nothing to change."""
    rng = np.random.default_rng(seed)
    simulation, raw = new_simulation(rng, "faster" if kind == "faster" else "cheaper")
    if kind == "slower":
        simulation = replace(simulation, harm=1.2)
    elif kind == "kills":
        simulation = replace(simulation, kills=True)
    runs = [play(simulation, raw, i, rng, harmed=False) for i in range(BASELINE)]
    policy = resolve(None, OptimizationPolicy.parse(POLICY))
    definition = define(raw)
    assert definition is not None
    now = BEGIN + BASELINE * HOUR
    found = candidates(analyze_workflow(*complete(definition, runs), policy, profile="etl", now=now), frozenset())
    wanted = "parallelism" if kind == "faster" else "right-size"
    for candidate in found:
        item = candidate.recommendation
        # The model itself penalises a lowered CPU request; the harm here is added to that.
        if item.rule != wanted or item.step not in (None, "work"):
            continue
        more: dict[str, Any] = {"monthly_cost": candidate.monthly_cost, "spread": candidate.spread}
        made = plan(item, raw, PATCHABLE, profile="etl", namespace="demo", bounds=policy.apply.bounds, **more)
        if kind == "kills" and not any(s.resource == "memory" and s.old and s.new < s.old for s in made.settings):
            continue
        situation = Situation(now, policy, data_until=now, coverage=candidate.coverage)
        if blocking(run_checks(made, situation), proposing=False):
            continue
        changed = jsonpatch.apply(copy.deepcopy(raw), made.operations("1"))
        return Changed(made, simulation, changed, runs, rng, scheduled(policy.apply.verify, definition, now))
    return None


def campaign(kind: str, seed: int) -> Campaign | None:
    """Simulate one workflow through the loop: runs continue after the change until there is a verdict, and the final
    effect is measured over all later runs. None if there was nothing to change."""
    begun = change(kind, seed)
    if begun is None:
        return None
    made, settings = begun.made, begun.settings
    verification: Verification | None = None
    total = list(begun.runs)
    for number in range(BASELINE, BASELINE + settings.max_runs):
        total.append(play(begun.simulation, begun.raw, number, begun.rng, harmed=True))
        if verification is None or verification.verdict is None:
            verification = begun.look(total, settings)
    assert verification is not None
    effect = begun.look(total, replace(settings, min_runs=settings.max_runs, on_same=OnSame.KEEP)).measured
    promised = made.predicted
    known = promised is not None and effect is not None and promised.measure == effect.measure
    return Campaign(
        kind,
        made.rule,
        (verification.verdict or Verdict.INCONCLUSIVE).value,
        verification.restore,
        verification.verified_runs,
        (promised.low, promised.likely, promised.high) if promised is not None else None,
        effect.likely if effect is not None else None,
        promised.low <= effect.likely <= promised.high if known and promised and effect else None,
    )


def share(values: Sequence[bool]) -> float | None:
    """Percentage of true values; None without any."""
    return round(100.0 * sum(values) / len(values), 1) if values else None


def summary(rows: Sequence[Campaign], kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """The figures of the table."""

    def of(*kinds: str) -> list[Campaign]:
        return [r for r in rows if r.kind in kinds]

    def runs(found: Sequence[Campaign]) -> int | None:
        return int(np.median([r.runs for r in found])) if found else None

    reported = [r for r in of(*GOOD) if r.inside is not None]
    return {
        "campaigns": len(rows),
        "verdicts": {k: dict(Counter(r.verdict for r in of(k))) for k in kinds},
        "inside_percent": share([bool(r.inside) for r in reported]),
        "inside_of": len(reported),
        "inside_by_rule": {
            rule: [share([bool(r.inside) for r in reported if r.rule == rule]), sum(r.rule == rule for r in reported)]
            for rule in sorted({r.rule for r in reported})
        },
        "faster_kept_percent": share([not r.restored for r in of("faster")]),
        "false_restores_percent": share([r.restored for r in of(*GOOD)]),
        "slower_caught_percent": share([r.restored for r in of("slower")]),
        "kills_caught_percent": share([r.restored for r in of("kills")]),
        "runs_to_verdict": {k: runs(of(k)) for k in kinds},
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The result as lines of benchmarks/RESULTS.md."""
    found, runs = result["summary"], result["summary"]["runs_to_verdict"]
    by_rule = "; ".join(f"{rule} {p}% of {n}" for rule, (p, n) in found["inside_by_rule"].items())
    return [
        "",
        f"## Changes through the whole loop ({found['campaigns']} simulated campaigns; `make bench-changes`)",
        "",
        "Recommendation, plan, checks and verification are the product's; the cluster that answers is simulated by a law the"
        " replay does not know (see benchmarks/changes/campaign_simulation.py).",
        "",
        "| what | must | measured |",
        "|---|---|---|",
        f"| measured effect inside the promised 90% interval | 80 to 98% | {found['inside_percent']}% of"
        f" {found['inside_of']} ({by_rule}) |",
        f"| good changes rolled back | <= 5% | {found['false_restores_percent']}% |",
        f"| changes that came with 20% longer work caught | >= 90% | {found['slower_caught_percent']}% |",
        f"| changes that came with memory kills caught | - | {found['kills_caught_percent']}% |",
        f"| runs to the verdict (median): faster, cheaper, slower, kills | - | {runs['faster']}, {runs['cheaper']},"
        f" {runs['slower']}, {runs['kills']} |",
    ]


def main() -> int:
    """Run the campaigns and write the result as JSON."""
    options = options_of(__doc__, each=60)
    rows: list[Campaign] = []
    for place, kind in enumerate(KINDS):
        seeds = [options.seed + 10_000 * place + i for i in range(options.each)]
        with ProcessPoolExecutor(options.workers) as pool:
            found = list(pool.map(partial(campaign, kind), seeds))
        mine = [c for c in found if c is not None]
        rows += mine
        print(f"{kind}: {len(mine)} of {options.each} workflows changed", flush=True)
    result = {"summary": summary(rows), "seed": options.seed, "each": options.each}
    print(json.dumps(result, indent=1))
    publish(RESULT, result, dry=options.dry)
    return 0


if __name__ == "__main__":
    sys.exit(main())

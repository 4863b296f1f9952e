"""``make bench-changes``: hundreds of changes through the whole loop, in a world whose law the operator does not know.

Each campaign is one workflow with a manifest, runs of it, advice, a plan, the gates, the change, further runs and the
proof: all product code. The world is simulated here and is *not* the formula of the replay: pods are created one after
the other by a controller that takes its time (a hidden serial part), a share of each step does not get faster with CPU,
inputs drift, every run has noise of its own, and nodes are so full that a request is also what a step gets.

Four kinds of campaigns: requests far above the need (to be cheaper and not slower), a parallelism of 2 (to be faster),
the same with no effect at all or with harm that comes with the change (a fifth slower; memory that no longer suffices).
"""

from __future__ import annotations

import argparse
import copy
import heapq
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

from concertmaster.advisor import advise
from concertmaster.api.models.policy import OptimizationPolicy
from concertmaster.api.policy import resolve
from concertmaster.core import jsonpatch
from concertmaster.core.amounts import quantity
from concertmaster.core.gates import Situation, blocking, judge
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution
from concertmaster.core.plan import Plan, plan
from concertmaster.core.proof import Proof, Terms, prove
from concertmaster.core.sides import sides
from concertmaster.core.verdict import Common, Verdict
from concertmaster.engines.define import define
from concertmaster.runtime.adviser import candidates
from concertmaster.runtime.changes_terms import reach_of, rights_of, terms_of

RESULT = Path(__file__).parent / "results" / "campaigns.json"
HOUR = 3600.0
BEGIN = 1_760_000_000.0
GI = 1024.0**3
MI = 1024.0**2
BASELINE = 30
APPLIED = BEGIN + BASELINE * HOUR - 1.0
KINDS = ("faster", "cheaper", "slower", "kills")
GOOD = ("faster", "starved", "cheaper")  # kinds that nothing spoils, of this benchmark and of the one with real parts
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
class World:
    """The hidden law of one workflow. Seconds, cores, bytes; ``harm`` multiplies run times once ``harmed`` is True."""

    items: int
    work: float
    serial: float  # share of the work that more CPU does not shorten
    cores: float  # what the work keeps busy
    creation: float  # seconds the controller takes per pod, one after the other
    noise: float
    drift: float  # growth of the input per run
    peak: float
    harm: float = 1.0
    kills: bool = False


def manifest(parallelism: int, cpu: str, memory: str, items: int) -> dict[str, Any]:
    """A workflow of three steps: prepare, a fan-out of ``items``, collect."""

    def body(name: str) -> dict[str, Any]:
        requests = {"cpu": cpu, "memory": memory} if name == "work" else {"cpu": "500m", "memory": "256Mi"}
        return {"name": name, "container": {"image": "etl:1", "command": ["x"], "resources": {"requests": requests}}}

    tasks = [
        {"name": "prepare", "template": "prepare"},
        {"name": "work", "template": "work", "dependencies": ["prepare"], "withItems": [str(i) for i in range(items)]},
        {"name": "collect", "template": "collect", "dependencies": ["work"]},
    ]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "etl", "namespace": "demo", "uid": "u", "resourceVersion": "1"},
        "spec": {
            "entrypoint": "main",
            "parallelism": parallelism,
            "templates": [{"name": "main", "dag": {"tasks": tasks}}, body("prepare"), body("work"), body("collect")],
        },
    }


def play(world: World, raw: dict[str, Any], number: int, rng: np.random.Generator, *, harmed: bool) -> RunRecord:
    """One run of the workflow as its manifest is now."""
    definition = define(raw)
    assert definition is not None
    start = BEGIN + number * HOUR
    size = float((1.0 + world.drift) ** number * np.exp(0.1 * rng.standard_normal()))
    whole = float(np.exp(world.noise * rng.standard_normal()))  # a node, a day: what all steps of a run share
    requests = raw["spec"]["templates"][2]["container"]["resources"]["requests"]
    cpu, memory = quantity(requests["cpu"]) or 1.0, quantity(requests["memory"]) or GI
    kills = harmed and world.kills and rng.random() < 0.5
    rows: list[StepExecution] = []

    def one(step: str, item: str | None, ready: float, begun: float, seconds: float, **fact: Any) -> float:
        scheduled, started = begun + 0.4, begun + 0.4 + float(rng.uniform(1.5, 3.0))
        finished = started + seconds
        outcome = Outcome.FAILED if fact.get("reason") else Outcome.SUCCEEDED
        used = fact.pop("used", 0.3)
        container = ContainerFact(
            "main", "etl:1", started=started, finished=finished, samples=10, expected_samples=10,
            cpu_seconds=used * seconds, cpu_sampled_seconds=seconds, cpu_peak_cores=1.1 * used, **fact,
        )  # fmt: skip
        uid = f"{number}-{step}-{item}"
        rows.append(
            StepExecution(
                step, item, pod=uid, uid=uid, node="n", ready=ready, created=begun, scheduled=scheduled,
                started=started, finished=finished, outcome=outcome, reason=fact.get("reason"),
                containers=(container,), input_size=size if step == "work" else None,
            )
        )  # fmt: skip
        return finished

    small = {"cpu_request": 0.5, "memory_request": 256 * MI, "memory_sampled_peak": 90 * MI}
    ready = one("prepare", None, start, start, 20.0 * float(np.exp(0.05 * rng.standard_normal())), **small)
    limit = int(raw["spec"]["parallelism"])
    free = [ready] * limit
    controller, last = ready, ready
    for item in range(world.items):
        begun = max(heapq.heappop(free), controller)
        controller = begun + world.creation
        got = min(cpu, world.cores)
        seconds = world.work * size * whole * (world.serial + (1.0 - world.serial) * world.cores / got)
        seconds *= float(np.exp(world.noise * rng.standard_normal())) * (world.harm if harmed else 1.0)
        peak = world.peak * float(np.exp(0.05 * rng.standard_normal()))
        reason = "OOMKilled" if kills and item == 0 else None
        ended = one(
            "work", str(item), ready, begun, seconds, used=got * 0.95, reason=reason,
            cpu_request=cpu, memory_request=memory, memory_sampled_peak=min(peak, memory) if reason else peak,
        )  # fmt: skip
        heapq.heappush(free, ended)
        last = max(last, ended)
    end = one("collect", None, last, last, 15.0 * float(np.exp(0.05 * rng.standard_normal())), **small)
    outcome = Outcome.FAILED if kills else Outcome.SUCCEEDED
    return RunRecord(definition.key, f"run-{number}", start, end, outcome, Source.HISTORY, tuple(rows))


def new_world(rng: np.random.Generator, kind: str) -> tuple[World, dict[str, Any]]:
    items = int(rng.integers(6, 16))
    cores = float(rng.choice([0.3, 0.4, 0.5, 0.8]))
    world = World(
        items=items,
        work=float(rng.uniform(40, 160)),
        serial=float(rng.uniform(0.1, 0.5)),
        cores=cores,
        creation=float(rng.uniform(0.3, 2.0)),
        noise=float(rng.uniform(0.03, 0.12)),
        drift=float(rng.uniform(0.0, 0.003)),
        peak=float(rng.uniform(200, 600)) * MI,
    )
    if kind == "faster":
        return world, manifest(2, f"{round(1000 * cores * 1.3)}m", f"{round(world.peak / MI * 1.25)}Mi", items)
    return world, manifest(items, f"{round(1000 * cores * 3)}m", f"{round(world.peak / MI * 3)}Mi", items)


@dataclass(frozen=True, slots=True)
class Campaign:
    """What came of one. ``inside``: the measured effect lies in the promised interval (None: nothing was promised)."""

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
    """A workflow whose change was just written: ``raw`` is its manifest since, ``runs`` are those before."""

    made: Plan
    world: World
    raw: dict[str, Any]
    runs: list[RunRecord]
    rng: np.random.Generator
    terms: Terms

    def look(self, runs: Sequence[RunRecord], terms: Terms, shared: Common | None = None) -> Proof:
        """Where the proof stands after ``runs``."""
        lowers = any(s.resource == "memory" and s.old is not None and s.new < s.old for s in self.made.settings)
        found = sides(runs, applied=APPLIED, since=None, now=APPLIED + 10_000 * HOUR)
        aim, steps = self.made.aim, (self.made.step,) if self.made.step is not None else ()
        return prove(aim, found, terms, age=0.0, steps=steps, lowers_memory=lowers, common=shared)


def change(kind: str, seed: int) -> Changed | None:
    """One workflow's way up to its change; None when nothing could be changed."""
    rng = np.random.default_rng(seed)
    world, raw = new_world(rng, "faster" if kind == "faster" else "cheaper")
    if kind == "slower":
        world = replace(world, harm=1.2)
    elif kind == "kills":
        world = replace(world, kills=True)
    runs = [play(world, raw, i, rng, harmed=False) for i in range(BASELINE)]
    policy = resolve(None, OptimizationPolicy.parse(POLICY))
    definition = define(raw)
    assert definition is not None
    now = BEGIN + BASELINE * HOUR
    found = candidates(advise(definition, runs, policy, profile="etl", now=now), frozenset())
    wanted = {"faster": ("parallelism",), "kills": ("memory-request",)}.get(kind, ("cpu-request", "memory-request"))
    for candidate in found:
        item = candidate.recommendation
        # The harm of a lowered CPU request is the world's own, by its hidden law; here it is added on top.
        if item.rule not in wanted or item.step not in (None, "work"):
            continue
        more: dict[str, Any] = {"monthly_cost": candidate.monthly_cost, "spread": candidate.spread}
        made = plan(item, raw, profile="etl", namespace="demo", reach=reach_of(policy), **more)
        situation = Situation(now, rights_of(policy), data_until=now, coverage=candidate.coverage)
        if blocking(judge(made, situation), proposing=False):
            continue
        changed = jsonpatch.apply(copy.deepcopy(raw), made.operations("1"))
        return Changed(made, world, changed, runs, rng, terms_of(policy, definition, now))
    return None


def campaign(kind: str, seed: int) -> Campaign | None:
    """One workflow's way through the loop: runs go on with the change until there is a verdict, and the full effect is
    measured on all later runs. None when nothing could be changed."""
    begun = change(kind, seed)
    if begun is None:
        return None
    made, terms = begun.made, begun.terms
    proof: Proof | None = None
    total = list(begun.runs)
    for number in range(BASELINE, BASELINE + terms.max_runs):
        total.append(play(begun.world, begun.raw, number, begun.rng, harmed=True))
        if proof is None or proof.verdict is None:
            proof = begun.look(total, terms)
    assert proof is not None
    effect = begun.look(total, replace(terms, min_runs=terms.max_runs, restore_same=False)).measured
    promised = made.predicted
    known = promised is not None and effect is not None and promised.measure == effect.measure
    return Campaign(
        kind,
        made.rule,
        (proof.verdict or Verdict.INCONCLUSIVE).value,
        proof.restore,
        proof.verified_runs,
        (promised.low, promised.likely, promised.high) if promised is not None else None,
        effect.likely if effect is not None else None,
        promised.low <= effect.likely <= promised.high if known and promised and effect else None,
    )


def share(values: Sequence[bool]) -> float | None:
    """Percent of true ones; None without any."""
    return round(100.0 * sum(values) / len(values), 1) if values else None


def summary(rows: Sequence[Campaign], kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """The figures of the table."""

    def of(*kinds: str) -> list[Campaign]:
        return [r for r in rows if r.kind in kinds]

    def runs(found: Sequence[Campaign]) -> int | None:
        return int(np.median([r.runs for r in found])) if found else None

    told = [r for r in of(*GOOD) if r.inside is not None]
    return {
        "campaigns": len(rows),
        "verdicts": {k: dict(Counter(r.verdict for r in of(k))) for k in kinds},
        "inside_percent": share([bool(r.inside) for r in told]),
        "inside_of": len(told),
        "inside_by_rule": {
            rule: [share([bool(r.inside) for r in told if r.rule == rule]), sum(r.rule == rule for r in told)]
            for rule in sorted({r.rule for r in told})
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
    by_rule = "; ".join(f"{rule} {p} % of {n}" for rule, (p, n) in found["inside_by_rule"].items())
    return [
        "",
        f"## Changes through the whole loop ({found['campaigns']} simulated campaigns; `make bench-changes`)",
        "",
        "Advice, plan, gates and proof are the product's; the world that answers is simulated by a law the replay does not"
        " know (see benchmarks/campaigns.py).",
        "",
        "| what | must | measured |",
        "|---|---|---|",
        f"| measured effect inside the promised 90 % interval | 80 to 98 % | {found['inside_percent']} % of"
        f" {found['inside_of']} ({by_rule}) |",
        f"| good changes taken back | <= 5 % | {found['false_restores_percent']} % |",
        f"| changes that came with 20 % longer work caught | >= 90 % | {found['slower_caught_percent']} % |",
        f"| changes that came with memory kills caught | - | {found['kills_caught_percent']} % |",
        f"| runs to the verdict (median): faster, cheaper, slower, kills | - | {runs['faster']}, {runs['cheaper']},"
        f" {runs['slower']}, {runs['kills']} |",
    ]


def main() -> int:
    """Run the campaigns, write JSON and page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=60, help="campaigns of each kind")
    parser.add_argument("--seed", type=int, default=20261120)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args()
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
    if not options.dry:
        from benchmarks.run import PAGE, RESULTS, page  # the page's other parts are made there

        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        PAGE.write_text(page(json.loads(RESULTS.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())

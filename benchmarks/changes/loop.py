"""``make bench-changes``, second part: many parallel changes through the loop with real components.

All workflows run in parallel in one test bed under the real Argo controller, one namespace each; the operator is a
separate process. loop_bed.py describes what is real and what is simulated, loop_scenarios.py the
simulation model.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.changes.campaigns import Campaign, share, summary
from benchmarks.changes.loop_bed import Outcome, bed
from benchmarks.changes.loop_scenarios import KINDS, UNCHANGED, Scenario
from benchmarks.changes.loop_track import Pace
from benchmarks.changes.publishing import publish
from testbed.process import TestbedError

RESULT = Path(__file__).resolve().parents[1] / "results" / "loop.json"


def figures(found: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of one column. A change without a verdict at the end of the time counts as not detected and not
    rolled back, with the effect measured by then."""
    # Memory can only become insufficient if the change lowered it: any other change of such a workflow counts as
    # harmless.
    found = [
        replace(o, campaign=replace(o.campaign, kind="cheaper"))
        if o.campaign.kind == "kills" and o.campaign.rule not in ("", "right-size")
        else o
        for o in found
    ]
    changed = [o for o in found if o.campaign.rule]
    result = summary([o.campaign for o in changed], KINDS)
    result["minutes_to_verdict"] = {
        k: round(median(times) / 60, 1)
        if (times := [o.seconds for o in changed if o.campaign.kind == k and o.seconds])
        else None
        for k in KINDS
    }
    result["unchanged"] = len(found) - len(changed)
    result["undecided"] = {
        k: sum(o.campaign.kind == k and o.campaign.verdict == "none" for o in changed) for k in KINDS
    }
    starved = [o.campaign.verdict == "Improved" for o in changed if o.campaign.kind == "starved"]
    result["starved_faster_percent"] = share(starved)
    return result


def _reported(found: Mapping[str, Any]) -> list[str]:
    """The cells of one column."""
    by_rule = "; ".join(f"{rule} {p}% of {n}" for rule, (p, n) in found["inside_by_rule"].items())

    def each(key: str) -> str:
        return ", ".join("-" if found[key][k] is None else str(found[key][k]) for k in KINDS)

    return [
        f"{found['inside_percent']}% of {found['inside_of']} ({by_rule})",
        f"{found['false_restores_percent']}%",
        f"{found['slower_caught_percent']}%",
        f"{found['kills_caught_percent']}%",
        f"{found['starved_faster_percent']}%",
        each("runs_to_verdict"),
        each("minutes_to_verdict"),
        each("undecided"),
    ]


def lines(result: dict[str, Any]) -> list[str]:
    """The result as lines of benchmarks/RESULTS.md: one column per batch."""
    batches = result["batches"]
    kinds = ", ".join(KINDS)
    heads = [
        ("measured effect inside the promised 90% interval", "80 to 98%"),
        ("good changes rolled back", "<= 5%"),
        ("changes that made the run 20% longer caught in time", ">= 90%"),
        ("changes after which pods were killed for memory caught", "-"),
        ("starved steps verified faster", "-"),
        (f"runs to the verdict (median): {kinds}", "-"),
        (f"minutes to the verdict (median): {kinds}", "-"),
        (f"still undecided when the time was over: {kinds}", "-"),
    ]
    seeds = [b["seed"] for b in batches]
    columns = [_reported(figures([outcome_of(row) for row in b["rows"]])) for b in batches]
    return [
        "",
        f"## The loop with real parts ({sum(len(b['rows']) for b in batches)} workflows; `make bench-changes`)",
        "",
        "Real: API server, scheduler, Argo's workflow controller, kube-state-metrics, Prometheus, the operator. Simulated:"
        " what happens inside pods and their container series, by a law the operator does not know"
        " (benchmarks/changes/loop_scenarios.py). One column for each batch of workflows side by side.",
        "",
        f"| what | must | {' | '.join(f'seed {seed}' for seed in seeds)} |",
        f"|---|---|{'---|' * len(batches)}",
        *(f"| {what} | {must} | {' | '.join(cells)} |" for (what, must), *cells in zip(heads, *columns, strict=True)),
        "",
        *(
            f"Seed {b['seed']}: {len(b['rows'])} workflows{_beside(b)}, {b['runs']} runs of about {b['seconds']:.0f} s of"
            f" work in {b['minutes']} minutes on {b['cpus']} cores; load {b['load'][0]} at the start, {b['load'][1]} at the"
            " end."
            for b in batches
        ),
    ]


def _beside(batch: Mapping[str, Any]) -> str:
    count = batch.get("beside", 0)
    return f" and {count} beside them that nobody changes" if count else ""


def play(options: argparse.Namespace) -> tuple[list[Outcome], dict[str, Any]]:
    """Run one batch; returns the outcome of each workflow and the environment."""
    load = [round(os.getloadavg()[0], 1)]
    begin = time.monotonic()
    pace = Pace(least=8, beside=2, active=options.active, scrape=5, interval=20, pause=3.0)
    scenarios = [Scenario(k, n, options.seed, options.seconds) for n in range(options.each) for k in KINDS]
    scenarios += [Scenario(UNCHANGED, n, options.seed, options.seconds) for n in range(options.unchanged)]
    with bed(pace, say=lambda text: print(text, flush=True)) as played:
        played.add(scenarios)
        played.play(60 * options.minutes, lambda text: print(f"{time.monotonic() - begin:.0f} s: {text}", flush=True))
        played.operator.stop()
        found = played.results()
    return found, {
        "seconds": options.seconds,
        "seed": options.seed,
        "runs": played.started,
        "cycles": played.cycles,
        "beside": options.unchanged,
        "interval": pace.interval,
        "minutes": round((time.monotonic() - begin) / 60, 1),
        "cpus": os.cpu_count(),
        "load": [*load, round(os.getloadavg()[0], 1)],
        "python": platform.python_version(),
    }


def too_busy(batch: Mapping[str, Any]) -> str:
    """Why a batch says nothing of the operator; empty if it does. An operator that gets a fraction of a core judges
    late, which reads as undecided."""
    expected = 60 * batch["minutes"] / batch["interval"]
    if batch["cycles"] >= expected / 2:
        return ""
    begin, end = batch["load"]
    return (
        f"not published: the operator finished {batch['cycles']} cycles in {batch['minutes']} minutes, not half of"
        f" one every {batch['interval']} s (load {begin} at the start, {end} at the end). Run it again when"
        " the machine does nothing else, or with a smaller --each."
    )


def main() -> int:
    """Run the batch and write the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=20, help="workflows of each kind")
    parser.add_argument("--unchanged", type=int, default=8, help="workflows beside them that nobody changes")
    parser.add_argument("--seconds", type=float, default=25.0, help="work of a run, about")
    parser.add_argument("--minutes", type=float, default=30.0, help="at most")
    parser.add_argument("--active", type=int, default=60, help="runs at a time, of all workflows")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--append", action="store_true", help="keep the columns the page has; give another seed")
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args()
    old = json.loads(RESULT.read_text())["batches"] if options.append else []
    if any(b["seed"] == options.seed for b in old):
        parser.error(f"seed {options.seed} was played already")
    try:
        found, batch = play(options)
    except TestbedError as error:
        raise SystemExit(str(error)) from error
    for outcome in found:
        print(outcome.line())
    print(json.dumps({**batch, **figures(found)}, indent=1))
    if late := too_busy(batch):
        raise SystemExit(late)
    result = {"batches": [*old, {**batch, "rows": [asdict(row) for row in found]}]}
    publish(RESULT, result, dry=options.dry)
    return 0


def outcome_of(row: Mapping[str, Any]) -> Outcome:
    """An outcome from its form in the result file."""
    return Outcome(**{**row, "campaign": Campaign(**row["campaign"])})


if __name__ == "__main__":
    sys.exit(main())

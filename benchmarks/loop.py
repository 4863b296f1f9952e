"""``make bench-changes``, second part: many changes at once through the loop with real parts.

All workflows run side by side in one test bed under the real Argo controller, one namespace each; the operator is a
process of its own. See benchmarks/loop_bed.py for what is real and what is simulated, benchmarks/loop_world.py for the law.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.campaigns import Campaign, share, summary
from benchmarks.loop_bed import Outcome, Pace, bed
from benchmarks.loop_world import KINDS, Scenario

RESULT = Path(__file__).parent / "results" / "loop.json"


def figures(found: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of the table; the same as of the simulated campaigns, and times."""
    changed = [o for o in found if o.campaign.verdict != "none"]
    result = summary([o.campaign for o in changed], KINDS)
    result["started"] = {k: sum(o.campaign.kind == k for o in found) for k in KINDS}
    result["without_verdict"] = {k: sum(o.campaign.kind == k for o in found if o not in changed) for k in KINDS}
    result["minutes_to_verdict"] = {
        k: round(median([o.seconds for o in changed if o.campaign.kind == k]) / 60, 1)
        if result["verdicts"][k]
        else None
        for k in KINDS
    }
    starved = [o.campaign for o in changed if o.campaign.kind == "starved"]
    result["starved_faster_percent"] = share([c.verdict == "Improved" for c in starved])
    return result


def lines(result: dict[str, Any]) -> list[str]:
    """The result as lines of benchmarks/RESULTS.md."""
    found, batches = result["summary"], result["batches"]
    by_rule = "; ".join(f"{rule} {p} % of {n}" for rule, (p, n) in found["inside_by_rule"].items())
    runs, minutes, lost = found["runs_to_verdict"], found["minutes_to_verdict"], found["without_verdict"]
    return [
        "",
        f"## The loop with real parts ({sum(found['started'].values())} workflows; `make bench-changes`)",
        "",
        "Real: API server, scheduler, Argo's workflow controller, kube-state-metrics, Prometheus, the operator. Simulated:"
        " what happens inside pods and their container series, by a law the operator does not know"
        " (benchmarks/loop_world.py).",
        "",
        "| what | must | measured |",
        "|---|---|---|",
        f"| measured effect inside the promised 90 % interval | 80 to 98 % | {found['inside_percent']} % of"
        f" {found['inside_of']} ({by_rule}) |",
        f"| good changes taken back | <= 5 % | {found['false_restores_percent']} % |",
        f"| changes that made the run 20 % longer caught | >= 90 % | {found['slower_caught_percent']} % |",
        f"| changes after which pods were killed for memory caught | - | {found['kills_caught_percent']} % |",
        f"| starved steps proven faster | - | {found['starved_faster_percent']} % |",
        f"| runs to the verdict (median): {', '.join(KINDS)} | - | {', '.join(str(runs[k]) for k in KINDS)} |",
        f"| minutes to the verdict (median): {', '.join(KINDS)} | - | {', '.join(str(minutes[k]) for k in KINDS)} |",
        f"| workflows without a verdict in time: {', '.join(KINDS)} | - | {', '.join(str(lost[k]) for k in KINDS)} |",
        "",
        *(
            f"{b['workflows']} workflows side by side (seed {b['seed']}): {b['runs']} runs of about {b['seconds']:.0f} s of"
            f" work in {b['minutes']} minutes on {b['cpus']} cores, load {b['load'][0]} at the start and {b['load'][1]} at"
            " the end."
            for b in batches
        ),
    ]


def play(options: argparse.Namespace) -> tuple[list[Outcome], dict[str, Any]]:
    """One batch: what came of each workflow, and the circumstances."""
    load = [round(os.getloadavg()[0], 1)]
    begin = time.monotonic()
    pace = Pace(least=8, beside=2, active=options.active, scrape=5, interval=20, patience=300.0, pause=3.0)
    scenarios = [Scenario(k, n, options.seed, options.seconds) for n in range(options.each) for k in KINDS]
    with bed(pace, say=lambda text: print(text, flush=True)) as played:
        played.add(scenarios)
        played.play(60 * options.minutes, lambda text: print(f"{time.monotonic() - begin:.0f} s: {text}", flush=True))
        played.operator.stop()
        found = played.results()
    return found, {
        "workflows": len(scenarios),
        "seconds": options.seconds,
        "seed": options.seed,
        "runs": played.started,
        "minutes": round((time.monotonic() - begin) / 60, 1),
        "cpus": os.cpu_count(),
        "load": [*load, round(os.getloadavg()[0], 1)],
        "python": platform.python_version(),
    }


def main() -> int:
    """Play, write JSON and page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=20, help="workflows of each kind")
    parser.add_argument("--seconds", type=float, default=25.0, help="work of a run, about")
    parser.add_argument("--minutes", type=float, default=27.0, help="at most")
    parser.add_argument("--active", type=int, default=60, help="runs at a time, of all workflows")
    parser.add_argument("--seed", type=int, default=20261120)
    parser.add_argument("--append", action="store_true", help="pool with what the page has; give another seed")
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args()
    old = json.loads(RESULT.read_text()) if options.append else {"rows": [], "batches": []}
    if any(b["seed"] == options.seed for b in old["batches"]):
        parser.error(f"seed {options.seed} was played already")
    found, batch = play(options)
    for outcome in found:
        print(outcome.line())
    rows = [*map(outcome_of, old["rows"]), *found]
    result = {"summary": figures(rows), "batches": [*old["batches"], batch], "rows": [asdict(row) for row in rows]}
    print(json.dumps({"summary": result["summary"], "batches": result["batches"]}, indent=1))
    if not options.dry:
        from benchmarks.run import PAGE, RESULTS, page  # the page's other parts are made there

        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        PAGE.write_text(page(json.loads(RESULTS.read_text())))
    return 0


def outcome_of(row: Mapping[str, Any]) -> Outcome:
    """An outcome as the result's file keeps it."""
    return Outcome(**{**row, "campaign": Campaign(**row["campaign"])})


if __name__ == "__main__":
    sys.exit(main())

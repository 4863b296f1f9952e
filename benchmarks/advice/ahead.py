"""``make bench-ahead``: do published intervals hold the effect on runs to come?

``score.py`` compares with the effect on the same runs, so that their sampling error is not in it. Here the workflow runs on
by its law, with other random events, once with the problem and once without.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.advice.kinds import KINDS, planted
from benchmarks.advice.law import DAY
from benchmarks.advice.plant import Plant
from benchmarks.advice.score import analyse, answers_to
from benchmarks.advice.truth import worth
from benchmarks.nested.plot import svg
from concertmaster.core.model import Interval
from concertmaster.core.rules.base import share_interval

RESULT = Path(__file__).parents[1] / "results" / "ahead.json"
PLOT = RESULT.with_suffix(".svg")
# Windows of two weeks whose mean is the effect to come: its own error widens the comparison by a sixtieth.
WINDOWS = 30
# Of the seeds of workflows, which lie below.
_OTHER_EVENTS = 2**32
LEVEL = 90.0
# Few runs that vary much: the sampling error is most of an interval.
VARIATION = 3.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A published interval, and the effect on runs to come (per month). ``bound``: it is said to be an upper bound."""

    rule: str
    kind: str
    bound: bool
    low: float
    likely: float
    high: float
    true: float

    @property
    def held(self) -> bool:
        """Whether the interval contains the effect."""
        return self.low <= self.true <= self.high


def effect_ahead(plant: Plant, windows: int = WINDOWS) -> float:
    """Mean monthly effect of mending the problem, over windows of other random events."""
    if plant.amount is not None:
        return plant.amount
    effects = []
    for window in range(1, windows + 1):
        seed = plant.flow.seed + window * _OTHER_EVENTS
        other = replace(plant, flow=replace(plant.flow, seed=seed), mended=replace(plant.mended, seed=seed))
        effects.append(float(getattr(worth(other), plant.measure)))
    return fmean(effects)


def kept(plant: Plant, windows: int = WINDOWS) -> Kept | None:
    """None where nothing is published of the problem, or no effect."""
    if not plant.measure or plant.minor:
        return None
    _, _, best = answers_to(plant, *analyse(plant.flow, plant.policy, plant.others))
    promised: Interval | None = getattr(best.impact, plant.measure) if best is not None else None
    if best is None or promised is None:
        return None
    true = effect_ahead(plant, windows)
    return Kept(best.rule, plant.kind, plant.bound, promised.low, promised.likely, promised.high, true)


def _usual(task: tuple[int, int]) -> Kept | None:
    return kept(planted(*task))


def _daily(task: tuple[int, int]) -> Kept | None:
    return kept(planted(*task, variation=VARIATION, every=DAY))


def summary(rows: Sequence[Kept], what: str = "effect on runs to come") -> list[dict[str, Any]]:
    """A row for each rule, with those that are said to be upper bounds on their own. ``what``: is promised."""
    found = []
    for rule, bound in sorted({(row.rule, row.bound) for row in rows}, key=lambda key: (key[1], key[0])):
        own = [row for row in rows if (row.rule, row.bound) == (rule, bound)]
        kinds = {row.kind: [r.held for r in own if r.kind == row.kind] for row in own}
        worst = min(kinds, key=lambda kind: fmean(kinds[kind]))
        found.append(
            {
                "rule": rule,
                "what": f"{what} (at most)" if bound else what,
                "bound": bound,
                "promised": "90% interval",
                "level": LEVEL,
                "families": len(kinds),
                "cases": len(own),
                "kept": _percent([row.held for row in own]),
                "smaller": _percent([row.true < row.low for row in own]),
                "larger": _percent([row.true > row.high for row in own]),
                "width": 100.0 * median((row.high - row.low) / row.likely for row in own if row.likely > 0.0),
                "worst": worst,
                "worst_kept": _percent(kinds[worst]),
            }
        )
    return found


def _percent(held: Sequence[bool]) -> float:
    return 100.0 * fmean(held)


def _error(row: Mapping[str, Any]) -> str:
    """The 90% interval of the share that holds."""
    share = share_interval(round(row["kept"] * row["cases"] / 100.0), row["cases"])
    return f" [{100.0 * share.low:.0f} {100.0 * share.high:.0f}]" if share else ""


def lines(result: dict[str, Any]) -> list[str]:
    """The latest result, as lines of the page."""
    return [
        "",
        "## Effects on runs to come (`make bench-ahead`)",
        "",
        f"The planted problems of {result['seeds']} further seeds. The true effect is that on {WINDOWS} windows of two weeks"
        f" with other random events. Of {_overall(result['rules'])} hold it (promised: 90%), without any tolerance; effects"
        " that are said to be upper bounds (*at most*) are listed after them. Intervals of replayed gains also contain the"
        " error of the replay on real engines, which a simulation lacks, and those of sizes every size that the rule would"
        " leave alone: they hold more often.",
        "",
        "![Promised and kept shares of effects by rule](results/ahead.svg)",
        "",
        *_table(result["rules"]),
        "",
        f"The same with daily runs, 14 in a window, whose run times vary {VARIATION:.0f} times as much, so that the sampling"
        f" error is most of each interval: of {_overall(result['daily'])} hold it.",
        "",
        *_table(result["daily"]),
    ]


def _overall(rows: Sequence[Mapping[str, Any]]) -> str:
    own = [row for row in rows if not row["bound"]]
    every = sum(row["cases"] for row in own)
    return f"{every:,} intervals {sum(row['kept'] * row['cases'] for row in own) / every:.1f}%"


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "| rule | | kinds | intervals | hold [90% interval] | effect smaller, larger | width, % | worst kind |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {row['rule']} | {'at most' if row['bound'] else ''} | {row['families']} | {row['cases']}"
            f" | {row['kept']:.1f}%{_error(row)} | {row['smaller']:.1f}, {row['larger']:.1f}% | {row['width']:.0f}"
            f" | {row['worst']} {row['worst_kept']:.0f}% |"
            for row in rows
        ),
    ]


def main() -> int:
    """Simulate all seeds, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--first", type=int, default=401, help="the first seed; others than those of bench-advice")
    parser.add_argument("--only", nargs="+", default=[], help="names of kinds")
    parser.add_argument("--dry", action="store_true", help="print only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    kinds = [i for i, kind in enumerate(KINDS) if not options.only or kind.__name__ in options.only]
    seeds = range(options.first, options.first + options.seeds)
    tasks = [(seed, i) for seed in seeds for i in kinds]
    with ProcessPoolExecutor(options.jobs) as pool:
        usual, daily = (
            [row for row in pool.map(part, tasks, chunksize=4) if row is not None] for part in (_usual, _daily)
        )
    result = {"seeds": options.seeds, "rules": summary(usual), "daily": summary(daily, "daily runs that vary more")}
    print("\n".join(lines(result)))
    if not options.dry:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        PLOT.write_text(svg([*result["rules"], *result["daily"]]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

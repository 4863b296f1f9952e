"""``make bench-fresh``: do published intervals hold the effect on fresh runs?

``score.py`` compares with the effect on the runs that were read, so that their sampling error is not in it. Fresh runs are
those of the same two weeks by the same law, with other random events: once with the problem, and once without.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.advice.kinds import KINDS, planted
from benchmarks.advice.law import DAY
from benchmarks.advice.plant import Plant
from benchmarks.advice.score import analyse, answers_to
from benchmarks.advice.truth import worth
from benchmarks.nested.calibration import promise
from benchmarks.nested.plot import svg
from benchmarks.options import by_kind_and_seed, target
from concertmaster.core.model import Interval
from concertmaster.core.rules.intervals import wilson

RESULT = Path(__file__).parents[1] / "results" / "fresh.json"
# Sets of fresh runs whose mean is the true effect: its own error widens the comparison by a sixtieth.
SETS = 30
# Further apart than the seeds of workflows, which are below.
_OTHER_EVENTS = 2**32
LEVEL = 90.0
# Few runs that vary much: the sampling error is most of an interval.
VARIATION = 3.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A published interval, and the effect on fresh runs (per month). ``bound``: it is said to be an upper bound."""

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


def fresh_effect(plant: Plant, sets: int = SETS) -> float:
    """Mean monthly effect of fixing the problem, over sets of fresh runs."""
    if plant.amount is not None:  # no run shows it
        return plant.amount
    effects = []
    for number in range(1, sets + 1):
        seed = plant.flow.seed + number * _OTHER_EVENTS
        other = replace(plant, flow=replace(plant.flow, seed=seed), mended=replace(plant.mended, seed=seed))
        effects.append(float(getattr(worth(other), plant.measure)))
    return fmean(effects)


def kept(plant: Plant, sets: int = SETS) -> Kept | None:
    """None where no effect of the problem is published."""
    _, placed = answers_to(plant, *analyse(plant.flow, plant.policy, plant.others))
    promised: Interval | None = getattr(placed[0].impact, plant.measure) if placed else None
    if promised is None:
        return None
    true = fresh_effect(plant, sets)
    return Kept(placed[0].rule, plant.kind, placed[0].upper_bound, promised.low, promised.likely, promised.high, true)


def _usual(task: tuple[int, int]) -> Kept | None:
    return kept(planted(*task))


def _daily(task: tuple[int, int]) -> Kept | None:
    return kept(planted(*task, variation=VARIATION, every=DAY))


def summary(rows: Sequence[Kept], what: str) -> list[dict[str, Any]]:
    """A row for each rule, with gains that are said to be upper bounds on their own."""
    found = []
    for rule, bound in sorted({(row.rule, row.bound) for row in rows}, key=lambda key: (key[1], key[0])):
        own = [row for row in rows if (row.rule, row.bound) == (rule, bound)]
        kinds = {row.kind: [[float(r.held)] for r in own if r.kind == row.kind] for row in own}
        found.append(
            {
                **asdict(promise(rule, f"{what} (at most)" if bound else what, LEVEL, kinds)),
                "bound": bound,
                "smaller": _percent([row.true < row.low for row in own]),
                "larger": _percent([row.true > row.high for row in own]),
                "width": 100.0 * median((row.high - row.low) / row.likely if row.likely > 0.0 else 0.0 for row in own),
            }
        )
    return found


def _percent(held: Sequence[bool]) -> float:
    return 100.0 * fmean(held)


def lines(result: dict[str, Any]) -> list[str]:
    """The latest result, as lines of the page."""
    usual, daily = result["usual"], result["daily"]
    return [
        "",
        "## Effects on fresh runs (`make bench-fresh`)",
        "",
        f"The planted problems of {result['seeds']} further seeds. Fresh runs are those of the same two weeks by the same"
        f" law, with other random events; the true effect is the mean over {SETS} sets of them. {_overall(usual)} hold it"
        " (promised: 90%), without any tolerance; gains that are said to be upper bounds (*at most*) are listed after them."
        " Intervals of replayed gains also contain the error of the replay on real engines, which a simulation lacks, and"
        " those of sizes every size that the rule would leave alone: they hold more often.",
        "",
        "![Promised and kept shares of effects by rule](results/fresh.svg)",
        "",
        *by_rule(usual["rules"]),
        "",
        f"The same with daily runs, 14 in two weeks, that vary {VARIATION:.0f} times as much, so that the sampling error is"
        f" most of each interval (kinds with a schedule of their own keep it). {_overall(daily)} hold it.",
        "",
        *by_rule(daily["rules"]),
    ]


def share_that_holds(rules: Sequence[Mapping[str, Any]]) -> tuple[float, int]:
    """Percent of the intervals that hold, and their number, without upper bounds."""
    own = [row for row in rules if not row["bound"]]
    every = sum(row["cases"] for row in own)
    return (sum(row["kept"] * row["cases"] for row in own) / every if every else 0.0), every


def _overall(part: Mapping[str, Any]) -> str:
    share, every = share_that_holds(part["rules"])
    published = f"An effect of {part['published']:,} of {part['planted']:,} problems is published"
    return f"{published}; of {every:,} intervals {share:.1f}%"


def by_rule(rules: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows of ``summary`` as a table."""
    return [
        "| rule | | kinds | intervals | hold [90% interval] | effect smaller, larger | width, % | worst kind |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {row['rule']} | {'at most' if row['bound'] else ''} | {row['families']} | {row['cases']}"
            f" | {row['kept']:.1f}%{_error(row)} | {row['smaller']:.1f}, {row['larger']:.1f}% | {row['width']:.0f}"
            f" | {row['worst']} {row['worst_kept']:.0f}% |"
            for row in rules
        ),
    ]


def _error(row: Mapping[str, Any]) -> str:
    """The 90% interval of the share that holds."""
    low, high = wilson(row["kept"] / 100.0, row["cases"])
    return f" [{100.0 * low:.0f} {100.0 * high:.0f}]" if row["kept"] > 0.0 else ""


def main() -> int:
    """Simulate all seeds, print and write the result."""
    # Seeds other than those of ``make bench-advice``.
    options = by_kind_and_seed(__doc__, [kind.__name__ for kind in KINDS], seeds=24, first=401).parse_args()
    kinds = [i for i, kind in enumerate(KINDS) if kind.__name__ in options.only]
    kinds = [i for i in kinds if (plant := planted(options.first, i)).measure and not plant.minor]
    tasks = [(seed, i) for seed in range(options.first, options.first + options.seeds) for i in kinds]
    result: dict[str, Any] = {"seeds": options.seeds}
    with ProcessPoolExecutor(options.jobs) as pool:
        for name, one, what in (
            ("usual", _usual, "effect on fresh runs"),
            ("daily", _daily, "daily runs that vary more"),
        ):
            rows = [row for row in pool.map(one, tasks, chunksize=4) if row is not None]
            for row in rows if options.verbose else ():
                if not row.held:
                    print(f"{name}: {row}", flush=True)
            result[name] = {"planted": len(tasks), "published": len(rows), "rules": summary(rows, what)}
    print("\n".join(lines(result)))
    path = target(options, RESULT)
    if path is not None:
        path.write_text(json.dumps(result, indent=1) + "\n")
        path.with_suffix(".svg").write_text(svg([*result["usual"]["rules"], *result["daily"]["rules"]]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``make bench-days``: memory and CPU that change from day to day, and what recommended requests leave to later runs."""

from __future__ import annotations

import sys

from benchmarks.days.cases import drawn
from benchmarks.days.levels import FAMILIES
from benchmarks.days.report import RESULT, lines
from benchmarks.days.score import Judged, judge, known, recommended
from benchmarks.days.summary import VARIANTS, summarize
from benchmarks.nested.measures import constants
from benchmarks.options import by_kind_and_seed, simulated, write

_BY_NAME = {family.name: family for family in FAMILIES}


def judged(kind: str, seed: int) -> tuple[str, dict[str, Judged]]:
    """The family, and what became of one of its cases by variant."""
    case = drawn(_BY_NAME[kind], seed)
    of, found = known(case), {}
    for name, variant in VARIANTS.items():
        with constants(variant):
            found[name] = judge(case, recommended(case, of))
    return kind, found


def main() -> int:
    """Simulate all seeds, print and write the result."""
    options = by_kind_and_seed(__doc__, _BY_NAME, seeds=40).parse_args()
    cases: dict[str, list[dict[str, Judged]]] = {}
    for kind, found in simulated(options, judged):
        cases.setdefault(kind, []).append(found)
        if options.verbose and (shipped := found["shipped"]).broken:
            print(f"{kind} {options.first + len(cases[kind]) - 1}: {shipped}", flush=True)
    result = summarize(cases, options.seeds)
    print("\n".join(lines(result)))
    write(options, RESULT, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

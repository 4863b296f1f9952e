"""``make bench-graphs``: planted problems in graphs of any shape, and whether what is recommended for them holds."""

from __future__ import annotations

import sys

from benchmarks.graphs.kinds import KINDS
from benchmarks.graphs.report import RESULT, lines
from benchmarks.graphs.score import Verdict, judge, summarize
from benchmarks.options import by_kind_and_seed, simulated, write


def main() -> int:
    """Simulate all seeds, print and write the result."""
    options = by_kind_and_seed(__doc__, KINDS, seeds=20).parse_args()
    cases = []
    for case in simulated(options, judge):
        cases.append(case)
        off = case.kept is not None and not case.kept.held
        if options.verbose or off or case.wrong or case.verdict is Verdict.MISSED:
            print(case, flush=True)
    found = summarize(cases, options.seeds)
    print("\n".join(lines(found)))
    write(options, RESULT, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())

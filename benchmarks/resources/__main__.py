"""``make bench-resources``: requests, limits, GPUs, disks and volumes, and what recommended ones do to later runs."""

from __future__ import annotations

import sys

from benchmarks.options import by_kind_and_seed, simulated, write
from benchmarks.resources.kinds import KINDS
from benchmarks.resources.report import RESULT, lines
from benchmarks.resources.score import judge, summarize


def main() -> int:
    """Simulate all seeds, print and write the result."""
    options = by_kind_and_seed(__doc__, KINDS, seeds=20, first=3001).parse_args()
    cases = []
    for case in simulated(options, judge):
        cases.append(case)
        if options.verbose or case.open:
            print(case, flush=True)
    found = summarize(cases, options.seeds)
    print("\n".join(lines(found)))
    write(options, RESULT, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``make bench-clusters``: workflows that share a cluster, and whether what is recommended on scheduling holds there."""

from __future__ import annotations

import sys

from benchmarks.clusters.kinds import KINDS
from benchmarks.clusters.report import RESULT, plain
from benchmarks.clusters.score import Found, Verdict, history
from benchmarks.clusters.summary import summarize
from benchmarks.options import by_kind_and_seed, simulated, write


def main() -> int:
    """Simulate all seeds, print and write the result."""
    options = by_kind_and_seed(__doc__, KINDS, seeds=10, first=4001).parse_args()
    found = []
    for one in simulated(options, history):
        found.append(one)
        off = one.found is Found.MISSED or any(j.verdict is Verdict.WRONG for j in one.judged)
        if options.verbose or off:
            print(one, flush=True)
    result = summarize(found, options.seeds)
    print(plain(result))
    write(options, RESULT, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

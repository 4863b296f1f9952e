"""``make bench-clusters``: workflows that share a cluster, and whether what is recommended on scheduling holds there."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor

from benchmarks.clusters.kinds import KINDS
from benchmarks.clusters.report import RESULT, plain
from benchmarks.clusters.score import Found, History, Verdict, history
from benchmarks.clusters.summary import summarize
from benchmarks.options import by_kind_and_seed, target


def _one(task: tuple[str, int]) -> History:
    return history(*task)


def main() -> int:
    """Simulate all seeds, print and write the result."""
    options = by_kind_and_seed(__doc__, KINDS, seeds=10, first=4001).parse_args()
    tasks = [(kind, seed) for kind in options.only for seed in range(options.first, options.first + options.seeds)]
    found = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for one in pool.map(_one, tasks, chunksize=2):
            found.append(one)
            off = one.found is Found.MISSED or any(j.verdict is Verdict.WRONG for j in one.judged)
            if options.verbose or off:
                print(one, flush=True)
    result = summarize(found, options.seeds)
    print(plain(result))
    path = target(options, RESULT)
    if path is not None:
        path.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``make bench-resources``: requests, limits, GPUs, disks and volumes, and what recommended ones do to later runs."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor

from benchmarks.options import by_kind_and_seed, target
from benchmarks.resources.kinds import KINDS
from benchmarks.resources.report import RESULT, lines
from benchmarks.resources.score import Case, judge, summarize


def _one(task: tuple[str, int]) -> Case:
    return judge(*task)


def main() -> int:
    """Simulate all seeds, print and write the result."""
    options = by_kind_and_seed(__doc__, KINDS, seeds=20, first=3001).parse_args()
    tasks = [(kind, seed) for kind in options.only for seed in range(options.first, options.first + options.seeds)]
    cases = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for case in pool.map(_one, tasks, chunksize=4):
            cases.append(case)
            if options.verbose or case.open:
                print(case, flush=True)
    found = summarize(cases, options.seeds)
    print("\n".join(lines(found)))
    path = target(options, RESULT)
    if path is not None:
        path.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``make bench-graphs``: planted problems in graphs of any shape, and whether what is recommended for them holds."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor

from benchmarks.graphs.kinds import KINDS
from benchmarks.graphs.report import RESULT, lines
from benchmarks.graphs.score import Case, Verdict, judge, summarize
from benchmarks.options import by_kind_and_seed, target


def _one(task: tuple[str, int]) -> Case:
    return judge(*task)


def main() -> int:
    """Simulate all seeds, print and write the result."""
    options = by_kind_and_seed(__doc__, KINDS, seeds=20).parse_args()
    tasks = [(kind, seed) for kind in options.only for seed in range(options.first, options.first + options.seeds)]
    cases = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for case in pool.map(_one, tasks, chunksize=4):
            cases.append(case)
            off = case.kept is not None and not case.kept.held
            if options.verbose or off or case.wrong or case.verdict is Verdict.MISSED:
                print(case, flush=True)
    found = summarize(cases, options.seeds)
    print("\n".join(lines(found)))
    path = target(options, RESULT)
    if path is not None:
        path.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

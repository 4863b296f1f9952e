"""``make bench-graphs``: planted problems in graphs of any shape, and whether what is recommended for them holds."""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor

from benchmarks.graphs.kinds import KINDS
from benchmarks.graphs.report import RESULT, lines
from benchmarks.graphs.score import Case, Verdict, judge, summarize


def _one(task: tuple[str, int]) -> Case:
    return judge(*task)


def main() -> int:
    """Simulate all seeds, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--only", nargs="+", default=list(KINDS), metavar="KIND", choices=list(KINDS))
    parser.add_argument("--verbose", action="store_true", help="print each case, not only those that went wrong")
    parser.add_argument("--dry", action="store_true", help="print only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
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
    if not options.dry:
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

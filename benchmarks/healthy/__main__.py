"""``make bench-healthy``: workflows that are as they should be, and what is recommended for them all the same."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor

from benchmarks.healthy.kinds import KINDS
from benchmarks.healthy.report import RESULT, plain
from benchmarks.healthy.score import History, history, name_of, summary
from benchmarks.options import by_kind_and_seed, write


def _one(task: tuple[int, int]) -> History:
    """The history of a kind, by its number, and a seed."""
    index, seed = task
    return history(KINDS[index], seed)


def main() -> int:
    """Simulate all histories, print and write the result."""
    options = by_kind_and_seed(__doc__, map(name_of, KINDS), seeds=60).parse_args()
    kinds = [i for i, kind in enumerate(KINDS) if name_of(kind) in options.only]
    tasks = [(i, seed) for i in kinds for seed in range(options.first, options.first + options.seeds)]
    found = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for (_, seed), one in zip(tasks, pool.map(_one, tasks, chunksize=4), strict=True):
            found.append(one)
            for item in one.published if options.verbose else ():
                print(f"{one.kind}, seed {seed}, {one.runs} runs: {item.rule}: {item.words}", flush=True)
    result = summary(found, options.seeds)
    print(plain(result))
    write(options, RESULT, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``make bench-lives``: workflows followed over weeks: verdicts on changes, and what is published day by day."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor

from benchmarks.lives import changes, score
from benchmarks.lives.changes import Outcome, outcomes
from benchmarks.lives.report import RESULT, lines, summarize
from benchmarks.lives.score import Story, live
from benchmarks.options import by_kind_and_seed, write

EACH = 5  # workflows changed of each setting, for each life of a kind


def _one(task: tuple[str, int]) -> list[Outcome] | Story:
    """The changes of one workflow of a setting, or a life of a kind."""
    name, seed = task
    setting = changes.BY_NAME.get(name)
    return live(name, seed) if setting is None else list(outcomes(setting, seed))


def main() -> int:
    """Simulate all seeds, print and write the result."""
    options = by_kind_and_seed(__doc__, [*changes.BY_NAME, *score.BY_NAME], seeds=4, first=3001).parse_args()
    tasks = [
        (name, seed)
        for name in options.only
        for seed in range(options.first, options.first + options.seeds * (EACH if name in changes.BY_NAME else 1))
    ]
    verified: list[Outcome] = []
    stories: list[Story] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for one in pool.map(_one, tasks):
            if isinstance(one, Story):
                stories.append(one)
            else:
                verified += one
            if options.verbose:
                print(one, flush=True)
    found = summarize(verified, stories, options.seeds)
    print("\n".join(lines(found)))
    write(options, RESULT, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())

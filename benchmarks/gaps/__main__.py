"""``make bench-gaps``: do recommendations hold when data are missing, stale, partial or distorted?"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks.advice.healthy import healthy
from benchmarks.advice.kinds import KINDS, planted
from benchmarks.gaps import sightings, usage, values
from benchmarks.gaps.compare import Case, cases
from benchmarks.gaps.report import RESULT, lines, summary
from benchmarks.options import by_kind_and_seed, write

LAWS = (*usage.LAWS, *sightings.LAWS, *values.LAWS)
_HEALTHY = 1000  # first number of a healthy workflow


def one(task: tuple[int, int, frozenset[str]]) -> list[Case]:
    """One workflow of a seed under the named laws."""
    seed, number, only = task
    laws = [law for law in LAWS if law.name in only]
    if number < _HEALTHY:
        plant = planted(seed, number)
        return cases(plant.flow, laws, plant)
    return cases(healthy(np.random.default_rng((seed, number)), f"healthy-{number - _HEALTHY}"), laws)


def _verbose(row: Case) -> str:
    """What is amiss in a case; empty if nothing is."""
    found = [f"wrong {', '.join(row.new)}" if row.new else "", "lost" if row.lost else "", row.error]
    note = row.seen.answer.note if row.seen is not None and row.seen.answer is not None else ""
    found += [f"gain {note}" if row.gain_off else "", "number" if row.number_off else ""]
    words = "; ".join(part for part in found if part)
    return f"  {row.law}: {row.kind or row.workflow}: {words}" if words else ""


def main() -> int:
    """Simulate all seeds, print and write the result."""
    parser = by_kind_and_seed(__doc__, [kind.__name__ for kind in KINDS], seeds=2, first=601)
    parser.add_argument("--healthy", type=int, default=25, help="healthy workflows of each seed (default: %(default)s)")
    names = [law.name for law in LAWS]
    parser.add_argument("--laws", nargs="+", default=names, metavar="LAW", choices=names, help="default: all")
    options = parser.parse_args()
    kinds = [i for i, kind in enumerate(KINDS) if kind.__name__ in options.only]
    numbers = [*kinds, *range(_HEALTHY, _HEALTHY + options.healthy)]
    seeds = range(options.first, options.first + options.seeds)
    tasks = [(seed, number, frozenset(options.laws)) for seed in seeds for number in numbers]
    with ProcessPoolExecutor(options.jobs) as pool:
        rows = [row for found in pool.map(one, tasks, chunksize=2) for row in found]
    laws = [law for law in LAWS if law.name in options.laws]
    result = {"seeds": options.seeds, **summary(rows, laws)}
    for words in filter(None, map(_verbose, rows)) if options.verbose else ():
        print(words)
    print("\n".join(lines(result)))
    write(options, RESULT, result, whole=options.laws == names)
    return 0


if __name__ == "__main__":
    sys.exit(main())

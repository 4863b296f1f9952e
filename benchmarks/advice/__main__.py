"""``make bench-advice``: planted problems and healthy workflows, and whether the recommendations for them are right."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from benchmarks.advice.healthy import healthy
from benchmarks.advice.kinds import KINDS, planted
from benchmarks.advice.law import Flow
from benchmarks.advice.report import RESULT, plain
from benchmarks.advice.score import Tally, check_healthy, judge, summary, top
from benchmarks.advice.weeks import replay_one, together
from benchmarks.options import by_kind_and_seed, write
from concertmaster.core.model.policy import Policy

NAMES = [kind.__name__ for kind in KINDS]


def one_seed(seed: int, count: int, only: Collection[str], *, verbose: bool) -> Tally:
    """One fleet: a workflow for each kind of problem, among healthy ones."""
    tally = Tally()
    for index, kind in enumerate(KINDS):
        if kind.__name__ not in only:
            continue
        plant = planted(seed, index)
        answer = judge(plant, tally)
        if verbose and (not answer.right or answer.wrong):
            marks = f"found {answer.found}, step {answer.step}, number {answer.number}, interval {answer.interval}"
            print(f"  {kind.__name__}: {marks} ({answer.note}); published {answer.published}; wrong {answer.wrong}")
    for index in range(count):
        rng = np.random.default_rng((seed, 1000 + index))
        items = check_healthy(healthy(rng, f"healthy-{index}"), tally)
        for item in items if verbose else ():
            print(f"  healthy-{index}: {item.id}: {item.action}; {item.because}; {item.expected}")
    return tally


def _seed(task: tuple[int, int, frozenset[str], bool]) -> Tally:
    began = time.monotonic()
    seed, count, only, verbose = task
    tally = one_seed(seed, count, only, verbose=verbose)
    right = sum(a.right for a in tally.answers)
    hits, of, missed = top(tally)
    print(
        f"seed {seed}: {right} of {len(tally.answers)} right, {tally.touched} of {tally.healthy} healthy with items,"
        f" top {hits} of {of} {missed or ''} ({time.monotonic() - began:.0f} s)",
        flush=True,
    )
    return tally


def _weeks(seed: int, count: int, only: frozenset[str]) -> list[tuple[str, Flow, Policy]]:
    """Workflows to analyse day after day: one of each kind, and healthy ones."""
    rows = []
    for index, kind in enumerate(KINDS):
        plant = planted(seed, index)
        if not plant.others and kind.__name__ in only:
            rows.append((plant.kind, plant.flow, plant.policy))
    for index in range(count):
        flow = healthy(np.random.default_rng((seed, 1000 + index)), f"healthy-{index}")
        rows.append((flow.name, flow, Policy()))
    return rows


def main() -> int:
    """Simulate all seeds, print and write the result."""
    parser = by_kind_and_seed(__doc__, NAMES, seeds=5)
    parser.add_argument(
        "--healthy", type=int, default=200, help="of each seed (-1: nor anything planted, earlier figures stay)"
    )
    parser.add_argument(
        "--weeks",
        type=int,
        default=8,
        help="healthy workflows of each seed followed for two weeks (-1: none at all, earlier figures stay)",
    )
    options = parser.parse_args()
    only = frozenset(options.only)
    numbers = range(options.first, options.first + options.seeds)
    seeds = [(s, options.healthy, only, options.verbose) for s in numbers]
    with ProcessPoolExecutor(options.jobs) as pool:
        tallies = list(pool.map(_seed, seeds)) if options.healthy >= 0 else []
        rows = [row for s in numbers for row in _weeks(s, options.weeks, only)] if options.weeks >= 0 else []
        seen = together(pool.map(replay_one, rows, chunksize=2))
    earlier: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    weeks = seen.summary() if rows else earlier.get("weeks")
    result: dict[str, Any] = {**(summary(tallies) if tallies else earlier), "weeks": weeks}
    print("\n".join([*seen.flickers, *seen.small]) if options.verbose else "", seen.summary())
    if tallies:
        print(plain(result))
    write(options, RESULT, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

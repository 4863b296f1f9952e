"""``make bench-advice``: planted problems and healthy workflows, and whether what is recommended is right."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np

from benchmarks.advice import kinds_cost, kinds_reliability, kinds_speed
from benchmarks.advice.healthy import healthy
from benchmarks.advice.plant import base
from benchmarks.advice.report import RESULT, plain
from benchmarks.advice.score import Tally, check_healthy, judge, summary, top

KINDS = (*kinds_cost.KINDS, *kinds_reliability.KINDS, *kinds_speed.KINDS)


def one_seed(seed: int, count: int, only: set[str], *, verbose: bool) -> Tally:
    """One fleet: a workflow of each kind of problem among healthy ones."""
    tally = Tally()
    for index, kind in enumerate(KINDS):
        if only and kind.__name__ not in only:
            continue
        rng = np.random.default_rng((seed, index))
        plant = kind(rng, base(rng, f"planted-{index}"))
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


def main() -> int:
    """Play all seeds, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--healthy", type=int, default=200)
    parser.add_argument("--only", nargs="+", default=[], help="names of kinds")
    parser.add_argument("--verbose", action="store_true", help="say what was missed")
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args()
    tallies = []
    for seed in range(options.first, options.first + options.seeds):
        began = time.monotonic()
        tally = one_seed(seed, options.healthy, set(options.only), verbose=options.verbose)
        tallies.append(tally)
        right = sum(a.right for a in tally.answers)
        hits, of, missed = top(tally)
        print(
            f"seed {seed}: {right} of {len(tally.answers)} right, {tally.touched} of {tally.healthy} healthy with items,"
            f" top {hits} of {of} {missed or ''} ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
    result: dict[str, Any] = summary(tallies)
    print(plain(result))
    if not options.dry:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

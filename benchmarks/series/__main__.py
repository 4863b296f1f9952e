"""``make bench-series``: series by laws that the methods do not know, and what the methods say of them."""

from __future__ import annotations

import json
import sys

from benchmarks.options import by_kind_and_seed, simulated, target
from benchmarks.series.report import RESULT, plain
from benchmarks.series.score import WHAT, judge, result
from benchmarks.series.tally import Tally


def main() -> int:
    """Simulate all kinds and seeds, print and write the result."""
    options = by_kind_and_seed(__doc__, WHAT, seeds=20, first=3001).parse_args()
    whole = Tally()
    for each in simulated(options, judge):
        whole.merge(each)
    found = result(whole, options.seeds)
    print(plain(found, by_size=options.verbose))
    path = target(options, RESULT)
    if path is not None:
        path.write_text(json.dumps(found, indent=None, separators=(",", ":")).replace("],[", "],\n[") + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``make bench-rises``: workflows that become slower: is it reported, since when, and does that stay."""

from __future__ import annotations

import json
import sys

from benchmarks.options import by_kind_and_seed, simulated, target
from benchmarks.series.rises.kinds import BY_NAME
from benchmarks.series.rises.report import RESULT, lines
from benchmarks.series.rises.score import judge
from benchmarks.series.tally import Tally


def main() -> int:
    """Simulate all kinds and seeds, print and write the result."""
    options = by_kind_and_seed(__doc__, BY_NAME, seeds=12, first=4001).parse_args()
    whole = Tally()
    for each in simulated(options, judge):
        whole.merge(each)
    found = {"seeds": options.seeds, "rows": whole.rows()}
    print("\n".join(lines(found)))
    path = target(options, RESULT)
    if path is not None:
        path.write_text(json.dumps(found, indent=None, separators=(",", ":")).replace("],[", "],\n[") + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

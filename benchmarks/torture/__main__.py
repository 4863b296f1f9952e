"""``python -m benchmarks.torture``: run the set, compare, write what was found; inside ``python -m testbed netns``."""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.torture import bed, report
from benchmarks.torture.compare import collected, compare
from concertmaster.prometheus.collect.reading import Collection


def main() -> int:
    """Exit code 1 when a run is not exact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each workflow (5)")
    parser.add_argument("--only", nargs="*", help="workflows to run (all)")
    parser.add_argument("--keep", type=Path, help="file for what was read of the play")
    parser.add_argument("--again", type=Path, help="compare a play that was kept instead of running one")
    parser.add_argument("--dry", action="store_true", help="do not write the result file")
    arguments = parser.parse_args()
    if arguments.again:
        play, metrics = pickle.loads(arguments.again.read_bytes())
    else:
        play, metrics = _played(arguments.runs, arguments.only or bed.names())
        if arguments.keep:
            arguments.keep.write_bytes(pickle.dumps((play, metrics)))
    rows = compare(play, metrics)
    for line in report.faults(rows):
        _say(line)
    result = report.result(rows, arguments.runs)
    if not arguments.dry:
        report.write(result)
    _say(report.summary(result))
    return 0 if not report.faults(rows) else 1


def _played(runs: int, chosen: Sequence[str]) -> tuple[bed.Play, Collection]:
    with bed.bed() as (cluster, prometheus):
        play = bed.play(cluster, runs, chosen, _say)
        prometheus.wait_for_scrapes()
        time.sleep(2 * bed.SCRAPE_SECONDS)
        bed.remove(cluster)
        prometheus.wait_for_scrapes()
        return play, collected(play, prometheus)


def _say(text: str) -> None:
    print(text, flush=True)


sys.exit(main())

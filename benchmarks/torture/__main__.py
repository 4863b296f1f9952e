"""``python -m benchmarks.torture``: run the set, compare, try the recommendations, write the results; inside ``python
-m testbed netns``."""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.torture import bed, report
from benchmarks.torture.approved import approve
from benchmarks.torture.compare import collected, compare
from benchmarks.torture.recommended import carry_out, trials


def main() -> int:
    """Run the benchmark; exit status 1 if a run is not exact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each workflow (5)")
    parser.add_argument(
        "--tries", type=int, default=5, help="runs of each recommendation, and as many before it (5; 0: try none)"
    )
    parser.add_argument("--only", nargs="*", help="workflows to run (all)")
    parser.add_argument("--keep", type=Path, help="file for what was read of the play")
    parser.add_argument("--again", type=Path, help="compare a play that was kept instead of running one")
    parser.add_argument("--dry", action="store_true", help="do not write the result file")
    arguments = parser.parse_args()
    keep = _nothing if arguments.dry else report.write
    if arguments.again:
        play, metrics = pickle.loads(arguments.again.read_bytes())
        rows = compare(play, metrics)
        result = report.result(rows, arguments.runs)
        lines = _said(report.faults(rows))
        keep(result)
    else:
        result, lines = _played(arguments, keep)
    _say(report.summary(result))
    return 1 if lines else 0


def _played(arguments: argparse.Namespace, keep: Callable[[dict[str, Any]], None]) -> tuple[dict[str, Any], list[str]]:
    """Run all parts; results are saved after each part, as the parts take long."""
    runs = arguments.runs
    with bed.bed() as (cluster, prometheus):
        play = bed.play(cluster, runs, arguments.only or bed.names(), _say)
        prometheus.wait_for_scrapes()
        time.sleep(2 * bed.SCRAPE_SECONDS)
        bed.remove(cluster)
        prometheus.wait_for_scrapes()
        metrics = collected(play, prometheus)
        if arguments.keep:
            arguments.keep.write_bytes(pickle.dumps((play, metrics)))
        rows = compare(play, metrics)
        lines = _said(report.faults(rows))
        found = report.result(rows, runs)
        keep(found)
        if not arguments.tries:
            return found, lines
        tried = list(trials(play, metrics))
        _say(f"{len(tried)} recommendations with a command")
        changes = approve(cluster, prometheus, play, tried, arguments.tries, _say)
        lines += _said(report.broken((), changes))
        keep(report.result(rows, runs, tried, changes))
        carry_out(cluster, play, tried, arguments.tries, _say)
        lines += _said(report.broken(tried, {}))
        result = report.result(rows, runs, tried, changes)
        keep(result)
        return result, lines


def _said(lines: list[str]) -> list[str]:
    for line in lines:
        _say(line)
    return lines


def _nothing(_: dict[str, Any]) -> None:
    pass


def _say(text: str) -> None:
    print(text, flush=True)


sys.exit(main())

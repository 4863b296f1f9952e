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
    parser.add_argument("--tries", type=int, help="runs of each recommendation (5; 0: try none)")
    parser.add_argument("--only", nargs="*", help="workflows to run (all)")
    parser.add_argument("--keep", type=Path, help="file for what was read of the play")
    parser.add_argument(
        "--again", type=Path, help="compare a play that was kept; with --tries, try its recommendations"
    )
    parser.add_argument("--dry", action="store_true", help="do not write the result file")
    arguments = parser.parse_args()
    keep = _nothing if arguments.dry else report.write
    result, lines = (_again if arguments.again else _played)(arguments, keep)
    _say(report.summary(result))
    return 1 if lines else 0


def _again(arguments: argparse.Namespace, keep: Callable[[dict[str, Any]], None]) -> tuple[dict[str, Any], list[str]]:
    play, metrics = pickle.loads(arguments.again.read_bytes())
    rows = compare(play, metrics)
    lines, result = _said(report.faults(rows)), report.result(rows, arguments.runs)
    keep(result)
    if arguments.tries:
        with bed.bed() as (cluster, _):
            bed.define(cluster)
            tried = list(trials(play, metrics))
            carry_out(
                cluster, play, tried, arguments.tries, _say, lambda: keep(report.result(rows, arguments.runs, tried))
            )
        lines += _said(report.broken(tried, {}))
    return result, lines


def _played(arguments: argparse.Namespace, keep: Callable[[dict[str, Any]], None]) -> tuple[dict[str, Any], list[str]]:
    """Run all parts; results are saved after each part, as the parts take long."""
    runs, tries = arguments.runs, 5 if arguments.tries is None else arguments.tries
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
        lines, result = _said(report.faults(rows)), report.result(rows, runs)
        keep(result)
        if not tries:
            return result, lines
        tried = list(trials(play, metrics))
        _say(f"{len(tried)} recommendations with a command")
        changes = approve(cluster, prometheus, play, tried, tries, _say)
        lines += _said(report.broken((), changes))
        keep(report.result(rows, runs, tried, changes))
        carry_out(cluster, play, tried, tries, _say, lambda: keep(report.result(rows, runs, tried, changes)))
        lines += _said(report.broken(tried, {}))
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

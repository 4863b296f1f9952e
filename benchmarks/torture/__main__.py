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

from benchmarks.torture import bed, report, tables
from benchmarks.torture.approved import approve
from benchmarks.torture.compare import collected, compare
from benchmarks.torture.faults import Row
from benchmarks.torture.recommended import KINDS, Trial, carry_out, outcomes, trials
from concertmaster.prometheus.collect.reading import Collection
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer

Keep = Callable[[dict[str, Any]], None]
_WAYS = ("changes", "printed")


def main() -> int:
    """Run the benchmark; exit status 1 if a run is not exact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each workflow (5)")
    parser.add_argument("--tries", type=int, help="runs of each recommendation (5; 0: try none)")
    parser.add_argument("--ways", nargs="*", choices=_WAYS, default=_WAYS, help="how to try them (both)")
    parser.add_argument("--only", nargs="*", help="workflows to run, or to compare and try again (all)")
    parser.add_argument("--keep", type=Path, help="file for what was read of the play")
    parser.add_argument(
        "--again", type=Path, help="compare a play that was kept; with --tries, try its recommendations"
    )
    parser.add_argument(
        "--large", action="store_true", help="with --again: right-sizings of large requests as WorkflowChanges"
    )
    parser.add_argument("--dry", action="store_true", help="do not write the result file")
    arguments = parser.parse_args()
    if arguments.large:
        return _large(arguments)
    keep = _nothing if arguments.dry else report.write
    result, lines = (_again if arguments.again else _played)(arguments, keep)
    _say(tables.summary(result))
    return 1 if lines else 0


def _again(arguments: argparse.Namespace, keep: Keep) -> tuple[dict[str, Any], list[str]]:
    play, metrics = pickle.loads(arguments.again.read_bytes())
    if not arguments.tries:
        return _compared(arguments, play, metrics, keep)[1:]
    with bed.bed() as parts:
        bed.define(parts[0])
        return _tried(arguments, *parts, play, metrics, keep)


def _played(arguments: argparse.Namespace, keep: Keep) -> tuple[dict[str, Any], list[str]]:
    with bed.bed() as (cluster, prometheus):
        play = bed.play(cluster, arguments.runs, arguments.only or bed.names(), _say)
        prometheus.wait_for_scrapes()
        time.sleep(2 * bed.SCRAPE_SECONDS)
        bed.remove(cluster)
        prometheus.wait_for_scrapes()
        metrics = collected(play, prometheus)
        if arguments.keep:
            arguments.keep.write_bytes(pickle.dumps((play, metrics)))
        if arguments.tries == 0:
            return _compared(arguments, play, metrics, keep)[1:]
        return _tried(arguments, cluster, prometheus, play, metrics, keep)


def _large(arguments: argparse.Namespace) -> int:
    """Have an operator right-size workflows whose steps request far more than they use; runs must end as in the play that
    was kept."""
    play, _ = pickle.loads(arguments.again.read_bytes())
    defined = {name for kind in KINDS for name in play.objects.get(kind, {})}
    chosen = outcomes(play).keys() & defined & set(arguments.only or bed.names())
    found = [Trial(name, "right-size", "", "", None) for name in sorted(chosen)]
    with bed.bed() as (cluster, prometheus):
        bed.define(cluster, large=True)
        changes = approve(cluster, prometheus, play, found, arguments.tries or 5, _say)
    if not arguments.dry:
        report.write_large(changes)
    return 1 if _said(report.broken((), changes)) else 0


def _compared(
    arguments: argparse.Namespace, play: bed.Play, metrics: Collection, keep: Keep
) -> tuple[list[Row], dict[str, Any], list[str]]:
    """What differs from the truth, saved."""
    chosen = arguments.only or bed.names()
    rows = [row for row in compare(play, metrics) if row.workflow in chosen]
    result = report.result(rows, arguments.runs)
    keep(result)
    return rows, result, _said(report.faults(rows))


def _tried(
    arguments: argparse.Namespace, cluster: Cluster, prometheus: PrometheusServer, play: bed.Play, metrics: Collection,
    keep: Keep,
) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    """Compare, and try the recommendations. Results are saved after each part, as the parts take long."""
    rows, result, lines = _compared(arguments, play, metrics, keep)
    tries = 5 if arguments.tries is None else arguments.tries
    own = {row.workflow for row in rows}
    found = [trial for trial in trials(play, metrics) if trial.workflow in own]
    _say(f"{len(found)} recommendations with a command")
    changes = approve(cluster, prometheus, play, found, tries, _say) if "changes" in arguments.ways else {}
    lines += _said(report.broken((), changes))

    def done() -> None:
        keep(report.result(rows, arguments.runs, found, changes))

    done()
    if "printed" in arguments.ways:
        carry_out(cluster, play, found, tries, _say, done)
        lines += _said(report.broken(found, {}))
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

"""Steps of Nextflow traces: the work of people whose workflows no constant was chosen on, one family per trace.

``python -m benchmarks.nested --traces DIR`` reads every ``.txt`` and ``.tsv`` file in DIR that Nextflow wrote with
``-with-trace``. Columns used: process or name, status, realtime, %cpu, peak_rss (or rss), rchar, memory, cpus, submit,
duration (https://www.nextflow.io/docs/latest/reports.html#trace-file).

trace_sources.csv lists the public ones that the published scores are of. Most of their projects state no licence, so the
rows are not part of this repository. Up to 120 tasks of a process were taken, and none of processes of less than a second
or two. What other systems recorded was brought into the same columns: rchar is then what the source has for the size of the
input (read depth, cells, games, bases). Where a trace has no times, its rows count as ended one after the other: true
for Nextflow, not for what comes from the tables of Galaxy and of slurm-svcallers. Galaxy's peaks end at the limits of its
containers, and lsf-myretuen has more of the large jobs than there were.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.nested.cases import FEWEST, Step, one_after_the_other
from benchmarks.nested.choose import Rows

GB = 2.0**30
# Requests in bytes of the resource labels of nf-core's pipelines, for traces that do not say what was requested.
LABELS = GB * np.array([6.0, 12.0, 36.0, 72.0, 200.0])
UNITS = {"B": 1.0, "KB": 2.0**10, "MB": 2.0**20, "GB": GB, "TB": 2.0**40, "PB": 2.0**50}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
Row = Mapping[str, str]


def traces(directory: Path) -> dict[str, list[Step]]:
    """Steps with at least FEWEST executions, by trace, in the order they ended."""
    found: dict[str, list[Step]] = {}
    for path in sorted([*directory.glob("*.txt"), *directory.glob("*.tsv")]):
        steps = _steps(path)
        if steps:
            found.setdefault(f"trace {path.stem}", []).extend(steps)
    if not found:
        raise SystemExit(f"{directory}: no trace of Nextflow with {FEWEST} executions of one process and their peaks")
    return found


def _steps(path: Path) -> list[Step]:
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as lines:
        table = itertools.dropwhile(lambda line: line.startswith("#"), lines)
        rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    by_process: dict[str, list[Row]] = {}
    for row in rows:
        process = row.get("process") or (row.get("name") or "").split(" (")[0]
        if process and (row.get("status") or "COMPLETED") == "COMPLETED":
            by_process.setdefault(process, []).append(row)
    found = (_step(of_process) for of_process in by_process.values())
    return [step for step in found if step is not None]


def _step(rows: list[Row]) -> Step | None:
    peaks, sampled = (_column(rows, name, amount) for name in ("peak_rss", "rss"))
    peaks = np.where(peaks > 0.0, peaks, sampled)
    seconds = _column(rows, "realtime", span)
    good = np.flatnonzero((peaks > 0.0) & (seconds > 0.0))
    if good.size < FEWEST:
        return None
    rows, peaks, seconds = [rows[i] for i in good], peaks[good], seconds[good]
    submitted, waited = _column(rows, "submit", _time), _column(rows, "duration", span)
    ended = submitted + np.where(np.isfinite(waited), waited, seconds)
    if not np.isfinite(submitted).all():
        submitted, ended = one_after_the_other(seconds)
    done = np.argsort(ended, kind="stable")
    larger = LABELS[np.searchsorted(LABELS, peaks.max()) :]
    label = float(larger[0]) if larger.size else 2.0 * float(peaks.max())
    return Step(
        _column(rows, "rchar", amount)[done],
        peaks[done],
        seconds[done],
        _column(rows, "%cpu", _number)[done] / 100.0,
        _usual(_column(rows, "memory", amount), label),
        _usual(_column(rows, "cpus", _number), float("nan")),
        submitted[done],
        ended[done],
    )


def _column(rows: list[Row], name: str, parsed: Callable[[str], float]) -> Rows:
    return np.array([parsed((row.get(name) or "").strip()) for row in rows])


def _usual(requests: Rows, otherwise: float) -> float:
    """The median of known requests."""
    known = requests[requests > 0.0]
    return float(np.median(known)) if known.size else otherwise


def amount(text: str) -> float:
    """Bytes of "1.2 GB" or "1288490188"; nan for "-" or nothing."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMGTP]?B)?", text)
    return float(found[1]) * UNITS[found[2] or "B"] if found else float("nan")


def span(text: str) -> float:
    """Seconds of "1h 4m 59s", of "110ms" or of raw milliseconds; nan for "-" or nothing."""
    if re.fullmatch(r"\d+", text):
        return float(text) / 1000.0
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h|d)\s*)+", text):
        return float("nan")
    return sum(float(value) * SECONDS[unit] for value, unit in re.findall(r"([\d.]+)(ms|s|m|h|d)", text))


def _number(text: str) -> float:
    try:
        return float(text.rstrip("%"))
    except ValueError:
        return float("nan")


def _time(text: str) -> float:
    """Seconds since the epoch of a date, or of raw milliseconds."""
    if re.fullmatch(r"\d+", text):
        return float(text) / 1000.0
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return float("nan")

"""Steps of Nextflow traces: the work of people whose workflows no constant was chosen on, one family per trace.

``python -m benchmarks.nested --traces DIR`` reads every ``.txt`` and ``.tsv`` file in DIR that Nextflow wrote with
``-with-trace``. Columns used: process or name, status, realtime, %cpu, peak_rss (or rss), rchar, memory, cpus, submit,
duration (https://www.nextflow.io/docs/latest/reports.html#trace-file). trace_sources.csv lists the public ones that the
published scores are of; what other systems recorded was brought into the same columns, and up to 120 tasks of a process
were taken. Their projects state no licence, so the rows themselves are not part of this repository.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.nested.cases import FEWEST, Step, one_after_the_other

GB = 2.0**30
# Requests in bytes of the resource labels of nf-core's pipelines, for traces that do not say what was requested.
LABELS = GB * np.array([6.0, 12.0, 36.0, 72.0, 200.0])
UNITS = {"B": 1.0, "KB": 2.0**10, "MB": 2.0**20, "GB": GB, "TB": 2.0**40}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
Row = Mapping[str, str]


def traces(directory: Path) -> dict[str, list[Step]]:
    """Steps with at least FEWEST executions, by trace, in the order they ended."""
    found = {}
    for path in sorted([*directory.glob("*.txt"), *directory.glob("*.tsv")]):
        steps = _steps(path)
        if steps:
            found[f"trace {path.stem}"] = steps
    if not found:
        raise SystemExit(f"{directory}: no trace of Nextflow with {FEWEST} executions of one process and their peaks")
    return found


def _steps(path: Path) -> list[Step]:
    with path.open(newline="") as lines:
        rows = list(csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t"))
    by_process: dict[str, list[Row]] = {}
    for row in rows:
        process = row.get("process") or (row.get("name") or "").split(" (")[0]
        if process and (row.get("status") or "COMPLETED") == "COMPLETED":
            by_process.setdefault(process, []).append(row)
    found = (_step(of_process) for of_process in by_process.values())
    return [step for step in found if step is not None]


def _step(rows: list[Row]) -> Step | None:
    peaks = np.array([amount(row.get("peak_rss") or row.get("rss")) for row in rows])
    seconds = np.array([span(row.get("realtime")) for row in rows])
    good = np.flatnonzero((peaks > 0.0) & (seconds > 0.0))
    if good.size < FEWEST:
        return None
    rows, peaks, seconds = [rows[i] for i in good], peaks[good], seconds[good]
    submitted = np.array([_time(row.get("submit")) for row in rows])
    if np.isfinite(submitted).all():
        waited = np.array([span(row.get("duration")) for row in rows])
        ended = submitted + np.where(np.isfinite(waited), waited, seconds)
    else:
        submitted = one_after_the_other(seconds)
        ended = submitted + seconds
    done = np.argsort(ended, kind="stable")
    inputs = np.array([amount(row.get("rchar")) for row in rows])
    cores = np.array([_number(row.get("%cpu")) / 100.0 for row in rows])
    requests = np.array([amount(row.get("memory")) for row in rows])
    known = requests[np.isfinite(requests)]
    larger = LABELS[np.searchsorted(LABELS, peaks.max()) :]
    preset = float(np.median(known)) if known.size else float(larger[0] if larger.size else 2.0 * peaks.max())
    asked = np.array([_number(row.get("cpus")) for row in rows])
    cpus = asked[np.isfinite(asked)]
    return Step(
        inputs[done],
        peaks[done],
        seconds[done],
        cores[done],
        preset,
        float(np.median(cpus)) if cpus.size else np.nan,
        submitted[done],
        ended[done],
    )


def amount(text: str | None) -> float:
    """Bytes of "1.2 GB" or "1288490188"; nan for "-" or nothing."""
    found = re.fullmatch(r"([\d.,]+)\s*([KMGT]?B)?", (text or "").strip())
    return float(found[1].replace(",", "")) * UNITS[found[2] or "B"] if found else float("nan")


def span(text: str | None) -> float:
    """Seconds of "1h 4m 59s", of "110ms" or of raw milliseconds; nan for "-" or nothing."""
    text = (text or "").strip()
    if re.fullmatch(r"\d+", text):
        return float(text) / 1000.0
    parts = re.findall(r"([\d.]+)\s*(ms|s|m|h|d)\b", text)
    return sum(float(value) * SECONDS[unit] for value, unit in parts) if parts else float("nan")


def _number(text: str | None) -> float:
    try:
        return float((text or "").strip().rstrip("%"))
    except ValueError:
        return float("nan")


def _time(text: str | None) -> float:
    try:
        return datetime.fromisoformat((text or "").strip()).timestamp()
    except ValueError:
        return float("nan")

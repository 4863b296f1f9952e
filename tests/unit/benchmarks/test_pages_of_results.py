"""Sections of the page of results: each row has a cell for every column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.accuracy import late_runs
from benchmarks.scale import history_size, pages
from benchmarks.scale.shards import table

LATE = {
    "date": "2026-11-22",
    "sets": {
        "recorded": late_runs.Tally(
            errors={share: [0.1, 0.2] for share in late_runs.AT}, inside=[True, False], late=2, caught=1, early=[0.05]
        ).report(),
        "nothing was called": late_runs.Tally(errors={share: [0.1] for share in late_runs.AT}).report(),
    },
}
HISTORY = {"date": "2026-11-22", "workflows": 500, "steps": 5, "bytesPerRow": 68.0, "rowsOf10000Workflows": 24_000_000,
           "gibOf10000Workflows": 1.52}  # fmt: skip
READERS = {who: {"first": 5.0, "pages": {"fleet": 0.02, "last page": 0.1}} for who in ("everybody's", "one namespace")}
PAGES = {"date": "2026-11-22", "workflows": 10_000, "namespaces": 1000, "mostMemoryMiB": 601, "readers": READERS}

CPU = {"postgres_cpu_s": 4.0, "store_cpu_s": 5.0, "api_cpu_s": 6.0}
SHARDS = {
    "date": "2026-11-22", "load": 1.5, "workflows": 5_000, "namespaces": 50, "runs": 5, "pods": 250_000,
    "scores_s": 300, "whole_s": 500, "totals_s": 80, "profiles": [2_600, 2_400], "cold": {"cpu_s": [90.0, 80.0], **CPU},
    "rss_mib": [150, 140], "peak_rss_mib": [250, 240], "postgres_mib": 300.5,
    "steady": {"seconds": 4.0, "longest_s": 6.0, "cpu_s": [3.5, 3.0], **CPU},
    "loss": {"profiles": 2_600, "namespaces": 26, "noticed_s": 19.5, "since_renewal_s": 20.5, "taken_s": 21.0,
             "read_s": 25.0, "counted_s": 26.0, "least_counted": 5_000, "anew": 30, "repeated": 0, "seconds": 90,
             "two_writers": 0, "writes": 12_345},
    "recommendations": {"policy": 9_000, "profiles": 9_001},
}  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "result", "row"),
    [
        (late_runs.lines, LATE, "| recorded (2) | 15%, 15%, 15% | 50% | 50% of 2 | 100% | 100% | 5% |"),
        (late_runs.lines, LATE, "| nothing was called (1) | 10%, 10%, 10% | - | - of 0 | - | - | - |"),
        (history_size.lines, HISTORY, "| 68 | 24,000,000 | 1.52 GiB |"),
        (table.lines, SHARDS, "| 1 | 2,400 | 80.0 s | 3.0 s | 140, 240 MiB |"),
        (pages.lines, PAGES, "| one namespace | 5.00 s | 0.020 s | 0.100 s |"),
    ],
)
def test_a_section_is_a_table_with_its_date(
    lines: Callable[[dict[str, Any]], list[str]], result: dict[str, Any], row: str
) -> None:
    made = lines(result)
    assert row in made
    assert "Measured 2026-11-22." in " ".join(made)
    assert len({line.replace("[method]", "").count("|") for line in made if line.startswith("|")}) == 1

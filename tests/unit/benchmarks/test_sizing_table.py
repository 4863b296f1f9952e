"""The sizing table of docs/operations.md and benchmarks/RESULTS.md is what was measured, row by row."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scale import fleet_table

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("page", ["docs/operations.md", "benchmarks/RESULTS.md"])
def test_the_pages_show_what_was_measured(page: str) -> None:
    rows = fleet_table.rows()
    assert len(rows) >= 3
    assert "\n".join(fleet_table.sizing(rows)) in (ROOT / page).read_text()


def test_nothing_was_wrong_while_it_was_measured() -> None:
    assert [row["problems"] for row in fleet_table.rows()] == [[] for _ in fleet_table.rows()]


def test_a_second_analysis_of_all_is_told_per_analysis() -> None:
    (row,) = [row for row in fleet_table.rows() if "kept" in row]
    again = {"again": {"cpu_s": 139.0, "analyzed": 1000}, "few": {"analyzed": 0.0, "seconds": 0.76, "cpu_s": 0.2}}
    (said,) = [line for line in fleet_table.lines([row | {"kept": row["kept"] | again}]) if "all of them again" in line]
    assert "takes 139 ms of CPU each" in said
    assert "of 0 analyses, takes 0.76 s and 0.2 s of CPU." in said

"""What recording rules say of a container, joined with the samples that are too young for them."""

from __future__ import annotations

import pytest

from concertmaster.prometheus.facts.container_usage import Usage, UsageRow, join_tails
from concertmaster.prometheus.queries.usage import TAIL


def row(**values: float) -> UsageRow:
    """Names that end in ``_tail`` are of what is too young for records."""
    return UsageRow("/", {name.replace("_tail", TAIL): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("found", "whole", "peak"),
    [
        (row(samples=10, samples_tail=2, peak=5.0, peak_tail=7.0), True, 7.0),
        (row(samples=10, samples_tail=2, peak=5.0, peak_tail=3.0), True, 5.0),
        (row(samples=10, samples_tail=0, peak=5.0), True, 5.0),
        (row(samples=2, samples_tail=2, peak_tail=3.0), True, 3.0),  # as young as the tail: no record to be missed
        (row(samples=10, samples_tail=2, peak_tail=3.0), False, 3.0),  # the rules leave its namespace out
    ],
)
def test_records_and_tail_make_one_figure(found: UsageRow, whole: bool, peak: float) -> None:
    other = row(samples=10, samples_tail=2, peak_tail=9.0)
    usage: Usage = {("etl", "p1", "main"): {"/": found}, ("etl", "p2", "main"): {"/": other}}
    assert join_tails(usage, [("etl", "p1")]) is whole
    assert found.values["peak"] == peak
    assert not any(name.endswith(TAIL) for name in found.values)
    assert "peak" not in other.values, "another pod's, of a class that is asked for later"

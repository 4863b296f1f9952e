"""The column an invalid query is rejected at."""

from __future__ import annotations

import pytest

from concertmaster.prometheus.client.errors import QueryRefused
from concertmaster.prometheus.guard.fence import fence
from concertmaster.prometheus.guard.position import column

QUERIES = {
    "an operator after an operator": "a + ^* b",
    "an argument without a comma": "histogram_quantile(0.9 ^rate(x[$window]))",
    "two words by": "sum(x) / count(y) by ^by (a)",
    "a matcher without a comma": 'x{a="b" ^c="d"}',
    "a matcher too many": 'sum by (run) (last_over_time(x{a="b",^,c="d"}[$window]))',
    "a value without quotes": "foo{a=^b}[$window]",
    "a function nobody knows": "^ratee(x[$window])",
    "a bracket that stays open": "sum^(last_over_time(a[$window])",
    "a bracket that was never opened": "sum(x)^)",
    "an unknown unit": "x[^5q]",
    "an end too early": "rate(x[$window]) +^",
}


@pytest.mark.parametrize("case", list(QUERIES))
def test_the_column_is_that_of_the_mark(case: str) -> None:
    marked = QUERIES[case]
    assert column(marked.replace("^", "")) == marked.index("^") + 1


def test_a_valid_query_has_none() -> None:
    assert column("sum by (run) (last_over_time(x[$window]))") is None


def test_the_message_of_a_refused_query_names_the_column_of_the_users_own_text() -> None:
    with pytest.raises(QueryRefused, match="not valid PromQL at column 34: "):
        fence("max by (run) (rate(x[$window])) +* 2", namespace="etl", window=86400.0, extra_matchers=None)

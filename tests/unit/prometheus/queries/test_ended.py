"""How many series of a pod are selected to find those that ended, and which namespaces are matched beside their names."""

from __future__ import annotations

import re

import pytest

from concertmaster.prometheus.queries import ended
from concertmaster.prometheus.queries.bulk import pods
from concertmaster.prometheus.queries.scope import MAX_NAMESPACES, QueryScope, TimeRange
from concertmaster.prometheus.queries.usage import life

MINUTE = TimeRange(480, 180)
SERIES = {
    "kube_pod_info": 1,
    "kube_pod_completion_time": 1,
    "kube_pod_status_phase": 2,
}  # that a selector matches of a pod
MANY = tuple(f"team-{n}" for n in range(MAX_NAMESPACES + 1))


def selected(text: str) -> int:
    """Series of one pod that the query selects."""
    return sum(SERIES[name] for name in re.findall(r"(kube_\w+)\{", text))


def test_phases_alone_find_ended_pods_by_five_series_of_each() -> None:
    assert selected(ended.finished(QueryScope(), MINUTE, phased=True)) == 5
    assert selected(ended.finished(QueryScope(), MINUTE)) == 8


def test_phases_are_matched_at_both_ends_of_the_span() -> None:
    text = ended.finished(QueryScope(), MINUTE, phased=True)
    assert "offset 180s == 1" in text and "== 0" in text
    assert "kube_pod_completion_time" not in text


@pytest.mark.parametrize("per_metric", [False, True])
def test_names_of_many_namespaces_are_not_matched_beside_names_of_pods(per_metric: bool) -> None:
    scope = QueryScope(namespaces=MANY, extra_matchers={"cluster": "one"}, per_metric=per_metric)
    for text in (
        pods(scope, MINUTE, (), ["a"]),
        life(scope, MINUTE, ["a"]),
        ended.presence(scope, MINUTE, ["a"]),
    ):
        assert "team-" not in text
        assert text.count('cluster="one"') == text.count('pod="a"')


def test_where_all_namespaces_are_read_none_is_matched_beside_names_of_pods() -> None:
    """Every series of the source has one: it would be intersected with all of them."""
    assert "namespace!" not in life(QueryScope(), MINUTE, ["a"])
    assert 'namespace!=""' in life(QueryScope(), MINUTE, ())


def test_few_namespaces_are_matched_and_all_where_no_pod_is_named() -> None:
    few = QueryScope(namespaces=MANY[1:])
    assert "team-1|" in pods(few, MINUTE, (), ["a"])
    assert "team-1|" in life(QueryScope(namespaces=MANY), MINUTE, ())


def test_pods_known_by_name_are_found_in_the_namespaces_of_the_scope_only() -> None:
    text = ended.namespaces(QueryScope(namespaces=MANY, owner_kinds=(), named=("a",)), MINUTE)
    assert "team-1|" in text and 'pod="a"' in text

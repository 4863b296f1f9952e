"""The step graph: exact longest path, slack and drag; bad graphs are described, never raised."""

from __future__ import annotations

import math
import time

import pytest

from concertmaster.core.analysis.graph import (
    critical_path,
    drags,
    find_cycle,
    levels,
    longest_path,
    topological_order,
)

DIAMOND = {"b": ["a"], "c": ["a"], "d": ["b", "c"]}


def test_the_longest_path_of_a_diamond() -> None:
    path = critical_path({"a": 1, "b": 5, "c": 3, "d": 2}, DIAMOND)
    assert path.length == 8
    assert path.chain == ("a", "b", "d")
    assert path.slack == {"a": 0, "b": 0, "c": 2, "d": 0}
    assert path.drag == {"a": 1, "b": 2, "c": 0, "d": 2}  # b takes 5 but c is there to take 3
    assert path.levels == {"a": 0, "b": 1, "c": 1, "d": 2}
    assert path.problems == ()


def test_two_equally_long_paths_have_no_drag_of_their_own() -> None:
    path = critical_path({"a": 1, "b": 4, "c": 4, "d": 1}, DIAMOND)
    assert path.drag == {"a": 1, "b": 0, "c": 0, "d": 1}
    assert path.slack["b"] == path.slack["c"] == 0


def test_nodes_without_edges_run_side_by_side() -> None:
    path = critical_path({"a": 3, "b": 7}, {})
    assert (path.length, path.chain, path.drag) == (7, ("b",), {"a": 0, "b": 4})


def test_an_empty_graph_takes_no_time() -> None:
    assert critical_path({}, {}).length == 0
    assert critical_path({}, {}).chain == ()
    assert longest_path([], []).chain == ()
    assert drags(longest_path([], []), [], []) == []


def test_a_cycle_is_named_in_the_direction_of_execution() -> None:
    path = critical_path({"a": 1, "b": 1, "c": 1, "d": 1}, {"a": ["c"], "b": ["a"], "c": ["b"], "d": ["c"]})
    assert math.isnan(path.length)
    assert path.chain == ()
    (problem,) = path.problems
    start = problem.index(":")
    walk = problem[start + 2 :].split(" -> ")
    assert walk[0] == walk[-1]
    assert " -> ".join(walk) in "a -> b -> c -> a -> b -> c"


def test_positions_behind_a_cycle_are_not_mistaken_for_it() -> None:
    parents = [[1], [0], [1]]
    assert set(topological_order(parents).cyclic) == {0, 1, 2}
    assert set(find_cycle(parents)) == {0, 1}
    assert levels(parents) == [-1, -1, -1]
    assert find_cycle([[], [0]]) == ()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -3.0])
def test_a_bad_duration_counts_as_no_time_and_is_named(bad: float) -> None:
    path = critical_path({"a": 2, "b": bad, "c": 1}, {"b": ["a"], "c": ["b"]})
    assert path.length == 3
    assert len(path.problems) == 1 and "'b'" in path.problems[0]


def test_unknown_and_self_references_are_named_and_left_out() -> None:
    path = critical_path({"a": 2, "b": 1}, {"a": ["a"], "b": ["a", "ghost"], "nowhere": ["a"]})
    assert path.length == 3
    assert [p for p in path.problems if "itself" in p] and [p for p in path.problems if "'ghost'" in p]
    assert [p for p in path.problems if "'nowhere'" in p]


def test_a_chain_of_ten_thousand_needs_no_recursion() -> None:
    parents = [[], *([i] for i in range(9_999))]
    assert longest_path([1.0] * 10_000, parents).length == 10_000


def test_two_thousand_tasks_in_well_under_a_second() -> None:
    parents = [list(range(max(0, i - 4), i)) for i in range(2122)]
    durations = [float(i % 7 + 1) for i in range(2122)]
    begin = time.perf_counter()
    path = longest_path(durations, parents)
    assert time.perf_counter() - begin < 0.5  # 50 ms is the goal on a quiet machine; the benchmark measures it
    assert sum(durations[i] for i in path.chain) == path.length

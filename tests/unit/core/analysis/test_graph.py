"""The step graph: exact longest path, slack and drag; cycles are named."""

from __future__ import annotations

from collections.abc import Callable

from concertmaster.core.analysis.graph import LongestPath, drags, levels, longest_path, topological_order
from tests.support.counting import growth

# a -> b, c -> d
DIAMOND: list[list[int]] = [[], [0], [0], [1, 2]]


def test_the_longest_path_of_a_diamond() -> None:
    seconds = [1.0, 5.0, 3.0, 2.0]
    path = longest_path(seconds, DIAMOND)
    assert path.length == 8
    assert path.chain == (0, 1, 3)
    slack = [path.length - (head + tail - own) for head, tail, own in zip(path.head, path.tail, seconds, strict=True)]
    assert slack == [0, 0, 2, 0]
    assert drags(path, seconds, DIAMOND) == [1, 2, 0, 2]  # node 1 takes 5 but node 2 is there to take 3
    assert levels(DIAMOND) == [0, 1, 1, 2]


def test_two_equally_long_paths_have_no_drag_of_their_own() -> None:
    seconds = [1.0, 4.0, 4.0, 1.0]
    assert drags(longest_path(seconds, DIAMOND), seconds, DIAMOND) == [1, 0, 0, 1]


def test_nodes_without_edges_run_side_by_side() -> None:
    path = longest_path([3.0, 7.0], [[], []])
    assert (path.length, path.chain, drags(path, [3.0, 7.0], [[], []])) == (7, (1,), [0, 4])


def test_an_empty_graph_takes_no_time() -> None:
    assert longest_path([], []).length == 0
    assert longest_path([], []).chain == ()
    assert drags(longest_path([], []), [], []) == []


def test_positions_behind_a_cycle_have_no_level() -> None:
    parents = [[1], [0], [1]]
    assert set(topological_order(parents).cyclic) == {0, 1, 2}
    assert levels(parents) == [-1, -1, -1]


def test_a_chain_of_ten_thousand_needs_no_recursion() -> None:
    parents = [[], *([i] for i in range(9_999))]
    assert longest_path([1.0] * 10_000, parents).length == 10_000


def test_two_thousand_tasks_take_work_in_proportion_to_their_number() -> None:
    def tasks(count: int) -> Callable[[], LongestPath]:
        parents = [list(range(max(0, i - 4), i)) for i in range(count)]
        return lambda: longest_path(durations[:count], parents)

    durations = [float(i % 7 + 1) for i in range(2122)]
    path = tasks(2122)()
    assert sum(durations[i] for i in path.chain) == path.length
    assert growth(tasks, 500) < 2.2

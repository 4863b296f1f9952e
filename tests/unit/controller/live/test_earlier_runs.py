"""Lists of runs that had ended before their workflow was observed take a bounded time of a cycle, in turns."""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.controller.live.earlier_runs import MAX_LIST_SECONDS, MAX_LISTS, MAX_TURN_SECONDS, EarlierRuns
from concertmaster.kube import errors


class Lists:
    """Lists of ``sizes`` objects by namespace, of which each takes half a second."""

    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes
        self.now = 0.0
        self.begun: list[str] = []
        self.taken: list[str] = []
        self.failing: set[str] = set()
        self.earlier: EarlierRuns[str] = EarlierRuns(lambda: self.now)

    def begin(self, namespace: str) -> Iterator[None]:
        self.begun.append(namespace)
        for _ in range(self.sizes[namespace]):
            if namespace in self.failing:
                raise errors.Unreachable("connection refused")
            self.now += 0.5
            self.taken.append(namespace)
            yield

    def cycle(self, *namespaces: str) -> set[str]:
        wanted = {name: frozenset({name}) for name in namespaces or self.sizes}
        listed, errors = self.earlier.advance(wanted, self.begin, lambda _: None)
        assert set(errors) <= self.failing
        return listed


def test_a_long_list_holds_up_neither_the_cycle_nor_the_lists_of_other_namespaces() -> None:
    lists = Lists(flood=1000, small=3)
    assert lists.cycle() == {"small"}
    assert lists.now <= MAX_LIST_SECONDS + MAX_TURN_SECONDS
    assert lists.taken.index("small") < 4


def test_it_goes_on_in_the_next_cycle_where_it_was() -> None:
    lists = Lists(flood=50)
    cycles = 1
    while not lists.cycle():
        cycles += 1
    assert (cycles, lists.begun, len(lists.taken)) == (3, ["flood"], 50)


def test_few_lists_are_under_way_at_a_time() -> None:
    lists = Lists(**{f"n{i}": 1000 for i in range(2 * MAX_LISTS)})
    lists.cycle()
    lists.cycle()
    assert len(lists.begun) == MAX_LISTS


def test_a_list_that_failed_begins_anew_and_one_that_nobody_wants_any_more_is_dropped() -> None:
    lists = Lists(a=30, b=2)
    lists.failing = {"b"}
    assert lists.cycle() == set()
    lists.failing = set()
    assert lists.cycle("b") == {"b"}
    assert lists.cycle() == {"b"}
    assert lists.begun == ["a", "b", "b", "a", "b"]

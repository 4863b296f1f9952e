"""None comes first because it has most."""

from collections import Counter

from concertmaster.core.fair_share import item_to_evict, round_robin


def test_each_owner_comes_once_in_a_round_and_items_keep_their_order() -> None:
    assert list(round_robin(["a1", "a2", "a3", "b1", "c1", "c2"], lambda item: item[0])) == [
        "a1",
        "b1",
        "c1",
        "a2",
        "c2",
        "a3",
    ]
    assert list(round_robin([], str)) == []


def test_the_newest_of_whoever_has_most_gives_way() -> None:
    newest_first = ["b1", "a3", "a2", "a1"]
    assert item_to_evict(newest_first, lambda item: item[0], Counter(item[0] for item in newest_first)) == "a3"
    assert item_to_evict(newest_first, lambda item: item[0], Counter(a=1, b=9)) == "b1"

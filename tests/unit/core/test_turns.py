"""None comes first because it has most."""

from concertmaster.core.turns import in_turns


def test_each_owner_comes_once_in_a_round_and_items_keep_their_order() -> None:
    assert list(in_turns(["a1", "a2", "a3", "b1", "c1", "c2"], lambda item: item[0])) == [
        "a1",
        "b1",
        "c1",
        "a2",
        "c2",
        "a3",
    ]
    assert list(in_turns([], str)) == []

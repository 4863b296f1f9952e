"""Which shard looks after a namespace: the same answer everywhere, little movement, even shares."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from concertmaster.controller.shards.assignment import CLUSTER, owner

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
SHARDS = st.sets(NAMES, min_size=1, max_size=8)
NAMESPACES = [f"team-{n}" for n in range(1000)]


@given(NAMES, SHARDS, st.randoms(use_true_random=False))
def test_every_process_gives_the_same_answer(namespace: str, shards: set[str], order: random.Random) -> None:
    listed = sorted(shards)
    order.shuffle(listed)
    assert owner(namespace, listed) == owner(namespace, shards)
    assert owner(namespace, shards) in shards
    assert owner(namespace, ()) is None


@given(st.lists(NAMES, max_size=30), SHARDS, NAMES)
def test_a_shard_that_comes_or_goes_moves_nothing_between_the_others(
    namespaces: list[str], shards: set[str], other: str
) -> None:
    without, beside = shards - {other}, shards | {other}
    for namespace in namespaces:
        before, after = owner(namespace, without), owner(namespace, beside)
        assert after in (before, other)


def test_shares_are_even_and_those_of_a_lost_shard_spread() -> None:
    for count in (2, 4, 8):
        shards = [f"concertmaster-{n}" for n in range(count)]
        shares = Counter(owner(n, shards) for n in NAMESPACES)
        assert max(shares.values()) < 1.25 * 1000 / count
        assert min(shares.values()) > 0.75 * 1000 / count
        lost = {n for n in NAMESPACES if owner(n, shards) == shards[0]}
        heirs = Counter(owner(n, shards[1:]) for n in lost)
        assert len(heirs) == count - 1
        assert max(heirs.values()) < 1.6 * len(lost) / (count - 1)


def test_the_answer_is_that_of_every_version() -> None:
    """Two versions that disagreed would both write while one replaces the other."""
    shards = ["concertmaster-0", "concertmaster-1", "concertmaster-2"]
    found = [shards.index(owner(n, shards) or "") for n in ("", "default", "data", "team-a", "team-b")]
    assert found == [1, 0, 1, 2, 1]


def test_shards_of_two_versions_share_namespaces_in_the_same_way() -> None:
    """While shards are updated one after the other: otherwise two would write in a namespace."""
    shards = ("cm-0", "cm-1", "cm-2")
    pinned = {"etl": "cm-2", "ml": "cm-2", "reports": "cm-1", "demo": "cm-0", CLUSTER: "cm-2"}
    assert {namespace: owner(namespace, shards) for namespace in pinned} == pinned

"""Caching, retries, timeouts and skew, each on generated data whose truth is known."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from concertmaster.core.rules.intervals import share_interval
from concertmaster.core.rules.performance.caching import AGES, CacheLookup, hits_at, recommended_cache
from concertmaster.core.rules.performance.skew import FanOutItem, Skew, skew
from concertmaster.core.rules.reliability.retry.limit import AttemptChain, retry_limit
from concertmaster.core.rules.reliability.tolerance_bound import recommended_timeout, round_up, tolerance_factor
from concertmaster.core.units import HOUR


def _every(hours: float, count: int, key: str, first: float = 0.0) -> list[CacheLookup]:
    return [CacheLookup(first + i * hours * HOUR, first + i * hours * HOUR + 60, 60.0, key) for i in range(count)]


class TestCaching:
    def test_counts_exactly_the_repeats_within_the_age(self) -> None:
        daily = _every(24, 10, "a")
        assert hits_at(daily, 12 * HOUR) == []
        # An entry is stored at the end of a run, not renewed by a hit: every second run repeats within a day and an hour.
        assert hits_at(daily, 25 * HOUR) == [1, 3, 5, 7, 9]
        assert hits_at(daily, 100 * 24 * HOUR) == list(range(1, 10))

    def test_a_result_is_no_hit_while_it_is_still_computed_or_when_it_failed(self) -> None:
        overlapping = [
            CacheLookup(0, 100, 100, "a"),
            CacheLookup(50, 150, 100, "a"),
            CacheLookup(120, 220, 100, "a"),
        ]
        assert hits_at(overlapping, 10 * HOUR) == [2]
        failed = [
            CacheLookup(0, 10, 10, "a", succeeded=False),
            CacheLookup(20, 30, 10, "a"),
            CacheLookup(40, 50, 10, "a"),
        ]
        assert hits_at(failed, 10 * HOUR) == [2]

    def test_proposes_the_smallest_usual_age_and_the_known_ratio(self) -> None:
        rows = _every(2, 60, "a") + [
            CacheLookup(i * 7200.0 + 60, i * 7200.0 + 120, 60.0, f"unique-{i}") for i in range(60)
        ]
        recommended = recommended_cache(rows)
        assert recommended.max_age is not None
        assert recommended.known == 120
        assert recommended.distinct == 61
        assert recommended.hit_ratio == pytest.approx(59 / 120, abs=0.03)
        assert recommended.saved_seconds == pytest.approx(60.0 * recommended.hits)

    def test_there_is_nothing_to_cache_where_nothing_repeats_or_little_is_known(self) -> None:
        for rows in (
            _every(1, 3, "a"),
            [CacheLookup(i, i + 1, 1, f"{i}") for i in range(30)],
            [CacheLookup(i, i + 1, 1, None) for i in range(30)],
        ):
            found = recommended_cache(rows)
            assert (found.max_age, found.hits, found.hit_ratio) == (None, 0, 0.0)

    @given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e4), st.sampled_from("abc")), max_size=40))
    def test_more_age_never_has_fewer_hits_than_the_shortest(self, rows: list[tuple[float, float, str]]) -> None:
        items = [CacheLookup(start, start + length, length, key) for start, length, key in rows]
        assert len(hits_at(items, AGES[-1])) >= len(hits_at(items, 0.0))
        assert len(hits_at(items, 1e12)) <= max(0, len(items) - len({i.fingerprint for i in items}))


class TestRetries:
    @staticmethod
    def _chains(count: int, fail: float, recover: float, limit: int, seed: int = 1) -> list[AttemptChain]:
        chance = random.Random(seed)
        chains = []
        for _ in range(count):
            attempts = [chance.random() >= fail]
            while not attempts[-1] and len(attempts) <= limit:
                attempts.append(chance.random() < recover)
            chains.append(AttemptChain(tuple(attempts)))
        return chains

    def test_finds_the_smallest_limit_for_passing_failures(self) -> None:
        recommended = retry_limit(self._chains(2000, 0.10, 0.8, 3), 0.99)
        assert recommended.limit == 2  # 1 - 0.1 * 0.2 = 0.98 at one retry, 0.996 at two
        assert recommended.success == pytest.approx(0.996, abs=0.003)
        assert recommended.like is None

    def test_failures_that_are_not_transient_get_no_limit(self) -> None:
        recommended = retry_limit(self._chains(500, 0.10, 0.02, 3), 0.99)
        assert recommended.limit is None
        assert "not transient" in recommended.reason

    def test_without_retries_seen_they_are_taken_to_succeed_like_first_attempts(self) -> None:
        recommended = retry_limit(self._chains(500, 0.05, 0.0, 0), 0.99)
        assert str(recommended.like) == "first attempts (94%)"
        assert recommended.limit == 1

    def test_little_or_good_data(self) -> None:
        assert retry_limit([AttemptChain((False,))] * 3, 0.99).limit is None
        assert retry_limit([AttemptChain((True,))] * 20, 0.99).limit == 0
        assert retry_limit([AttemptChain(())] * 20, 0.99).limit is None


class TestTimeouts:
    @pytest.mark.parametrize("count", [10, 20, 50, 200])
    def test_the_factor_agrees_with_the_exact_one(self, count: int) -> None:
        exact = stats.nct.ppf(0.95, count - 1, stats.norm.ppf(0.99) * math.sqrt(count)) / math.sqrt(count)
        found = tolerance_factor(count)
        assert found == pytest.approx(exact, rel=0.06)

    def test_covers_as_promised_on_log_normal_run_times(self) -> None:
        chance = np.random.default_rng(7)
        covered = 0
        for _ in range(300):
            recommended = recommended_timeout(chance.lognormal(5, 0.3, 30), headroom=0.0)
            assert recommended.bound is not None
            covered += stats.lognorm.cdf(recommended.bound, 0.3, scale=math.exp(5)) >= 0.99
        assert 0.92 <= covered / 300 <= 0.99

    def test_is_never_below_the_longest_run_and_reads_well(self) -> None:
        recommended = recommended_timeout([10.0] * 19 + [300.0], headroom=0.5)
        assert recommended.longest == 300.0
        assert recommended.seconds is not None
        assert recommended.seconds >= 450.0
        assert round_up(451) == 480.0
        assert round_up(61) == 90.0
        assert round_up(3000.5) == 3060.0
        assert round_up(4000) == 4500.0

    def test_says_when_it_knows_too_little(self) -> None:
        assert recommended_timeout([], headroom=0.5).seconds is None
        assert "10 are needed" in recommended_timeout([1.0, math.nan, -3.0, math.inf], headroom=0.5).reason


def _skew(runs: Mapping[str, Sequence[FanOutItem]], least_runs: int = 5) -> Skew:
    found = skew(runs, least_runs)
    assert found is not None
    return found


class TestSkew:
    def test_finds_the_straggling_item(self) -> None:
        chance = random.Random(3)
        runs = {
            f"r{n}": [
                FanOutItem(str(i), f"n{i % 2}", (400 if i == 2 else 100) * chance.lognormvariate(0, 0.05))
                for i in range(8)
            ]
            for n in range(20)
        }
        found = _skew(runs)
        assert found.ratio == pytest.approx(4.0, rel=0.1)
        assert found.share == 1.0
        assert found.same_item == ("2", 1.0)

    def test_two_items_show_no_straggler_and_runs_of_them_do_not_count(self) -> None:
        pair = [FanOutItem("0", None, 100.0), FanOutItem("1", None, 400.0)]
        three = [*pair, FanOutItem("2", None, 100.0)]
        found = _skew({f"r{n}": three if n < 5 else pair[: n % 3] for n in range(20)})
        assert (found.runs, found.ratio, found.share) == (5, 4.0, 1.0)

    def test_an_evenly_slow_step_is_no_straggler(self) -> None:
        chance = random.Random(4)
        runs = {
            f"r{n}": [FanOutItem(str(i), None, 900 * chance.lognormvariate(0, 0.2)) for i in range(8)]
            for n in range(20)
        }
        found = _skew(runs)
        assert found.share <= 0.05
        assert found.same_item is None

    def test_a_bad_node_is_named(self) -> None:
        chance = random.Random(5)
        runs = {}
        for n in range(20):
            slow = chance.randrange(6)
            runs[f"r{n}"] = [
                FanOutItem(
                    str(i), "old" if i == slow else "new", (500 if i == slow else 100) * chance.lognormvariate(0, 0.05)
                )
                for i in range(6)
            ]
        found = _skew(runs)
        assert found.same_item is None
        assert found.same_node == ("old", 1.0)

    @pytest.mark.parametrize(
        ("nodes", "slow", "named"),
        [
            (["only"] * 8, [0] * 20, None),  # a cluster of one node
            (["a", "b"] * 4, [0, 2, 4, 1, 3] * 4, None),  # 12 of 20 on one of two
            (["a"] * 6 + ["b"] * 2, [0, 1, 2, 3, 4, 5, 6] * 3, None),  # 18 of 21 on the node with six of eight items
            (list("abcdefgh"), [0, 0, 3], None),  # two of three on one of eight
            (list("abcdefgh"), [0, 0, 0], ("a", 1.0)),
            (["a"] * 2 + ["b"] * 6, [0, 1, 0, 1, 7] * 4, ("a", 0.8)),
        ],
    )
    def test_a_node_is_named_where_its_share_of_the_items_does_not_explain_it(
        self, nodes: list[str], slow: list[int], named: tuple[str, float] | None
    ) -> None:
        runs = {
            f"r{n}": [FanOutItem(None, node, 400 if i == top else 100 + i) for i, node in enumerate(nodes)]
            for n, top in enumerate(slow)
        }
        assert _skew(runs, 3).same_node == named

    def test_two_of_three_stragglers_do_not_name_an_item(self) -> None:
        runs = {
            f"r{n}": [FanOutItem(str(i), None, 400 if i == top else 100 + i) for i in range(8)]
            for n, top in enumerate([5, 5, 2, None, None])
        }
        found = _skew(runs)
        assert found.share == pytest.approx(0.6)
        assert found.same_item is None

    def test_too_little_is_known(self) -> None:
        assert skew({"r": [FanOutItem("0", None, 1.0), FanOutItem("1", None, 2.0)]}, 1) is None
        assert skew({}, 0) is None


@pytest.mark.parametrize("of", [5, 7, 49, 60, 180, 360])
def test_a_share_of_all_is_inside_its_interval(of: int) -> None:
    found = share_interval(of, of)
    assert found is not None and found.low < found.likely == found.high == 1.0

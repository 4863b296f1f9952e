"""Classes of lives: which pods one query measures, from which moment, over which window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from concertmaster.prometheus.collect.windows import (
    MAX_LIFE,
    MAX_LIFE_SPAN,
    MIN_PODS_PER_QUERY,
    SETTLED,
    by_life,
    latest_moment,
    reused_names,
)
from concertmaster.prometheus.facts.drafts import PodDraft

END = 1_000_000.0
DAY = 86_400.0
MOST = 300


def pod(number: int, begin: float, seconds: float) -> PodDraft:
    """A pod that began so many seconds before the end of the reading, and took so long if that is before it."""
    draft = PodDraft("etl", f"p{number}", f"u{number}", times={"kube_pod_created": END - begin})
    if seconds < begin:
        draft.times["kube_pod_completion_time"] = END - begin + seconds
    return draft


@given(st.lists(st.tuples(st.floats(1.0, 20 * DAY), st.floats(0.0, 20 * DAY)), max_size=40))
def test_every_life_lies_whole_in_the_window_of_its_class(lives: list[tuple[float, float]]) -> None:
    drafts = [pod(n, begin, seconds) for n, (begin, seconds) in enumerate(lives)]
    measured = []
    for at, window, members in by_life(drafts, END, MOST):
        assert at <= END
        for draft in members:
            assert draft.begin is not None
            assert (END if draft.finished is None else draft.finished) <= at
            assert at - window.length <= max(draft.begin, END - MAX_LIFE)
        measured += members
    assert sorted(d.uid for d in measured) == sorted(d.uid for d in drafts)


def test_many_short_lives_are_measured_over_short_windows() -> None:
    """Ten a minute for a day: over the whole day the source would evaluate each of them at 1,440 moments."""
    drafts = [pod(n, 6.0 * n + 400.0, 300.0) for n in range(14_400)]
    classes = list(by_life(drafts, END, MOST))
    assert all(len(members) <= MOST for _, _, members in classes)
    assert max(window.length for _, window, members in classes if len(members) >= MIN_PODS_PER_QUERY) <= 6 * MOST + 2000
    assert len(classes) <= len(drafts) / MIN_PODS_PER_QUERY + 2 * DAY / MAX_LIFE_SPAN


def test_few_lives_are_one_query_for_each_six_hours_and_length() -> None:
    drafts = [pod(n, 3600.0 * n + 400.0, 300.0) for n in range(24)]
    classes = list(by_life(drafts, END, MOST))
    assert [at for at, _, _ in classes] == [END - MAX_LIFE_SPAN * (n // 2) for n in range(8)]
    assert max(window.length for _, window, _ in classes) <= MAX_LIFE_SPAN + 3600


def test_nothing_ended() -> None:
    assert list(by_life([], END, MOST)) == []


def test_a_name_is_reused_where_two_pods_of_a_namespace_bore_it() -> None:
    """Only then is their usage in doubt where its series do not name the pod by uid."""
    names = [("a", "x"), ("a", "x"), ("a", "y"), ("b", "y"), ("b", "x")]
    assert reused_names([PodDraft(namespace, name, f"u{n}") for n, (namespace, name) in enumerate(names)]) == {
        ("a", "x")
    }


@given(st.floats(0.0, 30 * DAY))
def test_last_samples_are_sought_until_a_minute_after_an_end_and_never_in_the_future(ago: float) -> None:
    """Of the past no later than that: the source would step over all the time since."""
    latest = latest_moment(END - ago, END)
    assert END - ago <= latest <= END
    assert latest - (END - ago) <= SETTLED
    assert latest >= min(END, END - ago + SETTLED)

"""What workflows do to each other: sums as a plain count gives them, no names of strangers, and quick for thousands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core.model import WorkflowKey
from concertmaster.core.rules import Fleet, FleetMember
from tests.support.builders import DAY, NOW
from tests.support.counting import all_calls

ME = WorkflowKey("demo", "CronJob", "me")
RUN = st.tuples(st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0, 50)).map(
    lambda r: (NOW + r[0], NOW + r[0] + r[1], r[1] * r[2], 0.0)
)


def other(name: str, runs: list[tuple[float, float, float, float]], namespace: str = "demo") -> FleetMember:
    return FleetMember(WorkflowKey(namespace, "CronJob", name), np.array(sorted(runs)).reshape(-1, 4))


def plain(runs: list[tuple[float, float, float, float]], start: float, end: float) -> float:
    """Mean cores reserved between two times, run by run."""
    found = 0.0
    for begun, ended, core_seconds, _ in runs:
        overlap = min(end, ended) - max(start, begun)
        if overlap > 0 and ended > begun:
            found += core_seconds / (ended - begun) * overlap
    return found / max(1.0, end - start)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(RUN, max_size=8), max_size=4),
    st.lists(RUN, max_size=3),
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(1, 1e4)), min_size=1, max_size=4),
)
def test_the_load_is_what_a_plain_count_gives(
    others: list[list[tuple[float, float, float, float]]],
    mine: list[tuple[float, float, float, float]],
    asked: list[tuple[float, float]],
) -> None:
    fleet = Fleet([FleetMember(ME, np.array(mine).reshape(-1, 4)), *(other(f"w{i}", r) for i, r in enumerate(others))])
    spans = np.array([(NOW + s, NOW + s + length) for s, length in asked])
    wanted = [sum(plain(r, s, e) for r in others) for s, e in spans]
    assert fleet.load(ME, spans) == pytest.approx(sum(wanted) / len(wanted), rel=1e-6, abs=1e-4)
    assert sum(c for _, c in fleet.meets(ME, spans)) == pytest.approx(sum(wanted) / len(wanted), rel=1e-6, abs=1e-4)


def test_workflows_of_other_namespaces_have_no_names_where_they_belong_to_others() -> None:
    members = [
        other("crawl", [(NOW, NOW + 100, 400.0, 0.0)]),
        other("secret-project", [(NOW, NOW + 100, 800.0, 0.0)], "team-b"),
        other("merger", [(NOW, NOW + 100, 200.0, 0.0)], "team-c"),
    ]
    spans = np.array([[NOW, NOW + 100]])
    open_house = dict(Fleet(members).meets(ME, spans))
    assert open_house == {"team-b/secret-project": 8.0, "crawl": 4.0, "team-c/merger": 2.0}
    assert dict(Fleet(members, across=False).meets(ME, spans)) == {
        "2 workflows of other namespaces": 10.0,
        "crawl": 4.0,
    }


def test_a_fleet_of_thousands_of_workflows_is_asked_in_a_moment() -> None:
    chance = np.random.default_rng(1)
    members = []
    for i in range(3_000):
        starts = NOW - 14 * DAY + np.sort(chance.random(100)) * 14 * DAY
        runs = np.column_stack([starts, starts + 600, np.full(100, 1200.0), np.full(100, 600.0)])
        members.append(FleetMember(WorkflowKey("demo", "CronJob", f"w{i}"), runs))
    fleet = Fleet(members)
    spans = members[0].runs[:, :2]
    assert fleet.load(members[0].key, spans) == pytest.approx(3_000 * 100 * 1200 / (14 * DAY), rel=0.05)
    assert all_calls(lambda: fleet.load(members[1].key, spans + 60.0)) < 1_000, "the runs are added up once"
    fleet.known_since(members[2].key, spans)  # sorts the runs once
    own = members[3].runs[:, :2]
    assert all_calls(lambda: fleet.known_since(members[3].key, own)) < 1_000
    assert all_calls(lambda: fleet.loads(members[3].key, own)) < 1_000
    assert len(fleet.demand(NOW, 72).hours) == 72
    assert all_calls(lambda: fleet.demand(NOW + 1, 72)) < 1_000, "it is worked out once an hour"


def test_the_others_are_known_since_the_latest_first_run_of_those_that_matter() -> None:
    members = [
        other("old", [(NOW + day * DAY, NOW + day * DAY + 100, 500.0, 0.0) for day in range(5)]),
        other("young", [(NOW + day * DAY, NOW + day * DAY + 100, 400.0, 0.0) for day in range(2, 5)]),
        other("small", [(NOW + 3 * DAY, NOW + 3 * DAY + 100, 1.0, 0.0)]),
        FleetMember(ME, np.array([[NOW + 4 * DAY, NOW + 4 * DAY + 100, 9000.0, 0.0]])),
    ]
    spans = np.array([(NOW + day * DAY, NOW + day * DAY + 50) for day in range(5)])
    assert Fleet(members).known_since(ME, spans) == NOW + 2 * DAY
    assert Fleet(members[3:]).known_since(ME, spans) == 0.0
    assert Fleet().known_since(ME, spans) == 0.0

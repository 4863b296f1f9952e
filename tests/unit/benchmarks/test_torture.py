"""The checker of the torture set: what it calls exact, and what it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.torture import report, sets, tables
from benchmarks.torture.approved import Change
from benchmarks.torture.bed import Play
from benchmarks.torture.faults import Row
from benchmarks.torture.history import history_faults
from benchmarks.torture.recommended import Trial
from benchmarks.torture.truth import Key, Leaf, Truth, chain_faults, drag
from benchmarks.torture.truth_others import set_run
from concertmaster.core.model import Interval, Outcome, StepExecution
from tests.support.builders import build_runs
from tests.support.core import run_graphs

STAMP = "2026-11-21T10:00:{:02d}Z"


def truth(**leaves: tuple[float, float, tuple[str, ...]]) -> Truth:
    """A run from begin, end and dependencies by step."""
    found = Truth("w", "w-1", "Succeeded")
    for step, (begun, ended, before) in leaves.items():
        keys: frozenset[Key] = frozenset((b, None, 0) for b in before)
        found.add(Leaf(step, None, 0, "Succeeded", begun, ended, step, keys))
    return found


DIAMOND = truth(a=(0, 10, ()), b=(12, 20, ("a",)), c=(11, 30, ("a",)), d=(31, 40, ("b", "c")))


def chain(*steps: str) -> list[Key]:
    return [(step, None, 0) for step in steps]


def test_a_chain_is_right_when_each_link_waited_longest_for_the_one_before() -> None:
    assert chain_faults(DIAMOND, chain("a", "c", "d")) == []
    assert "waited longest for another than" in chain_faults(DIAMOND, chain("a", "b", "d"))[0]
    assert "did not wait for" in chain_faults(DIAMOND, chain("c", "b", "d"))[-2]
    assert "it begins with" in chain_faults(DIAMOND, chain("c", "d"))[0]
    assert "before the run did" in chain_faults(DIAMOND, chain("a", "c"))[0]
    assert chain_faults(DIAMOND, []) == ["no chain"]


def test_drag_is_what_the_run_would_lose() -> None:
    assert drag(DIAMOND, "c") == 10.0  # then b decides
    assert drag(DIAMOND, "b") == 0.0
    assert drag(DIAMOND, "a") == 10.0


@pytest.mark.parametrize(
    ("made", "faults"), [(False, []), (True, ["('slow', None, 0) is missing"])], ids=["without a pod", "with one"]
)
def test_a_step_that_a_deadline_kept_from_having_a_pod_is_named(made: bool, faults: list[str]) -> None:
    """A deadline that has passed fails a node before its pod is made: the metrics cannot know of it."""
    both = run_graphs.definition(run_graphs.task("a"), run_graphs.task("slow", "a"))
    found = truth(a=(0, 2, ()), slow=(3, 9, ("a",)))
    leaves = {step: ("w-1", (step, None, 0)) for step in ("a", "slow")}
    pods = {
        step: {
            "metadata": {"name": step, "creationTimestamp": "1970-01-01T00:00:00Z"},
            "status": {"phase": "Succeeded"},
        }
        for step in (leaves if made else ["a"])
    }
    seen = StepExecution("a", pod="a", uid="a", created=0.0, started=0.0, finished=2.0, outcome=Outcome.SUCCEEDED)
    row = Row("w")
    assert (
        history_faults(found, build_runs(both.key, "w-1", [seen], both), both, leaves, Play(0.0, pods=pods), row)
        == faults
    )
    assert ("slow, which had no pod" in row.unknown) is not made


@pytest.mark.parametrize(("given_up", "named"), [(4, True), (9, False)], ids=["before its pod ended", "with its pod"])
def test_a_step_that_its_engine_gave_up_before_its_pod_ended_is_named(given_up: int, named: bool) -> None:
    """The pod went on and succeeded: no metric tells what its engine had made of it."""
    both = run_graphs.definition(run_graphs.task("a"))
    found = truth(a=(0, given_up, ()))
    found.leaves["a", None, 0].outcome = "Failed"
    state = {"terminated": {"finishedAt": "1970-01-01T00:00:09Z"}}
    status = {"phase": "Succeeded", "containerStatuses": [{"state": state}]}
    pods = {"a": {"metadata": {"name": "a", "creationTimestamp": "1970-01-01T00:00:00Z"}, "status": status}}
    seen = StepExecution("a", pod="a", uid="a", created=0.0, started=0.0, finished=9.0, outcome=Outcome.SUCCEEDED)
    row, places = Row("w"), {"a": ("w-1", ("a", None, 0))}
    runs = build_runs(both.key, "w-1", [seen], both)
    faults = history_faults(found, runs, both, places, Play(0.0, pods=pods), row)
    assert ("('a', None, 0): Succeeded, true Failed" in faults) is not named
    assert ("a, which its engine gave up before it ended" in row.unknown) is named


@pytest.mark.parametrize("overdue", [True, False])
def test_a_step_that_a_deadline_failed_after_its_pod_succeeded_is_named(overdue: bool) -> None:
    """Its engine had not seen the end of the pod; the pod is all that the metrics know. Any other difference is a fault."""
    both = run_graphs.definition(run_graphs.task("a"))
    found = truth(a=(0, 10, ()))
    leaf = found.leaves["a", None, 0]
    leaf.outcome, leaf.overdue = "Failed", overdue
    state = {"terminated": {"finishedAt": "1970-01-01T00:00:09Z"}}
    status = {"phase": "Succeeded", "containerStatuses": [{"state": state}]}
    pods = {"a": {"metadata": {"name": "a", "creationTimestamp": "1970-01-01T00:00:00Z"}, "status": status}}
    seen = StepExecution("a", pod="a", uid="a", created=0.0, started=0.0, finished=9.0, outcome=Outcome.SUCCEEDED)
    row, places = Row("w"), {"a": ("w-1", ("a", None, 0))}
    runs = build_runs(both.key, "w-1", [seen], both)
    faults = history_faults(found, runs, both, places, Play(0.0, pods=pods), row)
    assert ("('a', None, 0): Succeeded, true Failed" in faults) is not overdue
    assert ("a, whose pod had succeeded when its engine failed it for the deadline" in row.unknown) is overdue


@pytest.mark.parametrize("early", [True, False])
def test_a_chain_from_history_may_only_be_unknown_where_parts_wait_for_readiness(early: bool) -> None:
    both = run_graphs.definition(run_graphs.task("a"), run_graphs.task("b", "a"))
    found = truth(a=(0, 2, ()), b=(3, 9, ()))
    found.early = early
    pods, places, seen = {}, {}, []
    for step, (begun, ended) in {"a": (0.0, 2.0), "b": (3.0, 9.0)}.items():
        state = {"terminated": {"finishedAt": f"1970-01-01T00:00:{ended:02.0f}Z"}}
        meta = {"name": step, "creationTimestamp": f"1970-01-01T00:00:{begun:02.0f}Z"}
        pods[step] = {"metadata": meta, "status": {"phase": "Succeeded", "containerStatuses": [{"state": state}]}}
        places[step] = ("w-1", (step, None, 0))
        seen.append(
            StepExecution(
                step, pod=step, uid=step, created=begun, started=begun, finished=ended, outcome=Outcome.SUCCEEDED
            )
        )
    row = Row("w")
    faults = history_faults(found, build_runs(both.key, "w-1", seen, both), both, places, Play(0.0, pods=pods), row)
    assert (row.unknown == {"what its parts waited for"}) is early
    assert any("did not wait for" in fault for fault in faults) is not early


def job_set(**spec: Any) -> Truth:
    """A set whose first Job ends last, at 30 s."""
    ends = {"a": 30, "b": 12}
    parts = [{"name": name, "template": {"spec": {}}} for name in ends]
    raw = {"metadata": {"name": "s"}, "spec": {"replicatedJobs": parts, **spec}, "status": {}}
    pods = [
        {
            "metadata": {
                "name": f"s-{name}-0-x",
                "creationTimestamp": STAMP.format(3 * number),
                "ownerReferences": [{"kind": "Job", "name": f"s-{name}-0"}],
            },
            "status": {
                "phase": "Succeeded",
                "containerStatuses": [{"state": {"terminated": {"finishedAt": STAMP.format(end)}}}],
            },
        }
        for number, (name, end) in enumerate(ends.items())
    ]
    return set_run(raw, pods, "w")


def test_a_job_that_others_await_ready_only_serves_where_the_set_does_not_need_its_end() -> None:
    in_order = {"startupPolicy": {"startupPolicyOrder": "InOrder"}}
    key, other = ("a", "0", 0), ("b", "0", 0)
    both = job_set(**in_order)
    assert (both.free, both.leaves[other].before) == ({}, frozenset())
    served = job_set(**in_order, successPolicy={"operator": "All", "targetReplicatedJobs": ["b"]})
    assert (served.free, served.leaves[other].before) == ({key: served.leaves[other].begun}, {key})


def change(**more: Any) -> Change:
    found = Change("c", "Improved", "Duration", (-30.0, -20.0), None, [20.0] * 5, [15.0] * 5, runs=5)
    return replace(found, **more)


def test_a_promise_is_compared_with_the_engines_own_times() -> None:
    assert change().effect == -25.0
    assert change().holds is True
    assert change(after=[19.0] * 5).holds is False, "5% shorter, and a second is another 5%"
    assert change(after=[17.0] * 5).holds is True, "15% shorter, and a second is another 5%"
    noisy = change(before=[10.0, 30.0] * 3, after=[18.0] * 6)
    assert noisy.holds is False, "no room for noise: the interval promises what later runs show"
    cost = change(measure="Cost", measured=-25.0, after=[20.0] * 5)
    assert (cost.effect, cost.holds) == (-25.0, True)
    assert change(measure="Cost", measured=-31.0).holds is False, "a clock has no say in a cost"
    assert change(promised=None).holds is None
    assert change(after=[]).holds is None


def test_what_breaks_a_workflow_is_named() -> None:
    trial = Trial(
        "w", "parallelism", "kubectl patch", "Raise it", Interval(3, 4, 5), before=[20.0], after=[16.0], runs=1
    )
    key = ("w", "parallelism")
    assert report.broken([trial], {key: change()}) == []
    (refused,) = report.broken([replace(trial, refused="no such field", after=[])], {})
    assert refused == "w, parallelism: the command is refused: no such field"
    (ended,) = report.broken([], {key: change(worse=2)})
    assert ended == "w, parallelism as c: 2 runs ended otherwise than before"
    (missed,) = report.broken([], {key: change(after=[19.0] * 5)})
    assert missed == "w, parallelism as c: promised -30 to -20%, measured -5.0%"
    (not_made,) = report.broken([], {key: Change(said="blocked owner")})
    assert not_made == "w, parallelism as WorkflowChange was not made: blocked owner"


def test_the_page_shows_each_recommendation_on_both_ways() -> None:
    trial = Trial(
        "w", "parallelism", "kubectl patch", "Raise it", Interval(3, 4, 5), before=[20.0], after=[16.0], runs=1
    )
    other = Trial("w", "timeout", "kubectl patch", "Set a time limit", None, runs=2)
    found = report.result([], 5, [trial, other], {("w", "parallelism"): change()})
    lines = tables.lines({"4.1.2": found})
    assert (
        "| w | Raise it | 1 runs end as before | 3 to 5 | 4 | 5 runs end as before, Improved | duration -30 to -20% |"
        in ("\n".join(lines))
    )
    left_out = "no field that an operator sets"
    assert lines[-1] == f"| w | Set a time limit | 2 runs end as before | - | - | {left_out} | - | - |  |"
    inside = "1 of 1 have what the runs show strictly inside, 0 more within the clock's second, 0 missed"
    (told,) = [line for line in lines if "1 were made" in line]
    assert told.count(inside) == 2
    assert "2 of them shown by fewer than 5 runs" in told
    assert "As printed only: 1 (no field that an operator sets)." in told
    assert "Jobs and JobSets of the set are compared but get no recommendations" in told


@pytest.mark.parametrize(
    ("made", "cell", "counted"),
    [
        (change(), "holds", "1 of 1 have what the runs show strictly inside, 0 more"),
        (change(after=[17.0] * 5), "within a second", "0 of 1 have what the runs show strictly inside, 1 more within"),
        (change(after=[19.0] * 5), "missed", "within the clock's second, 1 missed"),
        (change(measure="Cost", measured=-31.0), "missed", "within the clock's second, 1 missed"),
    ],
)
def test_what_misses_its_interval_is_shown_as_missed(made: Change, cell: str, counted: str) -> None:
    trial = Trial("w", "right-size", "kubectl patch", "Right-size it", None, runs=5)
    lines = tables.lines({"4.1.2": report.result([], 5, [trial], {("w", "right-size"): made})})
    assert lines[-1].endswith(f"% | {cell} |")
    assert any(counted in line for line in lines)


def test_workflows_whose_recommendations_were_tried_with_one_version_only_are_listed() -> None:
    trial = Trial("w", "timeout", "kubectl patch", "Set a time limit", None, runs=5)
    rows = [Row("w", runs=5), Row("x", runs=5)]
    kept = {"4.1.2": report.result(rows, 5, [trial]), "3.7.3": report.result(rows, 5)}
    missing = "Recommendations not tried with Argo 3.7.3: those of 1 workflows (w)."
    assert missing in tables.lines(kept)
    kept["3.7.3"] = report.result(rows, 5, [])  # asked: it has none there
    assert not any("not tried with" in line for line in tables.lines(kept))


def test_what_no_operator_makes_says_why() -> None:
    small = Trial("w", "right-size", "kubectl patch", "Right-size it", None, published=False)
    assert small.left_out == "not published: nothing to gain"
    assert replace(small, published=True).left_out == ""
    assert replace(small, id="retry-policy.a", published=True).left_out == "no field that an operator sets"


def test_right_sizings_of_large_requests_have_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULT", tmp_path / "torture.json")
    report.write(report.result([], 5))
    refused = replace(change(), runs=0, said="not proposed")
    report.write_large({("w", "right-size"): change()})
    report.write_large({("x", "right-size"): refused})
    report.write(report.result([], 5))  # a later play of small requests leaves them
    lines = tables.lines(json.loads(report.RESULT.read_text()))
    assert lines[-2].startswith("| w | 5 runs end as before, Improved | duration -30 to -20% |")
    assert lines[-1] == "| x | not made | - | - | not proposed |"
    assert any("2 further workflows" in line and "1 were made" in line for line in lines)


def test_large_requests_are_those_of_every_step() -> None:
    found = json.dumps(sets.defined(large=True))
    assert '"memory": "1Gi"' in found and '"memory": "32Mi"' not in found


def test_a_play_of_some_workflows_keeps_what_is_known_of_the_others() -> None:
    def played(name: str, live: int, change: str | None = None, runs: int = 5) -> dict[str, Any]:
        tried = {"workflow": name, "id": "right-size", "live": live, "change": change, "runs": runs, "refused": ""}
        tried["left_out"] = ""
        return {"workflows": [{"name": name, "live": live}], "recommendations": [tried]}

    assert report.merged(None, played("a", 1)) == played("a", 1)
    once, again = ({**played(name, 1), "asked": [name]} for name in "ab")
    assert report.merged(once, again)["asked"] == ["a", "b"]
    found = report.merged(report.merged(played("b", 1, "kept"), played("a", 2)), played("b", 3))
    assert [(r["name"], r["live"]) for r in found["workflows"]] == [("a", 2), ("b", 3)]
    tried = [(r["workflow"], r["live"], r["change"]) for r in found["recommendations"]]
    assert tried == [("a", 2, None), ("b", 3, "kept")]
    untried = report.merged(found, {"workflows": [{"name": "b", "live": 4}]})
    assert untried["recommendations"] == found["recommendations"]
    changed = report.merged(found, played("b", 5, "made", runs=0))  # only as a WorkflowChange
    assert changed["recommendations"][1] == {**found["recommendations"][1], "change": "made"}

"""What ``describe`` prints of a profile."""

from __future__ import annotations

import re

import pytest

from concertmaster.cli.commands.describe import lines
from tests.support.web.objects import change, profile, recommendation, running


def test_runs_in_progress_stand_with_their_end_and_deadline() -> None:
    shown = lines(profile(running=[running(late=True), *(running(name=f"run-{i}") for i in range(4))]))
    start = next(i for i, line in enumerate(shown) if line.startswith("RUN IN PROGRESS"))
    assert shown[start + 1].split() == [
        "nightly-x7k2p",
        "2027-01-31T01:10:00Z",
        "2027-01-31T00:50:00Z",
        "yes",
        "transform",
    ]
    assert [line.split()[0] for line in shown[start + 2 : start + 4]] == ["run-0", "run-1"]
    assert "run-2" not in "\n".join(shown), "three lines are enough for a screen"
    assert len(shown) <= 40


def test_what_a_condition_says_to_do_is_printed_whole() -> None:
    """A command that is cut off does not run."""
    command = "if there were runs, see why with: kubectl concertmaster doctor -n etl --prometheus URL"
    message = f"no finished run in 14d; it is suspended; {command}"
    conditions = [{"type": t, "status": s, "message": message} for t, s in (("Ready", "False"), ("Other", "True"))]
    rows = {line.split()[0]: line for line in lines(profile(conditions=conditions)) if line}
    assert rows["Ready"].endswith(command)
    assert rows["Other"].endswith(" ...") and len(rows["Other"]) < 110


@pytest.mark.parametrize(("unknown", "said"), [(0, "72 runs, 0 failed"), (70, "72 runs, 0 failed, 70 with an unknown")])
def test_runs_whose_end_was_not_seen_are_counted(unknown: int, said: str) -> None:
    runs = {"observed": 72, "failed": 0, "succeeded": 72 - unknown, "unknown": unknown}
    second = lines(profile(runs=runs))[1]
    assert second.startswith(said) and ("unknown outcome" in second) is bool(unknown)


def test_the_newest_changes_stand_with_phase_and_verdict() -> None:
    made = [change(n, phase="Kept", verdict="Improved") if n == 7 else change(n) for n in range(9)]
    for n, one in enumerate(made):
        one["metadata"]["creationTimestamp"] = f"2027-01-{10 + n}T00:00:00Z"
    shown = lines(profile(), made)
    start = next(i for i, line in enumerate(shown) if line.startswith("CHANGE "))
    assert [line.split() for line in shown[start : start + 3]] == [
        ["CHANGE", "RECOMMENDATION", "PHASE", "VERDICT"],
        ["change-8", "right-size.transform", "Proposed", "-"],
        ["change-7", "right-size.transform", "Kept", "Improved"],
    ]


def test_nothing_is_said_of_runs_where_none_is_in_progress() -> None:
    assert "RUN IN PROGRESS" not in "\n".join(lines(profile()))


def test_the_largest_status_fits_on_a_screen_and_says_what_was_left_out() -> None:
    items = [recommendation(n, action=f"Right-size {n}: " + "a very long list of steps " * 6) for n in range(5)]
    items.append(recommendation(9, state="Obsolete"))
    conditions = [{"type": f"Type{n}", "status": "True", "reason": "R", "message": "m" * 300} for n in range(6)]
    steps = [f"step-{n}: 30 executions; " + "figures " * 40 for n in range(20)]
    late = [running(name=f"run-{n}") for n in range(9)]
    full = profile(recommendations=items, moreRecommendations=3, conditions=conditions, steps=steps, running=late)
    shown = lines(full, [change(n) for n in range(9)])
    assert len(shown) <= 40
    named = [n for n in range(6) if any(line.startswith(f"right-size.s{n} ") for line in shown)]
    assert named == [0, 1, 2, 3, 4], "those in full, in their order"
    assert "3 more: kubectl concertmaster explain nightly-0 -n etl" in shown
    assert max(len(re.split(r" {3}(?:kubectl|DETAILS)", line)[0]) for line in shown) <= 140, "the commands stand beyond"
    assert {"Type0", "Type5", "change-0"} <= {line.split()[0] for line in shown if line}
    assert "  step-0: 30 executions;" in "\n".join(shown)


def test_a_recommendation_is_a_line_of_id_change_impact_confidence_and_command() -> None:
    second = recommendation(1, action="Raise parallelism of nightly: 2 -> 6", impact="not measured", confidence=None)
    items = [recommendation(), second, recommendation(2, state="Obsolete")]
    shown = lines(profile(recommendations=items))
    start = next(i for i, line in enumerate(shown) if line.startswith("ID "))
    assert [re.split(r" {3,}", line) for line in shown[start : start + 4]] == [
        ["ID", "CHANGE", "IMPACT PER MONTH", "CONFIDENCE", "DETAILS"],
        [
            "right-size.s0",
            "Right-size CPU request of transform: 2 -> 1150m",
            "12.5 USD (10 to 15)",
            "90%",
            "kubectl concertmaster explain nightly-0 right-size.s0 -n etl",
        ],
        [
            "right-size.s1",
            "Raise parallelism of nightly: 2 -> 6",
            "not measured",
            "-",
            "kubectl concertmaster explain nightly-0 right-size.s1 -n etl",
        ],
        [""],
    ]
    assert "right-size.s2" not in "\n".join(shown), "only what is to be done"

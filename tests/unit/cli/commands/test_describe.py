"""What ``describe`` prints of a profile."""

from __future__ import annotations

from concertmaster.cli.commands.describe import MOST_LINES, lines
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
    assert len(shown) <= MOST_LINES


def test_nothing_is_said_of_runs_where_none_is_in_progress() -> None:
    assert "RUN IN PROGRESS" not in "\n".join(lines(profile()))


def test_the_largest_status_fits_on_a_screen_and_says_what_was_left_out() -> None:
    items = [recommendation(n, action=f"Right-size {n}: " + "a very long list of steps " * 6) for n in range(5)]
    items.append(recommendation(9, state="Obsolete"))
    conditions = [{"type": f"Type{n}", "status": "True", "reason": "R", "message": "m" * 300} for n in range(6)]
    steps = [f"step-{n}: 30 executions; " + "figures " * 40 for n in range(20)]
    late = [running(name=f"run-{n}") for n in range(9)]
    full = profile(recommendations=items, conditions=conditions, steps=steps, running=late)
    shown = lines(full, [change(n) for n in range(9)])
    assert len(shown) <= MOST_LINES
    named = [n for n in range(6) if any(line.startswith(f"right-size.s{n} ") for line in shown)]
    assert named == list(range(len(named))) != [], "the most valuable ones, in their order"
    assert f"{5 - len(named)} more: kubectl concertmaster explain nightly-0 -n etl" in shown
    assert {"Type0", "Type5", "change-0"} <= {line.split()[0] for line in shown if line}


def test_a_recommendation_stands_with_id_change_impact_confidence_and_command() -> None:
    shown = lines(profile(recommendations=[recommendation(), recommendation(1, state="Obsolete")]))
    start = shown.index("right-size.s0  (Medium, effort Low, risk Low)")
    assert shown[start + 1 : start + 4] == [
        "  Right-size CPU request of transform: 2 -> 1150m",
        "  12.5 USD (10 to 15) a month; confidence 90%",
        "  kubectl concertmaster explain nightly-0 right-size.s0 -n etl",
    ]
    assert "right-size.s1" not in "\n".join(shown), "only what is to be done"

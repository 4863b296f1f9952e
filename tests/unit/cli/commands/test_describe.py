"""What ``describe`` prints of a profile."""

from __future__ import annotations

from concertmaster.cli.commands.describe import MOST_LINES, lines
from tests.support.web.objects import profile, running


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

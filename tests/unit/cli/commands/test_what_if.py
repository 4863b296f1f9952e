"""What ``what-if --workers`` prints of runs with different numbers of pods."""

from __future__ import annotations

from collections.abc import Callable

from concertmaster.cli.commands.what_if import scaleout
from concertmaster.core.model import Outcome, RunRecord, StepExecution
from tests.support.builders import NOW, run_record


def one(pods: int, seconds: float, number: int, outcome: Outcome = Outcome.SUCCEEDED) -> RunRecord:
    start = NOW - 86_400.0 + 3600.0 * number
    times = {"created": start, "scheduled": start, "started": start, "finished": start + seconds}
    steps = [StepExecution("load", str(i), outcome=outcome, **times) for i in range(pods)]  # type: ignore[arg-type]
    return run_record(steps, run=f"r-{number}", start=start, end=start + seconds, outcome=outcome)


def printed(seconds: Callable[[int], float]) -> tuple[list[list[str]], str]:
    """The rows and the sentence for runs of 2, 4 and 8 pods that take so long, and one of 64 that failed."""
    runs = [one((2, 4, 8)[n % 3], seconds((2, 4, 8)[n % 3]) + n % 2, n) for n in range(18)]
    *rows, sentence = scaleout([*runs, one(64, 1.0, 18, Outcome.FAILED)], "load").splitlines()
    return [row.split() for row in rows], sentence


def test_of_pods_that_share_the_work_other_numbers_are_predicted_up_to_twice_the_largest() -> None:
    rows, sentence = printed(lambda pods: 60.0 + 3600.0 / pods)
    assert rows[0] == ["PODS", "TIME", "POD-HOURS"]
    assert [(row[0], row[2]) for row in rows[1:]] == [
        ("2", "measured"),
        ("4", "measured"),
        ("8", "measured"),
        ("16", "predicted"),
    ]
    assert (rows[1][1], rows[1][3]) == ("31m00s", "1.03")
    assert " pods are enough: " in sentence


def test_where_more_pods_mean_more_work_no_number_is_recommended() -> None:
    rows, sentence = printed(lambda _: 600.0)
    assert [row[0] for row in rows[1:]] == ["2", "4", "8"]
    assert {row[2] for row in rows[1:]} == {"measured"}
    assert sentence.startswith("no number is recommended: ")

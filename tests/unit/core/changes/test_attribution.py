"""Which of several changed steps did the harm."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.core.changes.attribution import LoweredMemory, harmed_steps
from concertmaster.core.changes.before_after import BeforeAfter
from concertmaster.core.changes.plan import Aim
from concertmaster.core.changes.verification import verify
from concertmaster.core.model import Outcome, RunRecord
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import VerifySettings
from tests.support.builders import DAY
from tests.support.core.verification_runs import HOUR, run


def two(number: int, seconds: float = 600.0, **second: object) -> RunRecord:
    """A run of the steps ``a`` and, changed as said, ``b``."""
    found = run(number, number * HOUR, seconds)
    (execution,) = found.steps
    return replace(found, steps=(replace(execution, step="a"), replace(execution, step="b", **second)))  # type: ignore[arg-type]


BEFORE = tuple(two(i) for i in range(12))


def test_kills_come_before_failures_and_failures_before_run_time() -> None:
    def after(**second: object) -> BeforeAfter:
        return BeforeAfter(BEFORE, (two(20, **second), two(21)))

    steps = ("a", "b")
    assert harmed_steps(after(reason="OOMKilled"), steps) == ("b",)
    assert harmed_steps(after(outcome=Outcome.FAILED), steps) == ("b",)
    slow = two(20).steps[1].started
    assert slow is not None
    assert harmed_steps(after(finished=slow + 3000.0), steps) == ("b",)
    assert harmed_steps(BeforeAfter(BEFORE, (two(20), two(21))), steps) == ()
    assert harmed_steps(after(reason="OOMKilled"), ("a",)) == ()


def test_a_step_that_was_always_killed_hides_no_other() -> None:
    before = tuple(
        replace(r, steps=(replace(r.steps[0], reason="OOMKilled"), r.steps[1])) for r in (two(i) for i in range(12))
    )
    killed = two(20, reason="OOMKilled")
    killed = replace(killed, steps=(replace(killed.steps[0], reason="OOMKilled"), killed.steps[1]))
    found = verify(
        Aim.CHEAPER,
        BeforeAfter(before, (killed,)),
        VerifySettings(),
        age=DAY,
        steps=("a", "b"),
        lowered=LoweredMemory(),
    )
    assert found.verdict is Verdict.WORSE
    assert harmed_steps(BeforeAfter(before, (killed,)), ("a", "b")) == ("b",)

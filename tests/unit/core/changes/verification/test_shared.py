"""Failures that other workflows share: no harm of a change, in its verification and after it was kept. Those of its own are,
also on such a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from concertmaster.core.changes.plan import Aim
from concertmaster.core.changes.verification.before_after import BeforeAfter
from concertmaster.core.changes.verification.kept_changes import later_harm
from concertmaster.core.changes.verification.shared_failures import without_shared
from concertmaster.core.changes.verification.surroundings import Surroundings
from concertmaster.core.changes.verification.verify import Verification, verify
from concertmaster.core.model import Outcome
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import VerifySettings
from tests.support.core.verification_runs import HOUR, noisy, run

DAY = 24 * HOUR
APPLIED = 336 * HOUR
SECONDS = noisy(5, 1000)


def every(period: int, count: int) -> list[bool]:
    return [i % period == period - 1 for i in range(count)]


def workflow(after: Sequence[bool], number: int = 0, *, before: Sequence[bool] | None = None) -> BeforeAfter:
    """Hourly runs of the workflow with that number; those that are bad failed, before the change one in 112."""
    if before is None:
        before = [i % 112 == 20 + 13 * number for i in range(336)]
    runs = [*before, *after]
    made = [
        run(i, i * HOUR + 300.0 * number, SECONDS[i], outcome=Outcome.FAILED if bad else Outcome.SUCCEEDED)
        for i, bad in enumerate(runs)
    ]
    return BeforeAfter(tuple(made[: len(before)]), tuple(made[len(before) :]))


def workflows(after: Sequence[bool], count: int = 5) -> list[BeforeAfter]:
    """Others."""
    return [workflow(after, n) for n in range(1, count + 1)]


def until(sides: BeforeAfter, hours: float) -> BeforeAfter:
    """As seen so long after the change."""
    return replace(sides, after=tuple(r for r in sides.after if (r.end or 0.0) <= APPLIED + hours * HOUR))


def found(mine: BeforeAfter, others: Sequence[BeforeAfter]) -> Verification:
    own = partial(without_shared, others=others, applied=APPLIED)
    return verify(Aim.CHEAPER, mine, VerifySettings(), age=DAY, around=Surroundings(own=own))


def first_worse(mine: BeforeAfter, others: Sequence[BeforeAfter]) -> int | None:
    """Hours until the verification, looked at after each of its runs, ends with a rollback; None if it does not."""
    for hours in range(1, len(mine.after) + 1):
        if found(until(mine, hours), [until(o, hours) for o in others]).verdict is Verdict.WORSE:
            return hours
    return None


BAD_DAY = [False] * 2 + every(3, 24) + [False] * 20
QUIET = [False] * len(BAD_DAY)
OUTAGE = [True] * 8 + [False] * 30


@pytest.mark.parametrize("after", [BAD_DAY, OUTAGE])
def test_a_change_is_not_rolled_back_for_failures_that_others_share(after: list[bool]) -> None:
    """Every third run of a day fails, or all for eight hours from the change on, here and in five others."""
    mine = workflow(after)
    alone = first_worse(mine, [])
    assert alone is not None
    assert first_worse(mine, workflows(after)) is None
    assert first_worse(mine, workflows(after, 4)) == alone, "too few to be all"
    assert first_worse(mine, workflows(QUIET, 6)) == alone


def test_an_outage_that_began_before_the_change_is_not_how_often_others_fail() -> None:
    before, after = [False] * 324 + [True] * 12, [True] * 12 + [False] * 24
    mine, *others = (workflow(after, number, before=before) for number in range(6))
    assert first_worse(mine, []) is not None
    assert first_worse(mine, others) is None


def test_one_workflow_that_is_broken_is_not_the_others() -> None:
    mine, broken = workflow(BAD_DAY), workflow([True] * len(BAD_DAY), 7)
    assert first_worse(mine, [*workflows(QUIET, 6), broken]) == first_worse(mine, [])


def test_workflows_that_fail_as_often_as_ever_share_nothing() -> None:
    always = workflow([True] * len(BAD_DAY), 7, before=[True] * 336)
    assert first_worse(workflow(BAD_DAY), [*workflows(QUIET, 3), *[always] * 5]) == first_worse(workflow(BAD_DAY), [])


def test_a_change_is_rolled_back_for_its_own_failures_on_a_day_that_is_bad_for_all() -> None:
    """All its runs fail, of others every third; of an outage it is the only one that does not recover."""
    mine = workflow([True] * len(BAD_DAY))
    assert first_worse(mine, workflows(BAD_DAY)) in range(2, 9)
    assert first_worse(mine, workflows(OUTAGE)) in range(9, 15)


def test_runs_that_are_left_out_decide_nothing_and_are_counted() -> None:
    """Ten runs are as many as a verdict takes, but these are of an outage."""
    mine, *others = (until(workflow(OUTAGE, number), 10) for number in range(6))
    waiting = found(mine, others)
    assert (waiting.verdict, waiting.verified_runs) == (None, 0)
    assert waiting.reason.endswith("before it; 10 more while other workflows fail, too")
    assert found(mine, []).verdict is Verdict.WORSE


def test_a_kept_change_is_asked_the_same() -> None:
    """Every third run of its fourth day fails."""
    after = [False] * 72 + every(3, 24) + [False] * 24
    mine = workflow(after)
    assert later_harm(mine, (), None) is not None
    left = without_shared(mine, workflows(after), APPLIED)
    assert later_harm(left, (), None) is None
    assert 60 < len(left.after) < 96
    assert without_shared(mine, workflows(after, 4), APPLIED) == mine
    assert without_shared(mine, workflows([False] * 120), APPLIED) == mine


def test_runs_whose_start_is_unknown_are_no_evidence() -> None:
    others = [BeforeAfter(o.before, tuple(replace(r, start=None) for r in o.after)) for o in workflows(BAD_DAY)]
    assert without_shared(workflow(BAD_DAY), others, APPLIED) == workflow(BAD_DAY)

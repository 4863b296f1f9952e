"""What implementations brought: the test of changes, on recommendations that people applied."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.changes.verification.before_after import BeforeAfter
from concertmaster.core.lifecycle.history import ImplementationResult, RelativeEffect
from concertmaster.core.lifecycle.implementation import Field
from concertmaster.core.lifecycle.measured_gain import measure
from concertmaster.core.model import Outcome, RunRecord, StepExecution, StepSpec, WorkflowGraph
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import VerifySettings
from concertmaster.core.stats.comparison import CommonFactor
from tests.support.builders import DAY, NOW
from tests.support.core.verification_runs import HOUR, noisy, series

SETTINGS = VerifySettings(min_runs=5, max_runs=30)
LIMIT = ImplementationResult(
    "parallelism", "Raise the parallelism", "kubectl-edit", NOW, (Field("/spec/parallelism", "2", "8"),),
    RelativeEffect("Duration", -0.4, -0.5, -0.3), "f",
)  # fmt: skip
TRAIN = WorkflowGraph((StepSpec("train"),))
BEFORE = series(noisy(1, 30), NOW - 31 * HOUR)


def after(count: int, factor: float = 0.6, begin: float = NOW + HOUR, **more: object) -> list:  # type: ignore[type-arg]
    return series(noisy(2, count, 600.0 * factor), begin, 100, **more)


def one(
    runs: list, outcome: ImplementationResult = LIMIT, now: float = NOW + 20 * HOUR, *others: ImplementationResult
) -> ImplementationResult:  # type: ignore[type-arg]
    return measure((outcome, *others), runs, SETTINGS, now=now)[0]


def test_faster_runs_are_measured_against_the_promise() -> None:
    found = one(BEFORE + after(10))
    assert (found.verdict, found.before, found.after) == (Verdict.IMPROVED, 30, 10)
    assert found.judged == NOW + 20 * HOUR
    assert found.measured is not None
    assert found.measured.likely == pytest.approx(-0.4, abs=0.06)
    line = found.line("demo/etl")
    assert line is not None
    assert line.ratio == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(("verifying", "verdict"), [((LIMIT.id,), None), (("right-size",), Verdict.IMPROVED)])
def test_the_verdict_on_a_change_that_the_operator_verifies_is_left_to_it(
    verifying: tuple[str, ...], verdict: Verdict | None
) -> None:
    (found,) = measure((LIMIT,), BEFORE + after(10), SETTINGS, now=NOW + 20 * HOUR, verifying=verifying)
    assert (found.verdict, found.judged is None, found.after) == (verdict, verdict is None, 10)


def test_too_few_runs_are_waited_for_and_then_it_cannot_be_known() -> None:
    waiting = one(BEFORE + after(3))
    assert (waiting.verdict, waiting.after) == (None, 3)
    assert waiting.line("w") is None
    late = one(BEFORE + after(3), now=NOW + 8 * DAY)
    assert late.verdict is Verdict.INCONCLUSIVE


def of_image(image: str, runs: list[RunRecord]) -> list[RunRecord]:
    """The runs with that image in all their containers."""

    def changed(e: StepExecution) -> StepExecution:
        return replace(e, containers=tuple(replace(c, image=image) for c in e.containers))

    return [replace(r, steps=tuple(map(changed, r.steps))) for r in runs]


def test_a_release_in_the_same_commit_is_neither_credited_nor_blamed_on_the_recommendation() -> None:
    for factor in (0.5, 1.5):
        found = one(of_image("etl:1", BEFORE) + of_image("etl:2", after(10, factor)))
        assert (found.verdict, found.measured) == (Verdict.INCONCLUSIVE, None)
        assert one(of_image("etl:1", BEFORE) + of_image("etl:1", after(10, factor))).measured is not None


def test_runs_before_a_release_are_measured_and_one_of_a_trial_is_left_out() -> None:
    own, later = of_image("etl:1", BEFORE + after(10)), of_image("etl:2", after(3, 1.5, NOW + 12 * HOUR))
    for runs in (own + later, own[:-4] + later[:1] + own[-4:]):
        found = one(sorted(runs, key=lambda r: r.start or 0.0))
        assert (found.verdict, found.after) == (Verdict.IMPROVED, 10)


def test_an_earlier_release_and_few_runs_do_not_hide_one() -> None:
    old = of_image("etl:0", series(noisy(3, 90), NOW - 200 * HOUR, 300))
    runs = old + of_image("etl:1", series(noisy(1, 70), NOW - 71 * HOUR)) + of_image("etl:2", after(10, 0.5))
    assert one(runs).verdict is Verdict.INCONCLUSIVE
    few = one(of_image("etl:1", BEFORE) + of_image("etl:2", after(3, 0.5)))
    assert (few.verdict, few.measured) == (Verdict.INCONCLUSIVE, None)


def test_one_trial_before_does_not_hide_a_release() -> None:
    before = of_image("etl:1", BEFORE[:9]) + of_image("etl:trial", BEFORE[9:10]) + of_image("etl:1", BEFORE[10:])
    found = one(before + of_image("etl:2", after(10, 0.5)))
    assert (found.verdict, found.measured) == (Verdict.INCONCLUSIVE, None)


def test_images_that_change_with_every_run_are_no_release() -> None:
    runs = [r for i, run in enumerate(BEFORE + after(10)) for r in of_image(f"etl:{i}", [run])]
    assert one(runs).verdict is Verdict.IMPROVED


def test_a_verdict_is_final() -> None:
    found = one(BEFORE + after(10))
    assert one(BEFORE + after(10, 3.0), found) == found


def test_runs_after_another_change_do_not_count() -> None:
    cut = replace(LIMIT, until=NOW + 7 * HOUR)
    found = one(BEFORE + after(6) + after(10, 3.0, NOW + 8 * HOUR), cut)
    assert found.after == 6
    assert found.verdict is Verdict.IMPROVED


def test_what_was_applied_before_and_stayed_ends_the_baseline_and_what_was_reverted_is_left_out_of_it() -> None:
    """Thirty runs before it, one an hour, the last of them two hours ago."""
    runs, now = BEFORE + after(10), NOW + 20 * HOUR
    stayed = replace(LIMIT, id="cpu-request.a", since=NOW - 12.5 * HOUR, verdict=Verdict.SAME)
    undone = replace(stayed, undone=True, until=NOW - 5.5 * HOUR)
    assert one(runs, LIMIT, now, stayed).before == 11
    assert one(runs, LIMIT, now, undone).before == 30 - 7
    assert one(runs, LIMIT, now, replace(stayed, since=NOW + 15 * HOUR)).before == 30  # a later one


def test_a_lost_history_does_not_unsee_runs() -> None:
    seen = one(BEFORE + after(4))
    lost = one(after(2, begin=NOW + 4 * HOUR), seen)
    assert (lost.before, lost.after, lost.measured) == (30, 4, seen.measured)


def test_what_was_done_at_one_moment_shares_the_effect_by_promise() -> None:
    other = replace(LIMIT, id="parallel-steps.a", promised=RelativeEffect("Duration", -0.1, -0.2, -0.05))
    pair = measure((LIMIT, other), BEFORE + after(10), SETTINGS, now=NOW + 20 * HOUR)
    shares = [o.measured.likely for o in pair if o.measured is not None and o.measured.likely is not None]
    assert sum(shares) == pytest.approx(-0.4, abs=0.06)
    assert shares[0] == pytest.approx(4 * shares[1])
    assert len({round(x.ratio or 0.0, 6) for o in pair if (x := o.line("w")) is not None}) == 1


def test_an_effect_that_cannot_be_shared_out_is_no_number() -> None:
    other = replace(LIMIT, id="parallel-steps.a", promised=RelativeEffect("Duration"))
    pair = measure((LIMIT, other), BEFORE + after(10), SETTINGS, now=NOW + 20 * HOUR)
    assert [o.measured for o in pair] == [RelativeEffect("Duration"), RelativeEffect("Duration")]
    assert {o.verdict for o in pair} == {Verdict.IMPROVED}


def test_less_memory_and_a_kill_is_worse() -> None:
    path = "/spec/templates/train/container/resources/requests/memory"
    outcome = replace(
        LIMIT, id="memory-request.train", promised=RelativeEffect("Cost", -0.5), fields=(Field(path, "2Gi", "1Gi"),)
    )
    runs = BEFORE + after(2, 1.0, reason="OOMKilled")
    assert measure([outcome], runs, SETTINGS, now=NOW + 5 * HOUR, graph=TRAIN)[0].verdict is Verdict.WORSE
    for other in (Field(path, "1Gi", "2Gi"), Field(path.replace("memory", "cpu"), "2", "1")):  # what no kill is due to
        unblamed = replace(outcome, fields=(other,))
        assert measure([unblamed], runs, SETTINGS, now=NOW + 5 * HOUR, graph=TRAIN)[0].verdict is None


def test_less_memory_that_is_exceeded_is_worse_too() -> None:
    path = "/spec/templates/train/container/resources/requests/memory"
    outcome = replace(
        LIMIT, id="right-size", promised=RelativeEffect("Cost", -0.5), fields=(Field(path, "1Gi", "332Mi"),)
    )
    runs = BEFORE + after(2, 1.0, memory=(750, 332))
    assert measure([outcome], runs, SETTINGS, now=NOW + 5 * HOUR, graph=TRAIN)[0].verdict is Verdict.WORSE


def test_a_clock_that_went_back_ends_in_time() -> None:
    assert one(BEFORE, now=NOW - HOUR).verdict is None
    assert one(BEFORE, now=NOW - 300 * DAY).verdict is Verdict.INCONCLUSIVE


class Others:
    """Workflows that became slower by ``factor``, and failed where ``shared`` says so."""

    def __init__(self, factor: float = 1.0, shared: frozenset[str] = frozenset()) -> None:
        self._factor, self._shared = factor, shared

    def common(self, before_after: BeforeAfter, applied: float) -> CommonFactor | None:
        return CommonFactor(8, self._factor, 0.98 * self._factor, 1.02 * self._factor) if self._factor != 1.0 else None

    def own_runs(self, before_after: BeforeAfter, applied: float) -> BeforeAfter:
        return replace(before_after, after=tuple(r for r in before_after.after if r.run not in self._shared))


def test_what_all_workflows_share_is_not_blamed_on_what_people_applied() -> None:
    slower = BEFORE + after(12, 1.3)
    alone = measure((LIMIT,), slower, SETTINGS, now=NOW + 20 * HOUR)[0]
    together = measure((LIMIT,), slower, SETTINGS, now=NOW + 20 * HOUR, others=Others(1.3))[0]
    assert alone.verdict is Verdict.WORSE
    assert together.verdict is not Verdict.WORSE
    bad = after(6, 1.0, outcome=Outcome.FAILED)
    good = series(noisy(5, 12, 360.0), NOW + 8 * HOUR, 200)
    outage = frozenset(r.run for r in bad)
    alone = measure((LIMIT,), BEFORE + bad + good, SETTINGS, now=NOW + 40 * HOUR)[0]
    together = measure((LIMIT,), BEFORE + bad + good, SETTINGS, now=NOW + 40 * HOUR, others=Others(shared=outage))[0]
    assert (alone.verdict, together.verdict) == (Verdict.WORSE, Verdict.IMPROVED)

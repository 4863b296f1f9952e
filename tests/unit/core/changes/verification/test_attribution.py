"""Which of several changed steps did the harm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.analysis.pod_level import with_pods
from concertmaster.core.changes.plan import Aim
from concertmaster.core.changes.verification.attribution import LoweredMemory, harmed_steps
from concertmaster.core.changes.verification.before_after import BeforeAfter
from concertmaster.core.changes.verification.verify import verify
from concertmaster.core.model import ContainerFact, Outcome, RunRecord
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import VerifySettings
from tests.support.builders import DAY, MI, container
from tests.support.core.scenario_builder import Manifest, argo, define, task
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
    assert harmed_steps(after(reason="OOMKilled"), steps, lowered=None) == ("b",)
    assert harmed_steps(after(outcome=Outcome.FAILED), steps, lowered=None) == ("b",)
    slow = two(20).steps[1].started
    assert slow is not None
    assert harmed_steps(after(finished=slow + 3000.0), steps, lowered=None) == ("b",)
    assert harmed_steps(BeforeAfter(BEFORE, (two(20), two(21))), steps, lowered=None) == ()
    assert harmed_steps(after(reason="OOMKilled"), ("a",), lowered=None) == ()


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
    assert harmed_steps(BeforeAfter(before, (killed,)), ("a", "b"), lowered=None) == ("b",)


NEW = 332.0 * MI  # what a change set
SMALLER = LoweredMemory(frozenset([NEW]), 0.2)
FINE = container(memory_request=1024.0 * MI)
OTHERS = {
    "main": container(memory_request=NEW),
    "init": container(name="prepare", init=True, memory_request=NEW),
    "sidecar": container(name="cache", sidecar=True, memory_request=NEW),
    "native sidecar": container(name="proxy", init=True, sidecar=True, memory_request=NEW),
    "containerSet": container(name="second", memory_request=NEW),
}


@pytest.mark.parametrize("of", OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize(
    ("more", "says"),
    [({"memory_sampled_peak": 750.0 * MI}, "used 750Mi of 332Mi"), ({"reason": "OOMKilled"}, "killed")],
)
def test_harm_to_any_container_that_a_field_governs_counts(
    of: ContainerFact, more: dict[str, object], says: str
) -> None:
    """Its siblings may be fine, and the container of a pod that matters least may be the one that was sized."""
    hurt = replace(of, **more)  # type: ignore[arg-type]
    siblings = () if of.name == FINE.name else (FINE,)
    rows = BeforeAfter(BEFORE, tuple(two(20 + i, containers=(*siblings, hurt)) for i in range(4)))
    assert harmed_steps(rows, ("a", "b"), SMALLER) == ("b",)
    found = verify(Aim.CHEAPER, rows, VerifySettings(), age=DAY, steps=("b",), lowered=SMALLER)
    assert (found.verdict, found.restore) == (Verdict.WORSE, True)
    assert says in found.reason


def sized_pod(memory: str) -> Manifest:
    """A workflow of one step whose pod requests that much."""
    body = {"image": "registry.example/etl:1", "command": ["work"]}
    return argo(task("b"), templates={"b": {"container": body, "podResources": {"requests": {"memory": memory}}}})


def test_a_pod_with_a_request_of_its_own_is_judged_by_what_its_containers_use_together() -> None:
    """No container requests anything, and none alone uses more than the pod requests."""
    half = container(memory_request=None, memory_sampled_peak=300.0 * MI)
    after = [two(20 + i, containers=(half, replace(half, name="cache", sidecar=True))) for i in range(4)]
    assert harmed_steps(BeforeAfter(BEFORE, tuple(after)), ("b",), SMALLER) == ()
    runs = with_pods(define(sized_pod("332Mi")), after)[1]
    rows = BeforeAfter(BEFORE, runs)
    assert harmed_steps(rows, ("b",), SMALLER) == ("b",)
    found = verify(Aim.CHEAPER, rows, VerifySettings(), age=DAY, steps=("b",), lowered=SMALLER)
    assert (found.verdict, found.restore) == (Verdict.WORSE, True)
    assert "b used 600Mi of 332Mi" in found.reason

"""Sizes after a visible change of what runs: the newest level counts, as soon as the failure bound holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import pytest

from concertmaster.core.analysis.steps import releases
from concertmaster.core.analysis.steps.releases import memory_release
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import ContainerSpec, Recommendation
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.policy import Policy, RuleSettings
from concertmaster.core.rules import RULES, Evidence, recommend
from concertmaster.core.sizing.rebased_peaks import moved
from tests.support.builders import DAY, MI, NOW, container, definition, run, step

GI = 1024 * MI
HELD = ContainerSpec(
    "main",
    cpu_request=1.0,
    memory_request=6 * GI,
    resources_pointer="/spec/templates/0/container/resources",
    resources={"requests": {"cpu": "1", "memory": "6Gi"}},
)
NOISE = [float(v) for v in np.exp(0.04 * np.random.default_rng(1).normal(size=200))]


def said(
    peak: Callable[[int], float],
    image: Callable[[int], str],
    count: int = 40,
    template: Callable[[int], str] = lambda _: "t",
    limit: Callable[[int], float | None] = lambda _: None,
    *,
    first: int = 0,
    killed: Collection[int] = (),
    cores: Callable[[int], float] = lambda _: 1.0,
    cpu_request: Callable[[int], float] = lambda _: 1.0,
    rule: str = "right-size",
) -> list[Recommendation]:
    """What the rule says of a step with a request of 6Gi, two runs a day, with these peaks (GiB) and images by run, when
    those before ``first`` have left the window."""
    of = definition(replace(step("work"), containers=(HELD,)))
    runs = []
    for i in range(first, count):
        fact = container(
            image=image(i),
            reason="OOMKilled" if i in killed else None,
            cpu_seconds=95.0 * cores(i),
            cpu_request=cpu_request(i),
            memory_request=6 * GI,
            memory_limit=limit(i),
            memory_sampled_peak=peak(i) * NOISE[i] * GI,
        )
        one = run(
            of.graph, {"work": 600.0}, number=i, start=NOW - (count - i) * DAY / 2, containers=lambda _, f=fact: (f,)
        )
        runs.append(replace(one, fingerprint=template(i)))
    rules = {r.name: RuleSettings(enabled=r.name == rule) for r in RULES}
    return recommend(Evidence(analyze(of, runs, now=NOW, policy=Policy(rules=rules)), "wfp"))


def memory(found: list[Recommendation]) -> float:
    """The memory request (GiB) after the recommendation."""
    rows = [i for item in found for i in item.items if i.field == "requests.memory"]
    return (quantity(rows[0].new) or math.nan) / GI if rows else 6.0


def test_a_leaner_image_lowers_the_request_within_days_and_says_by_which_runs() -> None:
    found = said(lambda i: 4.5 if i < 30 else 1.1, lambda i: "lab/work:1" if i < 30 else "lab/work:2")
    assert 1.15 * 1.1 < memory(found) < 2.5
    assert "in the 10 runs since image lab/work:2 (20" in found[0].because
    assert any("sized from the 10 runs since image lab/work:2" in line for line in found[0].evidence)
    assert any("and 18 earlier runs adjusted to their level" in line for line in found[0].evidence)


@pytest.mark.parametrize("count", [32, 34])
def test_a_few_runs_of_it_do_not(count: int) -> None:
    found = said(lambda i: 4.5 if i < 30 else 1.1, lambda i: "lab/work:1" if i < 30 else "lab/work:2", count)
    assert memory(found) >= 4.5


def test_a_lower_level_with_no_visible_change_waits_for_the_window() -> None:
    assert memory(said(lambda i: 4.5 if i < 30 else 1.1, lambda _: "lab/work:latest")) >= 4.5


def test_a_rolled_back_image_may_come_back() -> None:
    assert memory(said(lambda i: 4.5 if 18 <= i < 26 else 1.1, lambda i: f"lab/work:{1 + (18 <= i < 26)}")) >= 4.5


def test_images_by_branch_count_together() -> None:
    assert memory(said(lambda i: 4.5 if i % 5 == 0 and i < 30 else 1.1, lambda i: f"lab/work:{i % 5}")) >= 4.5


def test_a_rare_large_run_of_the_old_image_is_still_allowed_for() -> None:
    found = said(lambda i: 5.0 if i in (7, 21) else 2.0 if i < 30 else 0.5, lambda i: f"lab/work:{1 + (i >= 30)}")
    assert memory(found) >= 5.0


def test_another_template_counts_unless_its_limit_changed() -> None:
    """A heap is often a share of the limit: less use after a lower limit is no reason for an even lower one."""
    peak, image, template = (lambda i: 4.5 if i < 30 else 1.1), (lambda _: "lab/work:1"), (lambda i: f"t{i >= 30}")
    found = said(peak, image, template=template)
    assert memory(found) < 2.5
    assert "in the 10 runs since a template change (20" in found[0].because
    assert memory(said(peak, image, template=template, limit=lambda i: (8 if i < 30 else 6) * GI)) >= 4.5


@pytest.mark.parametrize("since", [1, 2, 3, 4, 6, 12])
def test_a_heavier_image_raises_the_request_at_once_and_is_no_growth(since: int) -> None:
    """With four runs of it, growth from run to run once led to four times their peaks."""
    found = said(lambda i: 2.0 if i < 40 - since else 8.0, lambda i: f"lab/work:{1 + (i >= 40 - since)}")
    assert 8.0 * 1.05 < memory(found) < 8.0 * 1.5
    assert since < 3 or not any("grow from run to run" in line for line in found[0].evidence)


@pytest.mark.parametrize("first", [24, 26, 27, 28, 29, 30])
def test_the_last_runs_of_the_old_image_do_not_raise_it_again(first: int) -> None:
    """Each leaner image once led to the old size again for the days in which one to three runs of the old one were left."""
    found = said(lambda i: 4.5 if i < 30 else 1.1, lambda i: f"lab/work:{1 + (i >= 30)}", 46, first=first)
    assert memory(found) < 2.0


def test_a_large_first_run_counts_unless_a_week_shows_none() -> None:
    for count, lower in ((37, False), (45, True)):
        found = said(lambda i: 4.5 if i < 30 else 1.1, lambda i: f"lab/work:{1 + (i >= 30)}", count, first=29)
        assert (memory(found) < 4.5) is lower


def test_a_lowered_request_is_no_release() -> None:
    """Less CPU is used where less is reserved on full nodes, and some heaps are a share of the request: a template with
    another request must not be a reason to lower it further."""
    used, image, template = (
        (lambda i: (0.8 if i < 30 else 0.3) * NOISE[i]),
        (lambda _: "lab/work:1"),
        (lambda i: f"t{i >= 30}"),
    )
    for before, follows in ((1.0, True), (2.0, False)):
        found = said(
            lambda _: 4.5, image, 44, template, cores=used, cpu_request=lambda i, b=before: b if i < 30 else 1.0
        )
        rows = [i for item in found for i in item.items if i.field == "requests.cpu"]
        assert bool(rows) is follows


def test_kills_of_an_image_that_needed_more_do_not_count() -> None:
    """They raised the request of a leaner image to half above the limit of the old one, with its own peaks as evidence."""
    peak, image = (lambda i: 4.5 if i < 30 else 1.1), (lambda i: f"lab/work:{1 + (i >= 30)}")
    assert not said(peak, image, limit=lambda _: 6 * GI, killed=(3, 20), rule="memory-request")
    assert memory(said(peak, image, limit=lambda _: 6 * GI, killed=(3, 20))) < 4.5
    found = said(peak, image, limit=lambda _: 6 * GI, killed=(3, 36), rule="memory-request")
    assert found and "OOM-killed" in found[0].because


def test_a_killed_run_of_which_nothing_was_seen_has_no_level() -> None:
    """It had no limit, and the only sample of it was taken before it used anything."""

    def peak(i: int) -> float:
        return 0.0 if i == 13 else 4.5 if i < 30 else 1.1

    images = [f"lab/work:{1 + (i >= 30)}" for i in range(40)]
    assert not said(
        peak, images.__getitem__, limit=lambda _: 0.0, killed=(13, 36), rule="memory-request"
    )  # 6Gi are enough


def test_a_digest_is_named_by_its_first_digits() -> None:
    found = said(lambda i: 4.5 if i < 30 else 1.1, lambda i: f"lab/work@sha256:{'ab'[i >= 30] * 64}")
    assert f"since image lab/work@sha256:{'b' * 12} (20" in found[0].because


def test_a_step_of_some_runs_saves_in_as_many_of_them_after_a_release() -> None:
    """The runs since a release were taken for all that the step has a part in, and each of its runs before counted as one of
    them: three times the saving of a step of every third run."""
    of = definition(replace(step("work"), containers=(HELD,)), step("always"))
    runs, count = [], 60
    for i in range(count):
        fact = container(
            image=f"lab/work:{1 + (i >= 30)}",
            memory_request=6 * GI,
            memory_sampled_peak=(4.5 if i < 30 else 1.1) * NOISE[i] * GI,
        )
        one = run(
            of.graph,
            {"always": 60.0, "work": 600.0},
            number=i,
            start=NOW - (count - i) * DAY / 5,
            containers=lambda name, f=fact: (f,) if name == "work" else (),
        )
        runs.append(replace(one, steps=tuple(e for e in one.steps if e.step == "always" or i % 3 == 0)))
    rules = {r.name: RuleSettings(enabled=r.name == "right-size") for r in RULES}
    analysis = analyze(of, runs, now=NOW, policy=Policy(rules=rules))
    (work,) = (s for s in analysis.steps if s.step == "work")
    release = memory_release(work.containers[0], 5)
    assert release is not None
    assert analysis.presence(work, release.since) == pytest.approx(1 / 3, abs=0.05)


def test_the_levels_of_a_step_are_looked_for_once_however_many_rules_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an image per run each look compares all of them: sizes, requests and kills ask for the same release."""
    asked: list[int] = []
    monkeypatch.setattr(releases, "moved", lambda values, *rest: asked.append(len(values)) or moved(values, *rest))
    said(lambda i: 4.5 if i < 30 else 1.1, lambda i: f"lab/work:{i}")
    assert asked.count(max(asked)) == 2, "once for memory, once for CPU"

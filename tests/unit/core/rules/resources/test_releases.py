"""Sizes after a visible change of what runs: the newest level counts, as soon as the failure bound holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import ContainerSpec, Recommendation
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.policy import Policy, RuleSettings
from concertmaster.core.rules import RULES, Evidence, recommend
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
) -> list[Recommendation]:
    """What right-size says of a step with a request of 6Gi, two runs a day, with these peaks (GiB) and images by run."""
    of = definition(replace(step("work"), containers=(HELD,)))
    runs = []
    for i in range(count):
        fact = container(
            image=image(i),
            cpu_seconds=95.0,
            memory_request=6 * GI,
            memory_limit=limit(i),
            memory_sampled_peak=peak(i) * NOISE[i] * GI,
        )
        one = run(
            of.graph, {"work": 600.0}, number=i, start=NOW - (count - i) * DAY / 2, containers=lambda _, f=fact: (f,)
        )
        runs.append(replace(one, fingerprint=template(i)))
    rules = {r.name: RuleSettings(enabled=r.name == "right-size") for r in RULES}
    return recommend(Evidence(analyze(of, runs, now=NOW, policy=Policy(rules=rules)), "wfp"))


def memory(found: list[Recommendation]) -> float:
    """The memory request (GiB) after the recommendation."""
    rows = [i for item in found for i in item.items if i.field == "requests.memory"]
    return (quantity(rows[0].new) or math.nan) / GI if rows else 6.0


def test_a_leaner_image_lowers_the_request_within_days_and_says_by_which_runs() -> None:
    found = said(lambda i: 4.5 if i < 30 else 1.1, lambda i: "lab/work:1" if i < 30 else "lab/work:2")
    assert 1.15 * 1.1 < memory(found) < 2.5
    assert "in the 10 runs since image lab/work:2 of 20" in found[0].because
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
    assert "in the 10 runs since the template change of 20" in found[0].because
    assert memory(said(peak, image, template=template, limit=lambda i: (8 if i < 30 else 6) * GI)) >= 4.5


@pytest.mark.parametrize("since", [1, 2, 3, 4, 6, 12])
def test_a_heavier_image_raises_the_request_at_once_and_is_no_growth(since: int) -> None:
    """With four runs of it, growth from run to run once led to four times their peaks."""
    found = said(lambda i: 2.0 if i < 40 - since else 8.0, lambda i: f"lab/work:{1 + (i >= 40 - since)}")
    assert 8.0 * 1.05 < memory(found) < 8.0 * 1.5
    assert since < 3 or not any("grow from run to run" in line for line in found[0].evidence)

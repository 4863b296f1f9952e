"""The history of a fleet is the same in one piece and in many spans."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest

from benchmarks.scale import fleet_workflows
from testbed.services.prometheus import PrometheusServer

END = 1_700_000_007.0


class _Source(PrometheusServer):
    """Keeps the samples; `up` is written at other moments in each span."""

    def __init__(self) -> None:
        self.samples: list[str] = []
        self.spans = 0

    def load_trusted(self, text: object) -> None:
        assert isinstance(text, Iterable)
        self.spans += 1
        lines = (line for piece in text for line in piece.splitlines())
        self.samples += [line for line in lines if not line.startswith(("#", "up{"))]


def test_spans_hold_each_scrape_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = _Source(), _Source()
    pods = list(fleet_workflows.lives(12, 4, 6, END, 0.5))
    assert fleet_workflows.load(whole, pods, END - 50_000, END) == len(pods)
    monkeypatch.setattr(fleet_workflows, "MOST_PODS", 40)
    fleet_workflows.load(cut, pods, END - 50_000, END)
    assert whole.spans == 1 < cut.spans
    assert sorted(cut.samples) == sorted(whole.samples)


def test_runs_come_at_the_rate_that_is_asked_for() -> None:
    pods = list(fleet_workflows.lives(50, 2, 4, END, 4 * 1000 / fleet_workflows.DAY, spread=1000, ahead=300))
    begun = sorted({pod.owner_name: pod.created for pod in reversed(pods)}.values())
    assert len(begun) == 3 * 50 + 15  # three whole rounds of 1,000 s and 300 s of the last
    assert all(abs(later - earlier - 20.0) < 1e-6 for earlier, later in pairwise(begun))


def test_the_source_sees_a_pod_between_two_rounds() -> None:
    source = _Source()
    pods = list(fleet_workflows.lives(2, 2, 2, END, 0.5))
    fleet_workflows.load(source, pods, END - 50_000, END)
    seen = {float(line.split()[-1]) for line in source.samples if line.startswith("kube_pod_info{")}
    assert max(later - earlier for earlier, later in pairwise(sorted(seen))) <= fleet_workflows.SCRAPE

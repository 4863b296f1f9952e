"""Who meets whom, however many workflows there are: the sums are those of each member alone."""

from __future__ import annotations

import numpy as np
import pytest

from concertmaster.core.fleet.members import FleetMember
from concertmaster.core.fleet.workflows import Fleet
from concertmaster.core.model import WorkflowKey

DAY = 86_400.0


def members(count: int, runs: int = 14) -> list[FleetMember]:
    chance = np.random.default_rng(4)
    found = []
    for n in range(count):
        starts = np.sort(chance.uniform(0, 14 * DAY, runs))
        ends = starts + np.where(chance.random(runs) < 0.1, 0.0, chance.uniform(60, 4 * 3600, runs))
        rows = np.column_stack([starts, ends, chance.uniform(0, 1e4, runs), np.zeros(runs)])
        found.append(FleetMember(WorkflowKey(f"team-{n % 3}", "CronJob", f"w{n:03}"), rows))
    return [*found, FleetMember(WorkflowKey("team-0", "CronJob", "never"), np.empty((0, 4)))]


def alone(member: FleetMember, spans: np.ndarray) -> float:
    """Mean over the spans of the cores that one member reserves, run by run."""
    total = 0.0
    for begin, end in spans:
        for start, stop, core_seconds, _ in member.runs:
            if stop > start:
                seconds = max(0.0, min(stop, end) - max(start, begin))
                total += seconds * core_seconds / (stop - start) / max(1.0, end - begin)
    return total / len(spans)


@pytest.mark.parametrize("across", [True, False])
def test_everybody_is_reported_with_what_he_reserves(across: bool) -> None:
    fleet = members(40)
    own = fleet[0]
    spans = np.array([[DAY, DAY + 3600.0], [3 * DAY, 3 * DAY], [5 * DAY, 5.5 * DAY]])
    reported = dict(Fleet(fleet, across=across).meets(own.key, spans))
    near = {
        m.key: cores
        for m in fleet
        if m.key != own.key and (across or m.key.namespace == own.key.namespace) and (cores := alone(m, spans)) > 1e-9
    }
    names = {k.name if k.namespace == own.key.namespace else f"{k.namespace}/{k.name}": v for k, v in near.items()}
    strangers = {name: reported.pop(name) for name in list(reported) if "other namespaces" in name}
    assert reported == pytest.approx(names)
    assert len(strangers) == (0 if across else 1)
    assert list(reported) == sorted(reported, key=lambda name: (-reported[name], name))


def test_nobody_is_met_in_no_time() -> None:
    assert Fleet(members(3)).meets(WorkflowKey("a", "b", "c"), np.empty((0, 2))) == []
    assert Fleet().meets(WorkflowKey("a", "b", "c"), np.array([[0.0, 1.0]])) == []


class Compared(frozenset[str]):
    """Taints that count how often they are compared."""

    times = 0

    def __le__(self, other: object) -> bool:
        Compared.times += 1
        return frozenset(self) <= other if isinstance(other, frozenset) else NotImplemented


def test_taints_of_ten_thousand_are_not_compared_for_each_workflow() -> None:
    Compared.times = 0
    kinds = [Compared(), Compared({"pool=gpu:NoSchedule"})]
    fleet = Fleet(FleetMember(m.key, m.runs, taints=kinds[n % 2]) for n, m in enumerate(members(20)))
    everyone, some = frozenset({"pool=gpu:NoSchedule", "pool=big:NoSchedule"}), frozenset({"pool=big:NoSchedule"})
    for _ in range(50):
        assert fleet.among(everyone) is fleet
        assert len(fleet.among(some).members) == 11
    assert Compared.times <= 2 * len(fleet.members)

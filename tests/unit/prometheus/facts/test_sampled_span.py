"""Over how much of a short life its CPU was counted, for every position of its start between two scrapes.

A store is played as Prometheus behaves: a sample at each scrape of a life, a staleness marker at the first scrape after it,
and a subquery that sees, at each of its steps, the newest sample that is not stale.
"""

from __future__ import annotations

import itertools
import math

import pytest

from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts import assemble
from concertmaster.prometheus.facts.container_usage import Usage, read_usage
from concertmaster.prometheus.facts.drafts import PodDraft
from concertmaster.prometheus.queries.scope import LabelScheme

CORES = 0.3
BASE = 1_800_000_000.0


def _read(begin: float, life: float, interval: float, step: float) -> tuple[float, float] | None:
    """The true seconds to the last sample, and those that are read; None without a sample."""
    end = begin + life
    first = math.ceil(begin / interval)
    scrapes = [k * interval for k in range(first, math.floor(end / interval) + 1)]
    if not scrapes:
        return None
    stale = scrapes[-1] + interval
    steps = [k * step for k in range(math.ceil(begin / step), math.ceil(stale / step))]
    seen = [max((s for s in scrapes if s <= at), default=None) for at in steps]
    last = max((s for s in seen if s is not None), default=None)
    if last is None:
        return None
    values = {"container_start_time_seconds": float(int(begin)), "samples": float(len(scrapes)), "last": last}
    values["container_cpu_usage_seconds_total"] = CORES * (scrapes[-1] - begin)
    labels = {"namespace": "etl", "pod": "run-1-a", "container": "main", "id": "/kubepods/pod0000-a/c1"}
    names = ("__name__", *labels)
    vector = Vector(names, tuple((name, *labels.values()) for name in values), list(values.values()))
    draft = PodDraft(
        "etl", "run-1-a", "0000-a", phases={"Succeeded"}, times={"kube_pod_completion_time": float(int(end))}
    )
    draft.container("main").started = float(int(begin))
    usage: Usage = {}
    read_usage(vector, LabelScheme(), usage, step=step)
    (fact,) = assemble.facts([draft], usage, interval=interval)
    sampled = fact.containers[0].cpu_sampled_seconds
    assert sampled is not None
    return scrapes[-1] - begin, sampled


@pytest.mark.parametrize(("interval", "step"), [(2, 5), (15, 5), (15, 15), (15, 60), (30, 5), (30, 60)])
def test_cpu_of_short_lives_is_neither_doubled_nor_halved(interval: int, step: int) -> None:
    """Starts and ends are known in whole seconds; beyond that the span is exact, wherever the scrapes fall."""
    wrong = []
    read = 0
    for phase, life in itertools.product(range(0, 10 * interval, 3), range(12 * interval, 60 * interval, 7)):
        found = _read(BASE + phase / 10 + 0.07, life / 10 + 0.11, float(interval), float(step))
        if found is None:
            continue
        read += 1
        true, reported = found
        if abs(reported - true) > 1.0:
            wrong.append((phase, life, true, reported))
    assert read > 500 or interval == 2
    assert len(wrong) <= 0.005 * read, wrong[:5]

"""The scrape interval of containers from the targets a source lists."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.prometheus.facts.targets import scrape_interval


def target(job: str, path: str, interval: str) -> dict[str, Any]:
    return {"labels": {"job": job}, "scrapeUrl": f"https://10.0.0.1:10250{path}?x=1", "scrapeInterval": interval}


CADVISOR = target("kubelet", "/metrics/cadvisor", "30s")
OTHERS = [target("kubelet", "/metrics", "1m"), target("node", "/metrics", "15s")]


@pytest.mark.parametrize(
    ("delivered", "expected"),
    [
        ([("kubelet", "/metrics/cadvisor")], 30.0),
        ([("node", "/metrics")], 15.0),
        ([("node", "")], 15.0),
        ([("kubelet", "")], None),  # two intervals, and the series do not say which
        ([("gone", "")], None),
        ([("", "")], 30.0),
        ([], 30.0),
    ],
)
def test_the_target_that_delivers_containers_says_how_often(delivered: list[tuple[str, str]], expected: float) -> None:
    assert scrape_interval([CADVISOR, *OTHERS], delivered) == expected


def test_targets_that_differ_say_nothing() -> None:
    assert scrape_interval([CADVISOR, target("kubelet", "/metrics/cadvisor", "15s")], []) is None


@pytest.mark.parametrize("broken", [{}, {"labels": None, "scrapeUrl": 3}, {"scrapeUrl": "http://a/cadvisor"}])
def test_targets_that_lack_it_say_nothing(broken: dict[str, Any]) -> None:
    assert scrape_interval([broken], []) is None

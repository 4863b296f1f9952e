"""Which pods are read once: never one of which more may come."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.prometheus.collect.collection import Collection
from concertmaster.prometheus.collect.settled_pods import SettledPods, settled

END = 1_000_000.0
LATEST = END + 60.0


def pod(uid: str = "u", finished: float = END, samples: int | None = 20, seconds: float = 300.0) -> PodFact:
    main = ContainerFact("main", started=finished - seconds, finished=finished, samples=samples)
    return PodFact("demo", f"pod-{uid}", uid, finished=finished, phase="Succeeded", containers=(main,))


@pytest.mark.parametrize(
    ("fact", "whole"),
    [
        (pod(), True),
        (pod(finished=END + 1.0), False),  # its last sample may not be there
        (pod(samples=18), True),  # the first and the last sample fall outside a life
        (pod(samples=17), False),
        (pod(samples=None), False),
        (pod(samples=None, seconds=20.0), True),  # too short for any
        (replace(pod(), phase=None), False),  # vanished: its end may be scraped yet
        (replace(pod(), finished=None), False),
        (replace(pod(), containers=(ContainerFact("main"),)), True),  # rejected before it started
    ],
)
def test_a_pod_is_settled_once_all_of_its_samples_are_there(fact: PodFact, whole: bool) -> None:
    assert settled([fact], LATEST, 15.0) == ({"u"} if whole else set())


def test_an_unknown_interval_asks_for_a_sample_a_minute() -> None:
    assert settled([pod(samples=3)], LATEST, None)
    assert not settled([pod(samples=2)], LATEST, None)


def read(*facts: PodFact, until: float) -> Collection:
    return Collection(until - 60.0, until, facts, settled=frozenset(f.uid for f in facts))


def test_only_what_was_stored_is_left_out_and_only_while_looks_reach_back_to_it() -> None:
    pods = SettledPods()
    pods.add(read(pod("a"), pod("b"), pod("old", END - 86_400.0), until=END), {"a", "old"})
    assert pods.known(["demo"], END) == {"a"}
    assert pods.known(["other"], END) == set()
    assert pods.known(["demo"], END + 120.0) == {"a"}
    assert pods.known(["demo"], END + 3600.0) == set()


def test_a_namespace_set_back_is_read_anew() -> None:
    pods = SettledPods()
    pods.add(read(pod("a"), until=END), {"a"})
    assert pods.known(["demo"], END - 1.0) == set()
    assert pods.known(["demo"], END) == set()


def test_what_is_known_of_namespaces_that_are_gone_is_forgotten() -> None:
    pods = SettledPods()
    pods.add(read(pod("a"), until=END), {"a"})
    pods.keep_only({"demo", "other"})
    assert pods.known(["demo"], END) == {"a"}
    pods.keep_only({"other"})
    assert pods.known(["demo"], END) == set()

"""Which findings about a source stay from reading to reading."""

from __future__ import annotations

from concertmaster.controller.collection.gaps import Gaps
from concertmaster.core.model import PodFact
from concertmaster.prometheus.collect.reading import Collection
from concertmaster.prometheus.facts.missing_series import MissingSeries

PODS = tuple(PodFact("etl", f"p{n}", f"u{n}") for n in range(3))
VAGUE, LATER = (MissingSeries("label id", f"{n} of 9 containers cannot be distinguished", "keep it") for n in (3, 4))
IMAGES = MissingSeries("kube_pod_container_info", "image changes cannot be detected", "keep it")


def reading(*missing: MissingSeries, pods: tuple[PodFact, ...] = PODS) -> Collection:
    return Collection(0.0, 60.0, pods, missing=missing)


def test_a_finding_stays_in_its_first_wording_until_enough_pods_show_that_it_is_gone() -> None:
    gaps = Gaps()
    gaps.learn(reading(VAGUE), ["etl"], present=True)
    for quiet in (reading(LATER), reading(pods=PODS[:2]), reading(IMAGES, pods=())):
        gaps.learn(quiet, ["etl"], present=True)
        assert gaps.sentences == (str(VAGUE),)
    gaps.learn(reading(IMAGES), ["etl"], present=True)
    assert gaps.sentences == (str(IMAGES),)


def test_of_the_past_its_newest_pods_are_judged_and_of_the_present_all() -> None:
    """The past is read newest first, and what was missing long ago may be there now."""
    gaps = Gaps()
    gaps.learn(reading(pods=()), ["etl"], present=False)
    gaps.learn(reading(VAGUE), ["etl"], present=False)
    gaps.learn(reading(IMAGES), ["etl"], present=False)
    gaps.learn(reading(), ["etl"], present=False)
    assert gaps.sentences == (str(VAGUE),)
    gaps.learn(reading(), ["etl"], present=True)
    assert gaps.sentences == ()

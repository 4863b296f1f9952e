"""What a cycle keeps of the one before makes no difference: a process that has just started decides the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.discovery.time_shares import TimeShares
from concertmaster.controller.profiles.resolving import ProfileResolver
from concertmaster.controller.snapshot import SnapshotBuilder
from concertmaster.kube.objects import NAMESPACES, POLICIES, PROFILES
from tests.support.controller.harness import INTERVAL, Bed
from tests.support.resources import CRONJOB

PLACES = ("demo", "other")
NAMES = ("a", "b", "c")
LABELS = st.dictionaries(st.sampled_from(("team", "trusted")), st.sampled_from(("x", "true")), max_size=2)
EDITS = st.one_of(
    st.tuples(st.just("apply"), st.sampled_from(PLACES), st.sampled_from(NAMES), LABELS),
    st.tuples(st.just("delete"), st.sampled_from(PLACES), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("own profile"), st.sampled_from(PLACES), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("lose profile"), st.sampled_from(PLACES), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("policy"), st.sampled_from(PLACES), st.sampled_from(NAMES), LABELS),
    st.tuples(st.just("label namespace"), st.sampled_from(PLACES), st.none(), LABELS),
    st.tuples(st.just("nothing"), st.none(), st.none(), st.none()),
)


def _edit(bed: Bed, what: str, place: Any, name: Any, labels: Any) -> None:
    if what == "apply":
        bed.cronjob(name, place, **labels)
    elif what == "delete":
        bed.client.objects.pop(CRONJOB.path(place, name), None)
    elif what == "own profile":
        bed.profile(f"mine-{name}", name, place)
    elif what == "lose profile":
        bed.client.objects.pop(PROFILES.path(place, f"cronjob-{name}"), None)
    elif what == "policy":
        found = bed.client.objects.get(POLICIES.path(place, name))
        selector = {"selector": {"matchLabels": labels}} if labels else {}
        discover = [{"apiVersion": "batch/v1", "kind": "CronJob", **selector}]
        made = bed.policy(name, place, discover=discover, analysis={"minRuns": 5 + len(labels)})
        if found is not None:
            made["metadata"] |= {"uid": found["metadata"]["uid"], "generation": 1 + found["metadata"]["generation"]}
    elif what == "label namespace":
        bed.client.objects[NAMESPACES.path(None, place)]["metadata"]["labels"] = labels


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(EDITS, max_size=3), min_size=1, max_size=6))
def test_a_new_process_finds_what_the_old_one_has_found(cycles: list[list[tuple[str, Any, Any, Any]]]) -> None:
    bed = Bed()
    bed.client.put(NAMESPACES, None, "other")
    bed.cluster_policy("labelled", namespaceSelector={"matchLabels": {"team": "x"}})
    bed.sources.denied.add("default")
    for place in PLACES:
        _edit(bed, "policy", place, "a", {})
        _edit(bed, "apply", place, "a", {"team": "x"})
    _agree(bed)
    for edits in cycles:
        for edit in edits:
            _edit(bed, *edit)
        _agree(bed)  # before what is written changes the profiles
        bed.run(seconds=INTERVAL)
        _agree(bed)


def _agree(bed: Bed) -> None:
    """Bring everything up to date, once with what the process remembers and once without."""
    bed.sync()
    bed.snapshots.build(lambda: None)
    bed.sync()
    old = bed.snapshots.build(lambda: None)
    new = SnapshotBuilder(bed.client, bed.cache, (), {}).build(lambda: None)
    assert not (old.changed or new.changed)
    assert old.discovered == new.discovered
    assert old.obstacles == new.obstacles
    assert {t.id: (t.version, t.labels) for t in old.targets} == {t.id: (t.version, t.labels) for t in new.targets}
    kept = bed.profile_reconciler.profiles(old)
    fresh = ProfileResolver(bed.sources, TimeShares()).profiles(new)
    assert [_decided(s) for s in kept] == [_decided(s) for s in fresh]


def _decided(profile: ResolvedProfile) -> tuple[object, ...]:
    return profile.entry, profile.policy, profile.resolved, profile.source, profile.refusal

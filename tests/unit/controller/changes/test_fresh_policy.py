"""Before each write the policy and the change are read again: what a person wrote meanwhile holds at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.controller.object_cache import ObjectCache
from concertmaster.core.changes.plan import digest_of
from concertmaster.core.model.enums import Verdict
from concertmaster.kube import errors
from concertmaster.kube.objects import CLUSTER_POLICIES, NAMESPACES
from tests.support.controller.change_steps import HOUR, applied, later
from tests.support.controller.changes_bed import CHANGES, CPU, POLICIES, PROFILES, Bed
from tests.support.resources import CRONJOB

TARGET = CRONJOB.path("demo", "etl")


def late(bed: Bed, act: Callable[[], Any], when: Callable[[str, str], bool]) -> None:
    """``act`` once, right before the first request ``when`` says: after the watches brought what the cycle follows."""
    done: list[bool] = []

    def request(method: str, path: str) -> None:
        if not done and when(method, path):
            done.append(True)
            act()

    bed.client.on_request = request


def stronger(bed: Bed) -> None:
    spec = {"priority": 5, "suspend": True, "apply": {"mode": "Auto"}}
    bed.client.put(POLICIES, "demo", "stronger", spec=spec)


def cluster_wide(bed: Bed) -> None:
    bed.delete(POLICIES, "team")
    bed.client.put(CLUSTER_POLICIES, None, "all", spec={"apply": {"mode": "Recommend"}})


MEANWHILE: dict[str, Callable[[Bed], None]] = {
    "suspended": lambda bed: bed.policy(suspend=True),
    "only recommends": lambda bed: bed.policy(mode="Recommend"),
    "tighter bounds": lambda bed: bed.policy(bounds={"cpu": {"min": "2"}}),
    "deleted": lambda bed: bed.delete(POLICIES, "team"),
    "a stronger one": stronger,
    "another one for the cluster": cluster_wide,
    "the profile is gone": lambda bed: bed.delete(PROFILES, "etl"),
}


@pytest.mark.parametrize("how", MEANWHILE)
@pytest.mark.parametrize("moment", ["at the start", "before the write"])
def test_a_policy_that_was_changed_while_its_watch_hung_causes_no_write(how: str, moment: str) -> None:
    bed = Bed()
    when = {
        "at the start": lambda method, path: method == "LIST",
        "before the write": lambda method, path: method == "PATCH" and path.endswith("/status"),
    }[moment]
    late(bed, lambda: MEANWHILE[how](bed), when)
    bed.run()
    assert (bed.cpu(), bed.client.target_writes) == ("2", [])


@pytest.mark.parametrize("how", MEANWHILE)
@pytest.mark.parametrize("moment", ["at the start", "while it is tried"])
def test_nor_is_anything_rolled_back_then(how: str, moment: str) -> None:
    bed = applied()
    when = {
        "at the start": lambda method, path: method == "LIST",
        "while it is tried": lambda method, path: (method, path) == ("DRY", TARGET),
    }[moment]
    late(bed, lambda: MEANWHILE[how](bed), when)
    later(bed, 2, 1500.0)
    assert bed.cpu() == "1500m"
    assert len(bed.client.target_writes) == 1


def opted_in() -> Bed:
    """A namespace whose label makes a policy of the cluster apply to it."""
    bed = Bed()
    bed.delete(POLICIES, "team")
    spec = {"namespaceSelector": {"matchLabels": {"optimize": "yes"}}, "apply": {"mode": "Auto", "cooldown": "1h"}}
    bed.client.put(CLUSTER_POLICIES, None, "opted-in", spec=spec)
    bed.client.objects[SPACE]["metadata"]["labels"] = {"optimize": "yes"}
    return bed


SPACE = NAMESPACES.path(None, "demo")
OPT_OUT: dict[str, Callable[[Bed], object]] = {
    "label removed": lambda bed: bed.client.objects[SPACE]["metadata"].pop("labels"),
    "namespace gone": lambda bed: bed.client.objects.pop(SPACE),
    "not readable": lambda bed: bed.client.lists.update({NAMESPACES.path(): errors.Unreachable("timed out")}),
    "no right any more": lambda bed: bed.client.lists.update({NAMESPACES.path(): errors.Forbidden("no", status=403)}),
}


@pytest.mark.parametrize("how", OPT_OUT)
def test_a_namespace_that_opts_out_while_the_cycle_runs_causes_no_write(how: str) -> None:
    bed = opted_in()
    late(bed, lambda: OPT_OUT[how](bed), lambda method, path: method == "PATCH" and path.endswith("/status"))
    bed.run()
    assert (bed.cpu(), bed.client.target_writes) == ("2", [])
    obeyed = opted_in()
    obeyed.run()
    assert obeyed.cpu() == "1500m"


def test_a_policy_that_cannot_be_read_again_causes_no_write() -> None:
    bed = Bed()
    bed.client.lists[POLICIES.path("demo")] = errors.Unreachable("timed out")
    bed.run()
    assert bed.cpu() == "2"
    assert any("timed out" in p for p in bed.problems)


def test_an_operator_without_a_right_to_cluster_policies_asks_for_none() -> None:
    bed = Bed()
    plural = CLUSTER_POLICIES.plural
    bed.client.allows = lambda attributes: attributes["resource"] != plural  # type: ignore[method-assign]
    bed.run()
    assert bed.cpu() == "1500m"
    assert not [c for c in bed.client.calls if plural in c[1]]


def test_cluster_policies_that_cannot_be_read_any_more_cause_no_write() -> None:
    bed = Bed()
    bed.client.lists[CLUSTER_POLICIES.path()] = errors.Forbidden("no", status=403)
    bed.run()
    assert bed.cpu() == "2"


def test_nothing_new_is_written_while_the_watches_are_behind_but_harm_is_rolled_back() -> None:
    bed = Bed()
    bed.behind = True
    bed.run()
    assert (bed.all(), bed.cpu()) == ([], "2")
    bed.behind = False
    applied(bed)
    bed.behind = True
    later(bed, 2, 1500.0)
    assert bed.cpu() == "2"


def test_a_cache_that_lacks_a_spec_is_distinguished_from_one_that_lacks_a_status() -> None:
    cache = ObjectCache(clock=lambda: 0.0)
    meta = {"name": "team", "namespace": "demo", "uid": "u", "resourceVersion": "5", "generation": 1}
    cache.observe(POLICIES, "ADDED", {"metadata": meta})
    status = cache.compare(POLICIES, [{"metadata": {**meta, "resourceVersion": "6"}}], 0.0)
    assert status.outdated == 0
    spec = cache.compare(POLICIES, [{"metadata": {**meta, "resourceVersion": "7", "generation": 2}}], 0.0)
    assert spec.outdated == 1


@pytest.mark.parametrize("what", ["rejected", "edited", "deleted"])
def test_a_change_that_was_touched_in_the_moment_before_its_roll_back_is_read_anew(what: str) -> None:
    bed = applied()
    path = bed.one().ref.path

    def touch() -> None:
        if what == "deleted":
            bed.client.objects.pop(path)
        elif what == "edited":
            bed.client.objects[path]["status"]["plan"]["inverse"] = "[]"
        else:
            bed.decide("Reject")

    late(bed, touch, lambda method, at: method == "GET" and at == path)
    later(bed, 2, 1500.0)
    assert bed.cpu() == "1500m"
    bed.run()
    assert bed.cpu() == ("1500m" if what == "edited" else "2")


# --- only what the journal knows is rolled back, and within the bounds


def forged(bed: Bed, old: str, held: str = "1500m") -> None:
    """A self-consistent change in phase Verifying that nobody proposed, ready to be rolled back to ``old``."""
    source = bed.one()
    patch = [{"op": "test", "path": CPU, "value": old}, {"op": "replace", "path": CPU, "value": held}]
    inverse = [{"op": "test", "path": CPU, "value": held}, {"op": "replace", "path": CPU, "value": old}]
    assert source.target is not None
    digest = digest_of("demo", "etl", "cpu-request.job", source.target, patch)
    plan = {**source.status["plan"], "patch": json.dumps(patch), "inverse": json.dumps(inverse)}
    spec = {"profileRef": {"name": "etl"}, "recommendation": "cpu-request.job", "planDigest": digest}
    bed.client.put(
        CHANGES, "demo", "forged", spec={**spec, "decision": "Reject"}, status={**source.status, "plan": plan}
    )
    bed.delete(CHANGES, source.name)


def test_a_forged_inverse_of_a_change_that_nobody_made_is_an_orphan() -> None:
    bed = applied()
    forged(bed, "500")
    bed.pages.rows.clear()
    bed.run()
    bed.run()
    assert bed.cpu() == "1500m"
    assert bed.state(C.ORPHANED) == ("True", "NotInJournal")
    assert len(bed.client.target_writes) == 1


def test_a_forgery_under_the_uid_of_a_real_change_is_not_what_the_journal_holds() -> None:
    bed = applied()
    uid = bed.one().uid
    forged(bed, "500")
    bed.one().raw["metadata"]["uid"] = uid  # type: ignore[index]
    bed.client.objects[bed.one().ref.path]["metadata"]["uid"] = uid
    bed.run()
    assert bed.cpu() == "1500m"
    assert bed.state(C.ORPHANED) == ("True", "NotInJournal")


@pytest.mark.parametrize("why", ["rejected", "harm", "deleted"])
def test_a_roll_back_out_of_the_bounds_is_left_to_a_person(why: str) -> None:
    bed = applied()
    name = bed.one().name
    bed.policy(bounds={"cpu": {"min": "50m", "max": "1800m"}})
    if why == "rejected":
        bed.decide("Reject")
        bed.run()
    elif why == "deleted":
        bed.delete(CHANGES, name)
        bed.run()
    else:
        later(bed, 2, 1500.0)
    assert bed.cpu() == "1500m"
    if why == "deleted":
        assert any(
            "cpu 2 is outside 50m to 1800m" in p and "To roll the change back: kubectl" in p for p in bed.problems
        )
        return
    assert bed.state(C.ORPHANED) == ("True", "OutOfBounds")
    assert "cpu 2 is outside 50m to 1800m (apply.bounds)" in bed.message(C.ORPHANED)
    if why == "harm":
        assert (bed.state(C.VERIFIED), bed.one().verdict) == (("False", "Worse"), Verdict.WORSE)
    bed.writes()
    bed.run(HOUR)
    assert bed.writes() == []
    bed.policy()
    bed.run(HOUR)
    bed.run(HOUR)
    assert bed.cpu() == "2"


def test_a_value_from_outside_the_bounds_is_changed_only_when_a_person_says_so() -> None:
    bed = Bed(bounds={"cpu": {"min": "50m", "max": "1800m"}})
    bed.run()
    assert (bed.cpu(), bed.one().phase) == ("2", "Proposed")
    bed.decide("Approve")
    bed.run()
    assert bed.cpu() == "1500m"


@pytest.mark.parametrize("why", ["NotInJournal", "OutOfBounds"])
@pytest.mark.parametrize("how", ["undone", "deleted"])
def test_what_is_left_to_a_person_ends_once_that_person_undid_it_or_deleted_it(why: str, how: str) -> None:
    bed = applied()
    if why == "NotInJournal":
        bed.pages.rows = {k: v for k, v in bed.pages.rows.items() if not k.startswith("change/")}
    else:
        bed.policy(bounds={"cpu": {"min": "50m", "max": "1800m"}})
        bed.decide("Reject")
    bed.run()
    assert bed.state(C.ORPHANED) == ("True", why)
    assert "To keep it, delete this object" in bed.message(C.ORPHANED)
    if how == "undone":
        bed.edit(CPU, "2")
        bed.run()
        assert (bed.one().phase, bed.cpu()) == ("Conflict", "2")
        return
    bed.delete(CHANGES, bed.one().name)
    bed.run()
    assert bed.cpu() == "1500m"
    assert not [c for c in bed.all() if c.phase == "Verifying"]


def test_a_status_is_not_written_over_a_version_that_was_not_read() -> None:
    """The phase is the same, but another writer has counted runs meanwhile."""
    bed = applied()
    path = bed.one().ref.path

    def other_leader(at: str) -> None:
        if at == f"{path}/status":
            bed.client.objects[path]["status"]["verifiedRuns"] = 77
            bed.client.objects[path]["metadata"]["resourceVersion"] = "of-another"
            seen.append(at)
            bed.client.before_write = lambda at: seen.append(bed.one().status["verifiedRuns"])

    seen: list[object] = []
    bed.client.before_write = other_leader
    later(bed, 3)
    assert seen[:2] == [f"{path}/status", 77], "what the other wrote stood until it had been read"


def test_a_status_is_not_written_over_a_phase_that_somebody_else_wrote() -> None:
    bed = applied()
    path = bed.one().ref.path

    def other_leader(at: str) -> None:
        if at == f"{path}/status":
            bed.client.objects[path]["status"]["phase"] = "Completed"

    bed.client.before_write = other_leader
    later(bed, 3)
    assert bed.one().phase == "Completed"
    assert "verifiedRuns" not in bed.one().status
    assert any("its status cannot be written" in p for p in bed.problems)


def test_an_orphaned_change_says_what_keeps_it_from_being_managed_now() -> None:
    bed = applied()
    bed.policy(suspend=True)
    bed.run()
    assert bed.message(C.ORPHANED).startswith("OptimizationPolicy/team is suspended")
    bed.delete(POLICIES, "team")
    bed.run()
    assert bed.message(C.ORPHANED).startswith("no policy in force selects it")
    assert bed.reported().count("ChangeOrphaned") == 1
    bed.writes()
    bed.run()
    assert bed.writes() == []

"""Profiles of one namespace do not wait for those of another, however long admission takes there."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from concertmaster.controller.discovery import profile_writes
from concertmaster.kube import errors
from concertmaster.kube.objects import NAMESPACES, PROFILES
from tests.support.controller.harness import INTERVAL, Bed

DISCOVER = [{"apiVersion": "batch/v1", "kind": "CronJob"}]
NUMBER = 10


class Admission:
    """Hangs in some namespaces: each write takes longer than a cycle has for all of them, and is not stored."""

    def __init__(self, bed: Bed, *hanging: str) -> None:
        self.bed = bed
        self.hanging = hanging
        self.asked: list[tuple[str, str]] = []
        self.others: threading.Event | None = None  # nothing ends before

    def __call__(self, method: str, path: str) -> None:
        namespace = path.partition("/namespaces/")[2].partition("/")[0]
        if method not in ("POST", "PATCH", "DELETE") or "/workflowprofiles" not in path or path.endswith("/status"):
            return
        self.asked.append((method, namespace))
        if namespace in self.hanging:
            if self.others is not None:
                assert self.others.wait(20.0), "the other namespaces wait for this one"
            self.bed.now += 2 * profile_writes._SECONDS
            raise errors.Undecided('failed calling webhook "names": context deadline exceeded', status=500)
        if self.others is not None and sum(of not in self.hanging for _, of in self.asked) >= 2 * NUMBER:
            self.others.set()


@pytest.fixture
def bed() -> Bed:
    made = Bed()
    for namespace in ("a", "b", "c"):
        made.client.put(NAMESPACES, None, namespace)
        for i in range(NUMBER):
            made.cronjob(f"job-{i}", namespace)
    made.cluster_policy("all", discover=DISCOVER)
    return made


def profiles(bed: Bed) -> Counter[str]:
    return Counter(o["metadata"]["namespace"] for o in bed.objects(PROFILES))


def test_others_are_created_while_admission_hangs_in_one_namespace(bed: Bed) -> None:
    admission = bed.client.on_request = Admission(bed, "a")
    admission.others = threading.Event()
    bed.run()
    assert profiles(bed) == {"b": NUMBER, "c": NUMBER}
    assert admission.asked.count(("POST", "a")) == 1


def test_where_admission_did_not_answer_others_come_first(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_writes, "_CONCURRENCY", 1)
    admission = bed.client.on_request = Admission(bed, "a")
    assert not bed.run(), "where nothing was written, another cycle at once would fare no better"
    assert profiles(bed) == {}, "the first one took the time of all"
    bed.run(seconds=INTERVAL)
    assert profiles(bed) == {"b": NUMBER, "c": NUMBER}
    assert admission.asked[-1] == ("POST", "a")
    for i in range(NUMBER):
        bed.cronjob(f"job-{i}", "b", team="data")
        del bed.client.objects[f"/apis/batch/v1/namespaces/c/cronjobs/job-{i}"]
    admission.asked.clear()
    bed.run(seconds=INTERVAL)
    bed.run(seconds=INTERVAL)
    assert profiles(bed) == {"b": NUMBER}, "what is gone is withdrawn"
    assert all(o["metadata"]["labels"].get("team") == "data" for o in bed.objects(PROFILES))
    assert admission.asked.count(("POST", "a")) == 2, "once a cycle, after the others"
    admission.hanging = ()
    bed.run(seconds=INTERVAL)
    assert profiles(bed) == {"a": NUMBER, "b": NUMBER}


def test_they_come_first_until_there_is_time_for_it_again(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_writes, "_CONCURRENCY", 1)
    admission = bed.client.on_request = Admission(bed, "a", "b", "c")
    bed.run()
    assert admission.asked == [("POST", "a")]
    bed.run(seconds=INTERVAL)
    assert admission.asked[1:] == [("POST", "b")], "which takes all of the time"
    admission.hanging = ("a",)
    bed.run(seconds=INTERVAL)
    assert admission.asked[2] == ("POST", "c")


def test_a_policy_names_the_obstacles_in_the_same_order_whichever_comes_first(bed: Bed) -> None:
    def hang(method: str, path: str) -> None:
        if method == "POST" and "/workflowprofiles" in path:
            time.sleep(0.1 if "/a/" in path else 0.0)
            raise errors.Undecided(f"POST {path}: failed calling webhook", status=500)

    bed.client.on_request = hang
    bed.run()
    found = bed.snapshots.build(lambda: None)
    (texts,) = found.obstacles.values()
    assert [text.partition("WorkflowProfile ")[2][0] for text in texts] == ["a", "b", "c"]

"""Labels of live pods: what is kept of them, for how long, and what is said where they may not be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.controller.discovery import pod_index
from concertmaster.controller.discovery.pod_index import KEEP_SECONDS, MAX_WATCHES, PodIndex
from concertmaster.core.model import PodFact, PodLabels
from concertmaster.engines.labels.presets import BY_NAME
from concertmaster.kube.access import Right
from concertmaster.kube.errors import KubeError, Unreachable
from concertmaster.kube.objects import PODS

AIRFLOW, SPARK = BY_NAME["airflow"].keys, BY_NAME["spark"].keys


class Watch:
    def __init__(self) -> None:
        self.kept, self.ended = 0, False

    def keep(self) -> None:
        self.kept += 1

    def stop(self, timeout: float) -> bool:
        self.ended = True
        return True


class Harness:
    def __init__(self, denied: Callable[[Right], bool] = lambda right: False) -> None:
        self.now, self.watches, self.denied = 1000.0, dict[str, Watch](), denied
        self.present: list[dict[str, Any]] = []  # pods that the API server has
        self.listings: list[str] = []
        self.fault: KubeError | None = None
        self.index = PodIndex(self.start, self, [None], listing=self.listing, clock=lambda: self.now)

    def start(self, finder: str, index: PodIndex) -> Watch:
        self.watches[finder] = Watch()
        return self.watches[finder]

    def listing(self, finder: str) -> Iterator[dict[str, Any]]:
        self.listings.append(finder)
        if self.fault is not None:
            raise self.fault
        yield from (pod for pod in self.present if finder in pod["metadata"]["labels"])

    def missing(self, rights: Collection[Right]) -> tuple[Right, ...]:
        return tuple(r for r in rights if self.denied(r))

    def see(self, name: str, uid: str = "u", namespace: str = "data", **labels: str) -> None:
        meta = {"name": name, "namespace": namespace, "uid": uid, "labels": {**labels, "app": "x"}}
        assert not self.index.accepts(PODS, {"metadata": meta})


def test_labels_that_somebody_reads_are_kept_and_put_on_facts() -> None:
    harness = Harness()
    assert harness.index.follow([AIRFLOW]) == ()
    harness.see("extract-1", dag_id="etl", run_id="r1", task_id="extract")
    harness.see("web-1", namespace="web")
    assert list(harness.index.rows(AIRFLOW)) == [("data", {"dag_id": "etl", "run_id": "r1", "task_id": "extract"})]
    assert harness.index.names({"data"}) == ("extract-1",)
    facts = [PodFact("data", "extract-1", "u", labels={"run_id": "exported"}), PodFact("data", "extract-1", "older")]
    assert [dict(f.labels) for f in harness.index.labelled(facts)] == [
        {"dag_id": "etl", "run_id": "exported", "task_id": "extract"}, {}
    ]  # fmt: skip


def waiting(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "data", "uid": "u", "labels": labels}}


def test_the_pods_there_are_are_all_known_before_the_watch_brings_the_first() -> None:
    harness = Harness()
    harness.present = [waiting(f"extract-{i}", dag_id="etl", task_id="extract") for i in range(3)]
    assert harness.index.follow([AIRFLOW]) == ()
    assert harness.index.names({"data"}) == ("extract-0", "extract-1", "extract-2")
    assert len(list(harness.index.rows(AIRFLOW))) == 3
    harness.index.follow([AIRFLOW])
    assert harness.listings == ["dag_id"]


def test_a_list_that_failed_is_said_and_asked_for_again() -> None:
    harness = Harness()
    harness.present, harness.fault = [waiting("extract-1", dag_id="etl")], Unreachable("reset")
    (note,) = harness.index.follow([AIRFLOW])
    assert note == "runs of pods with label dag_id may lack steps: the pods there are cannot be listed: reset"
    assert set(harness.watches) == {"dag_id"}
    harness.fault = None
    assert harness.index.follow([AIRFLOW]) == ()
    assert harness.index.names({"data"}) == ("extract-1",)


def test_pods_are_listed_again_for_labels_that_were_not_read_before() -> None:
    harness = Harness()
    harness.present = [waiting("extract-1", dag_id="etl", stage="one")]
    harness.index.follow([AIRFLOW])
    harness.index.follow([replace(AIRFLOW, step="stage")])
    assert harness.listings == ["dag_id", "dag_id"]
    assert next(labels for _, labels in harness.index.rows(AIRFLOW)) == {"dag_id": "etl", "stage": "one"}


def test_only_what_no_source_exports_is_watched() -> None:
    harness = Harness()
    harness.index.follow([AIRFLOW, SPARK])
    assert set(harness.watches) == {"dag_id", "spark-app-selector"}
    harness.index.follow([AIRFLOW])
    assert harness.watches["spark-app-selector"].ended
    assert harness.watches["dag_id"].kept == 2
    harness.index.follow([])
    assert harness.watches["dag_id"].ended


def test_what_may_not_be_read_is_said_with_both_ways_out() -> None:
    harness = Harness(denied=lambda right: right.verb == "watch")
    (note,) = harness.index.follow([AIRFLOW])
    assert not harness.watches
    assert note.startswith(
        "labels dag_id are in no metrics source, and live pods cannot be read: the operator may not watch pods"
    )
    assert "--metric-labels-allowlist" in note
    assert "engines.podLabels" in note


def test_watches_are_few() -> None:
    harness = Harness()
    (note,) = harness.index.follow([PodLabels(f"key-{i}", "run") for i in range(MAX_WATCHES + 1)])
    assert len(harness.watches) == MAX_WATCHES
    assert note == f"pods are watched by {MAX_WATCHES} labels at most, not by key-{MAX_WATCHES}"


def test_the_first_labels_are_watched_also_where_others_were_before() -> None:
    harness = Harness()
    first = [PodLabels(f"key-{i}", "run") for i in range(MAX_WATCHES)]
    harness.index.follow(first)
    harness.index.follow([PodLabels("another", "run"), *first])
    assert "another" in harness.watches
    assert [finder for finder, watch in harness.watches.items() if watch.ended] == [f"key-{MAX_WATCHES - 1}"]


def test_the_pods_of_one_namespace_keep_out_those_of_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_index, "MAX_PODS", 4)
    harness = Harness()
    harness.index.follow([AIRFLOW])
    harness.see("quiet", namespace="quiet", dag_id="etl")
    for i in range(9):
        harness.see(f"pod-{i}", dag_id="etl")
    assert harness.index.names({"quiet"}) == ("quiet",)
    assert harness.index.names({"data"}) == ("pod-6", "pod-7", "pod-8")


def test_pods_are_kept_in_bounded_number_and_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_index, "MAX_PODS", 3)
    harness = Harness()
    harness.index.follow([AIRFLOW])
    for i in range(5):
        harness.see(f"pod-{i}", dag_id="etl")
    assert harness.index.names({"data"}) == ("pod-2", "pod-3", "pod-4")
    harness.now += KEEP_SECONDS + 1
    harness.index.follow([AIRFLOW])
    assert harness.index.names({"data"}) == ()


@pytest.mark.parametrize(
    "obj", [{}, {"metadata": None}, {"metadata": {"labels": None}}, {"metadata": {"labels": {"dag_id": 7}}}]
)
def test_odd_objects_break_nothing(obj: Any) -> None:
    harness = Harness()
    harness.index.follow([AIRFLOW])
    assert not harness.index.accepts(PODS, obj)

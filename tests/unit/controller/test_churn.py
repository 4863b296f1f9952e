"""A cluster in which namespaces come and go, as those of previews do: nothing is kept of those that are gone."""

from __future__ import annotations

from collections import Counter

from concertmaster.core.model import WorkflowKey
from concertmaster.kube.objects import CLUSTER_POLICIES, NAMESPACES
from tests.support.controller.harness import INTERVAL, Bed, run
from tests.support.counting import elements


def test_nothing_grows_with_namespaces_that_are_gone() -> None:
    bed = Bed()
    bed.client.put(CLUSTER_POLICIES, None, "all", spec={"discover": [{"apiVersion": "batch/v1", "kind": "CronJob"}]})
    held: list[Counter[str]] = []
    for number in range(9):
        namespace = f"preview-{number}"
        bed.client.put(NAMESPACES, None, namespace)
        for name in ("etl", "report"):
            bed.cronjob(name, namespace)
            bed.history.runs_of[name] = [run(name, number)]
        bed.run(seconds=INTERVAL)
        keys = {WorkflowKey(namespace, "CronJob", name) for name in ("etl", "report")}
        bed.sources.changed, bed.sources.answered = set(keys), set(keys)
        bed.run(seconds=INTERVAL)
        gone = [path for path in bed.client.objects if f"/{namespace}/" in path or path.endswith(f"/{namespace}")]
        for path in gone:
            del bed.client.objects[path]
        bed.run(seconds=INTERVAL)
        bed.run(seconds=INTERVAL)
        bed.client.calls.clear()
        held.append(elements(bed.cycle))
    assert {name: number for name, number in held[-1].items() if number > held[4][name]} == {}

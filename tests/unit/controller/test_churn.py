"""A cluster in which namespaces come and go, as those of previews do: nothing is kept of those that are gone."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

from concertmaster.controller.changes.apply import Apply
from concertmaster.core.model import WorkflowKey
from concertmaster.core.units import DAY
from concertmaster.kube import errors
from concertmaster.kube.access import AccessChecker, Right
from concertmaster.kube.events import EventRecorder, EventType, Note
from concertmaster.kube.objects import CLUSTER_POLICIES, EVENTS, NAMESPACES, PROFILES
from concertmaster.kube.writer import StatusUpdate, StatusWriter
from tests.support.controller.fakes import MemoryClient, ref
from tests.support.controller.harness import INTERVAL, Bed, run
from tests.support.counting import elements
from tests.support.resources import CRONJOB


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


def test_nothing_grows_with_namespaces_that_were_refused_or_asked_about() -> None:
    client, now = MemoryClient(), [0.0]

    def clock() -> float:
        return now[0]

    access, writer = AccessChecker(client, clock=clock), StatusWriter(client, clock=clock)
    recorder, steps = EventRecorder(client, instance="pod-1", clock=clock), Apply(SimpleNamespace())
    held: list[Counter[str]] = []
    for day in range(9):
        now[0] = day * DAY
        namespace = f"preview-{day}"
        of = ref(namespace=namespace)
        access.allowed(Right("patch", CRONJOB, namespace))
        client.faults["POST", EVENTS.path(namespace)] = [errors.Forbidden("no", status=403)]
        recorder.post(Note(of, EventType.WARNING, "NotFound", "gone"))
        client.faults["PATCH", f"{PROFILES.path(namespace, of.name)}/status"] = [errors.Undecided("no", status=500)]
        writer.write([StatusUpdate(of, {"score": 70}, None)])
        writer.keep_only([])
        steps.writes_left(namespace, now[0])
        client.calls.clear()
        held.append(Counter({type(of).__name__: elements(of).total() for of in (access, writer, recorder, steps)}))
    assert all(held[0][name] for name in ("AccessChecker", "StatusWriter", "EventRecorder"))
    assert held[-1] == held[0]

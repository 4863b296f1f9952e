"""The checker of the torture set: a record that is wrong in one respect is noticed, from live objects and from history."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks.torture.bed import NAMESPACE, Play
from benchmarks.torture.compare import NODE_NAME, compare
from benchmarks.torture.faults import Row, live_faults, path_faults, with_pods
from benchmarks.torture.history import history_faults
from benchmarks.torture.truth import Key, Leaf, Truth
from concertmaster.core.model import Outcome, PodFact, RunRecord, StepExecution, WorkflowDefinition
from concertmaster.prometheus.collect.collection import Collection
from tests.support.builders import build_runs
from tests.support.core import run_graphs
from tests.support.engines.argo_definitions import spec_of
from tests.support.engines.argo_oracle import Controller, leaf, pods, template

TIMES = {"a": (0.0, 10.0), "b": (12.0, 20.0), "c": (11.0, 30.0), "d": (31.0, 40.0)}
WAITS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
PLACES = {step: ("w-1", (step, None, 0)) for step in TIMES}
Change = Callable[[dict[str, StepExecution]], object]


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def truth() -> Truth:
    found = Truth("w", "w-1", "Succeeded")
    for step, (begun, ended) in TIMES.items():
        before: frozenset[Key] = frozenset((b, None, 0) for b in WAITS[step])
        found.add(Leaf(step, None, 0, "Succeeded", begun, ended, step, before))
    return found


def pod(name: str, begun: float, ended: float, **meta: object) -> dict[str, Any]:
    """A pod that was scheduled and started when it was created."""
    state = {"terminated": {"startedAt": stamp(begun), "finishedAt": stamp(ended)}}
    bound = {"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(begun)}
    status = {"phase": "Succeeded", "containerStatuses": [{"state": state}], "conditions": [bound]}
    return {"metadata": {"name": name, "creationTimestamp": stamp(begun), **meta}, "status": status}


def seen() -> dict[str, StepExecution]:
    return {
        step: StepExecution(
            step, pod=step, uid=step, created=begun, scheduled=begun, started=begun, finished=ended,
            outcome=Outcome.SUCCEEDED,
        )
        for step, (begun, ended) in TIMES.items()
    }  # fmt: skip


def history(
    change: Change | None = None, definition: WorkflowDefinition = run_graphs.DIAMOND, **gone: Any
) -> tuple[list[str], Row]:
    """Faults of a run with the times of the diamond after a change of what the metrics tell; ``gone``: metadata of d."""
    steps, row = seen(), Row("w")
    if change is not None:
        change(steps)
    made = {step: pod(step, *at, **(gone if step == "d" else {})) for step, at in TIMES.items()}
    built = build_runs(definition.key, "w-1", list(steps.values()), definition)
    return history_faults(truth(), built, definition, PLACES, Play(0.0, pods=made), row), row


def shifted(step: str, name: str, by: float) -> Change:
    def change(steps: dict[str, StepExecution]) -> None:
        steps[step] = replace(steps[step], **{name: getattr(steps[step], name) + by})

    return change


def with_fields(changed: str, /, **fields: Any) -> Change:
    return lambda steps: steps.update({changed: replace(steps[changed], **fields)})


def test_a_right_record_from_history_has_no_fault() -> None:
    assert history() == ([], Row("w"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (shifted("d", "finished", 2), "('d', None, 0): finished +2 s"),
        (shifted("b", "finished", -3), "('b', None, 0): finished -3 s"),
        (shifted("d", "finished", 600), "('d', None, 0): finished +600 s"),
        (with_fields("d", finished=None), "('d', None, 0): finished None, true 40.0"),
        (shifted("c", "started", 4), "('c', None, 0): started +4 s"),
        (shifted("c", "scheduled", 2), "('c', None, 0): scheduled +2 s"),
        (shifted("b", "created", -2), "('b', None, 0): created -2 s"),
        (with_fields("c", outcome=Outcome.FAILED), "('c', None, 0): Failed, true Succeeded"),
        (with_fields("d", outcome=Outcome.FAILED), "outcome Failed, true Succeeded"),
        (with_fields("c", step="x"), "('c', None, 0) is called ('x', None, 0)"),
        (with_fields("c", item="0:x"), "('c', None, 0) is called ('c', '0:x', 0)"),
        (with_fields("c", uid="other"), "('c', None, 0) is missing"),
        (with_fields("c", uid="other"), "('c', None, 0) is made up"),
    ],
)
def test_a_wrong_record_from_history_is_noticed(change: Change, fault: str) -> None:
    assert fault in history(change)[0]


def test_two_runs_from_history_where_there_was_one_are_noticed() -> None:
    def twice(steps: dict[str, StepExecution]) -> None:
        for step, (begun, ended) in TIMES.items():
            times: Any = dict.fromkeys(("created", "scheduled", "started"), begun + 60)
            again = replace(steps[step], uid=f"{step}-2", finished=ended + 60)
            steps[f"{step} again"] = replace(again, **times)

    assert history(twice)[0] == ["2 runs instead of one"]


def test_an_attempt_from_history_with_a_wrong_number_is_noticed() -> None:
    """Attempts are numbered when runs are built, so the record is changed after that."""
    record = build_runs(run_graphs.DIAMOND.key, "w-1", list(seen().values()), run_graphs.DIAMOND)[0]
    wrong = replace(record, steps=tuple(replace(e, attempt=int(e.step == "c")) for e in record.steps))
    made = {step: pod(step, *at) for step, at in TIMES.items()}
    found = history_faults(truth(), [wrong], run_graphs.DIAMOND, PLACES, Play(0.0, pods=made), Row("w"))
    assert found == ["('c', None, 0) is called ('c', None, 1)"]


A, B, C, D = (run_graphs.task(step, *before) for step, before in WAITS.items())
NO_EDGE = run_graphs.definition(A, B, run_graphs.task("c"), D)  # c waits for nothing, so the chain begins with it
NO_RIVAL = run_graphs.definition(A, B, C, run_graphs.task("d", "c"))  # d waits for c alone: all of it would be saved


def test_a_wrong_chain_and_a_wrong_drag_from_history_are_noticed() -> None:
    assert any("it begins with ('c', None, 0)" in fault for fault in history(definition=NO_EDGE)[0])
    assert history(definition=NO_RIVAL)[0] == ["drag of c 20 s, true 10 s"]


def test_what_history_cannot_tell_is_named() -> None:
    limited = replace(NO_RIVAL, graph=replace(NO_RIVAL.graph, parallelism=4))
    assert history(definition=limited) == ([], replace(Row("w"), unknown={"drag, as limits hold it"}))
    missed = with_fields("d", outcome=Outcome.UNKNOWN, finished=38.0)
    assert history(missed) == ([], replace(Row("w"), unknown={"end of d", "outcome"}))
    early = with_fields("d", outcome=Outcome.UNKNOWN, finished=35.0)
    assert history(early)[1].unknown == {"end of d", "outcome", "drag, as an end is unknown"}
    endless = with_fields("d", outcome=Outcome.UNKNOWN, finished=None)
    assert history(endless)[1].unknown == {"end of d", "outcome", "chain and drag"}
    deleted = shifted("d", "finished", -1.5)
    faults, row = history(deleted, deletionTimestamp=stamp(39))
    assert (faults, row.unknown) == ([], {"end of d"})


def live(change: Change | None = None, outcome: Outcome = Outcome.SUCCEEDED) -> RunRecord:
    steps = seen()
    if change is not None:
        change(steps)
    record = build_runs(run_graphs.DIAMOND.key, "w-1", list(steps.values()), run_graphs.DIAMOND)[0]
    return replace(record, outcome=outcome)


def test_a_right_live_record_has_no_fault() -> None:
    assert live_faults(truth(), live(), {}) == []
    assert path_faults(truth(), live(), run_graphs.DIAMOND, PLACES) == []


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        (live(outcome=Outcome.FAILED), "outcome Failed, true Succeeded"),
        (live(shifted("d", "finished", 3)), "run time 43.0, true 40.0"),
        (live(shifted("b", "finished", 2)), "('b', None, 0): finished +2 s"),
        (live(shifted("b", "created", 2)), "('b', None, 0): created +2 s"),
        (live(with_fields("b", outcome=Outcome.SKIPPED)), "('b', None, 0): Skipped, true Succeeded"),
        (live(with_fields("b", step="x")), "('b', None, 0) is missing"),
        (live(with_fields("b", step="x")), "('x', None, 0) is made up"),
        (live(with_fields("b", item="0:x")), "('b', '0:x', 0) is made up"),
        (live(lambda steps: steps.pop("b")), "('b', None, 0) is missing"),
    ],
)
def test_a_wrong_live_record_is_noticed(record: RunRecord, fault: str) -> None:
    assert fault in live_faults(truth(), record, {})


def test_a_wrong_chain_and_a_wrong_drag_from_live_objects_are_noticed() -> None:
    assert any("it begins with ('c', None, 0)" in fault for fault in path_faults(truth(), live(), NO_EDGE, PLACES))
    assert path_faults(truth(), live(), NO_RIVAL, PLACES) == ["drag of c 20 s, true 10 s"]
    unknown = live(with_fields("d", outcome=Outcome.UNKNOWN, finished=None))
    assert path_faults(truth(), unknown, run_graphs.DIAMOND, PLACES)[0].startswith("no chain: ")


SPEC = spec_of(
    {"dag": {"tasks": [{"name": "a", "template": "a"}, {"name": "b", "template": "b", "dependencies": ["a"]}]}},
    leaf("a"),
    leaf("b"),
)


def played(runs: Iterable[str] = ("chain-r0000", "chain-r0001")) -> tuple[Play, list[PodFact]]:
    """A play of one workflow, and its metrics."""
    play = Play(0.0, objects={"WorkflowTemplate": {"chain": template("chain", SPEC)}, "Workflow": {}})
    play.objects["WorkflowTemplate"]["chain"]["metadata"]["namespace"] = NAMESPACE
    facts = []
    for run in runs:
        controller = Controller(SPEC, run)
        nodes = controller.execute()
        workflow = controller.workflow()
        workflow["metadata"]["namespace"] = NAMESPACE
        workflow["spec"] = {**SPEC, "workflowTemplateRef": {"name": "chain"}}
        for entry in workflow["status"]["nodes"].values():
            root = entry["name"] == run
            entry |= {"templateName": "main"} if root else {"boundaryID": run}
            entry["displayName"] = entry["name"].rpartition(".")[2]
        play.objects["Workflow"][run] = workflow
        for fact, node in zip(pods(nodes, run, NAMESPACE), nodes, strict=True):
            facts.append(fact)
            labels, notes = {"workflows.argoproj.io/workflow": run}, {NODE_NAME: node.name}
            play.pods[fact.uid] = pod(fact.pod, node.created, node.finished, labels=labels, annotations=notes)
    return play, facts


def compared(play: Play, facts: Iterable[PodFact]) -> Row:
    (row,) = compare(play, Collection(0.0, 1e12, tuple(facts)))
    return row


def test_a_play_that_was_read_rightly_has_no_fault() -> None:
    assert compared(*played()) == Row("chain", runs=2)


def test_a_run_that_no_engine_had_is_noticed() -> None:
    play, facts = played()
    del play.objects["Workflow"]["chain-r0001"]
    row = compared(play, facts)
    assert (row.runs, row.live, row.history) == (1, {}, {"chain-r0001": ["a run that its engine never had"]})


def test_a_run_that_the_metrics_show_twice_is_noticed() -> None:
    play, facts = played(["chain-r0000"])
    times: list[Any] = [
        {name: getattr(f, name) + 9e3 for name in ("created", "scheduled", "started", "finished")} for f in facts
    ]
    later = [replace(f, uid=f"{f.uid}-2", containers=(), **at) for f, at in zip(facts, times, strict=True)]
    row = compared(play, [*facts, *later])
    assert row.history == {"chain-r0000": ["2 runs instead of one"]}


def test_a_run_that_is_not_stored_as_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.torture.compare._stored", lambda *_: [])
    faults = compared(*played(["chain-r0000"])).live
    assert faults == {"chain-r0000": ["0 runs in the history instead of one"]}


def test_a_run_taken_for_nobodys_is_noticed() -> None:
    play, facts = played(["chain-r0000"])
    play.objects["Workflow"]["chain-r0000"]["spec"] = {**SPEC, "workflowTemplateRef": {"name": "other"}}
    assert compared(play, facts).live == {"chain-r0000": ["taken for a run of nobody"]}


@pytest.mark.parametrize(("deleted", "end"), [(41, 60.0), (60, 40.0)], ids=["as it ended", "long after"])
def test_the_end_of_a_pod_is_known_if_it_was_deleted_long_after(deleted: int, end: float) -> None:
    """Its engine had not seen that end, failed it for the deadline, and deleted it: the record has the end of the pod."""
    found = truth()
    found.leaves["d", None, 0].ended = 60.0
    pods = {"d": pod("d", *TIMES["d"], deletionTimestamp=stamp(deleted), deletionGracePeriodSeconds=0)}
    assert with_pods(found, Play(0.0, pods=pods), PLACES).leaves["d", None, 0].ended == end


def test_a_pod_deleted_between_the_ends_of_its_containers_ended_when_its_engine_says() -> None:
    """The first step of a Tekton task that timed out may have ended long before; the second still ran."""
    found = truth()
    found.leaves["d", None, 0].ended = 60.0
    begun, done = TIMES["d"]
    cut = pod("d", begun, done, deletionTimestamp=stamp(60), deletionGracePeriodSeconds=0)
    cut["status"] |= {"phase": "Running"}
    cut["status"]["containerStatuses"].append({"name": "step-two", "state": {"running": {"startedAt": stamp(begun)}}})
    assert with_pods(found, Play(0.0, pods={"d": cut}), PLACES).leaves["d", None, 0].ended == 60.0


@pytest.mark.parametrize("packed", [True, False])
def test_a_node_table_that_should_be_packed_and_is_not_is_noticed(
    monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr("benchmarks.torture.compare.PACKED", {"chain"})
    play, facts = played(["chain-r0000"])
    status = play.objects["Workflow"]["chain-r0000"]["status"]
    if packed:
        status["compressedNodes"] = base64.b64encode(gzip.compress(json.dumps(status.pop("nodes")).encode())).decode()
    assert compared(play, facts).live == ({} if packed else {"chain-r0000": ["its node table is not packed"]})


def test_metrics_with_another_end_than_the_pod_are_noticed() -> None:
    play, facts = played(["chain-r0000"])
    ended = (facts[-1].finished or 0.0) + 5
    row = compared(play, [*facts[:-1], replace(facts[-1], finished=ended)])
    assert row.history == {"chain-r0000": ["('b', None, 0): finished +5 s"]}

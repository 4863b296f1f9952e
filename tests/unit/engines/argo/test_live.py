"""Live records from the status of a Workflow."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core.analysis.failures import FailureClass, classify
from concertmaster.core.model import ContainerFact, Outcome, Source, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.engines import LiveRun
from concertmaster.engines.argo.definition import define
from concertmaster.engines.argo.live import archived_workflow, names_its_template, origins, read_run, workflow_of
from concertmaster.engines.argo.status import parse_node_name
from concertmaster.engines.common import archived
from concertmaster.engines.common.bounds import decoded_bytes
from tests.support.counting import growth
from tests.support.engines.argo_definitions import DYNAMIC, NESTED, RUN, spec_of, specs, the_definition
from tests.support.engines.argo_oracle import Controller, Node, fnv, leaf, pods, stamp
from tests.support.engines.json_values import JSON

KEY = WorkflowKey("data", "WorkflowTemplate", "etl")


def read(raw: dict[str, Any]) -> LiveRun:
    found = read_run(raw, KEY)
    assert found.problems == ()
    return found


def compare(nodes: list[Node], found: LiveRun) -> None:
    by_pod = {e.pod: e for e in found.record.steps if e.pod is not None}
    assert len(by_pod) == len(nodes)
    for node, fact in zip(nodes, pods(nodes, RUN), strict=True):
        e = by_pod[fact.pod]
        assert (e.step, e.attempt, e.item or "") == (node.step, node.attempt, " / ".join(node.items)), node
        assert e.outcome is (Outcome.FAILED if node.failed else Outcome.SUCCEEDED), node
        assert (e.created, e.finished) == (node.created, node.finished), node
        assert e.ready == pytest.approx(node.ready), node
        assert set(e.after or ()) == node.after, node


@pytest.mark.parametrize("spec", [NESTED, DYNAMIC])
def test_a_run_is_read_exactly(spec: dict[str, Any]) -> None:
    control = Controller(spec, RUN, failures=lambda n: len(n) % 3, param_items={"work": [{"a": "b c"}, "[x].y", 7]})
    nodes = control.execute()
    found = read(control.workflow())
    compare(nodes, found)
    assert found.complete
    record = found.record
    assert (record.source, record.outcome, record.run, record.workflow) == (Source.LIVE, Outcome.SUCCEEDED, RUN, KEY)
    assert record.start == min(n.created for n in nodes)
    assert record.end == max(n.finished for n in nodes)
    assert (found.created, found.started) == (999.0, 1000.0)


@given(specs(), st.integers(0, 3))
@settings(max_examples=120, deadline=None)
def test_any_run_is_read_exactly(spec: dict[str, Any], salt: int) -> None:
    control = Controller(spec, RUN, failures=lambda n: (fnv(n) + salt) % 3)
    compare(control.execute(), read(control.workflow()))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress, brotli.compress])
def test_a_compressed_node_table(pack: Callable[[bytes], bytes]) -> None:
    control = Controller(NESTED, RUN)
    nodes = control.execute()
    raw = control.workflow()
    packed = base64.b64encode(pack(json.dumps(raw["status"].pop("nodes")).encode())).decode()
    raw["status"]["compressedNodes"] = packed
    compare(nodes, read(raw))


@pytest.mark.parametrize("packed", ["!!", "aGVsbG8=", base64.b64encode(gzip.compress(b"[1]", mtime=0)).decode(), 5])
def test_a_node_table_that_cannot_be_unpacked_is_named(packed: Any) -> None:
    raw = Controller(NESTED, RUN).workflow(nodes={}, compressedNodes=packed)
    found = read_run(raw, KEY)
    assert found.record.steps == ()
    assert not found.complete
    assert "compressedNodes" in found.problems[0]


def test_a_node_table_in_the_controllers_database_is_named() -> None:
    found = read_run(Controller(NESTED, RUN).workflow(nodes={}, offloadNodeStatusVersion="fnv:784"), KEY)
    assert "offloadNodeStatusVersion" in found.problems[0]
    assert (found.record.outcome, found.record.start, found.complete) == (Outcome.SUCCEEDED, 1000.0, False)


@pytest.mark.parametrize(("phase", "why"), [("Error", "invalid spec: template 'x' undefined"), ("Succeeded", None)])
def test_the_message_of_a_failed_workflow_is_its_reason(phase: str, why: str | None) -> None:
    """Of one whose template is not valid it is all there is: no node was ever made."""
    raw = Controller(NESTED, RUN).workflow(phase=phase, nodes=None, message="invalid spec:\n template 'x' undefined")
    found = read_run(raw, KEY)
    assert (found.reason, found.complete, found.record.steps) == (why, False, ())


def one_node(**fields: Any) -> dict[str, Any]:
    node = {
        "id": f"{RUN}-1",
        "name": f"{RUN}.a",
        "type": "Pod",
        "phase": "Succeeded",
        "templateName": "run",
        "startedAt": "2026-08-01T02:00:00Z",
        "finishedAt": "2026-08-01T02:01:00Z",
        **fields,
    }
    return Controller(NESTED, RUN).workflow(nodes={node["id"]: node})


def only(raw: dict[str, Any]) -> StepExecution:
    (found,) = read_run(raw, KEY).record.steps
    return found


def test_times_are_unix_seconds() -> None:
    e = only(one_node())
    assert (e.created, e.finished, e.started) == (1785549600.0, 1785549660.0, None)


def test_failures_carry_reason_exit_code_and_message() -> None:
    e = only(one_node(phase="Failed", message="main: OOMKilled (exit code 137)"))
    assert (e.outcome, e.reason, e.exit_code) == (Outcome.FAILED, "OOMKilled", 137)
    assert e.message == "main: OOMKilled (exit code 137)"
    e = only(one_node(phase="Error", message="Error (exit code 3)", outputs={"exitCode": "3"}))
    assert (e.outcome, e.reason, e.exit_code) == (Outcome.FAILED, "Error", 3)
    for said in (
        "Pod was active on the node longer than the specified deadline",
        "Step exceeded its deadline",
        "timeout",
    ):
        assert only(one_node(phase="Failed", message=said)).reason == "DeadlineExceeded"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. ", "Evicted"),
        ("The node had condition: [DiskPressure]. ", "Evicted"),
        ('Container main exceeded its local ephemeral storage limit "1Gi". ', "Evicted"),
        ("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", "Evicted"),
        ('Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". ', "Evicted"),
        ("Preempted in order to admit critical pod", "Preempting"),
        ("Pod was terminated in response to imminent node shutdown.", "Terminated"),
        ("pod deleted", "pod deleted"),
    ],
)
def test_a_pod_that_its_node_ended_is_an_eviction(said: str, reason: str) -> None:
    """The controller copies the message of such a pod, not its reason, and its containers ended with an error."""
    e = only(one_node(phase="Failed", message=said, outputs={"exitCode": "137"} if reason != "pod deleted" else {}))
    assert e.reason == reason
    killed = replace(e, containers=(ContainerFact("main", reason="Error"),))
    assert classify(killed) is FailureClass.EVICTION


@pytest.mark.parametrize("strategy", ["Stop", "Terminate"])
@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"message": "workflow shutdown with strategy:  {}"}, Outcome.UNKNOWN),
        ({"message": "Stopped with strategy '{}'", "type": "Suspend"}, Outcome.UNKNOWN),
        ({"message": "main: Error (exit code 143)"}, Outcome.UNKNOWN),  # its pod was seen to end afterwards
        ({"message": "main: Error (exit code 137)"}, Outcome.UNKNOWN),
        ({"message": "main: OOMKilled (exit code 137)"}, Outcome.FAILED),
        ({"message": "main: Error (exit code 1)"}, Outcome.FAILED),  # before the run was stopped
        ({"phase": "Succeeded"}, Outcome.SUCCEEDED),
    ],
)
def test_what_ended_with_a_stopped_run_has_not_failed(strategy: str, fields: dict[str, str], outcome: Outcome) -> None:
    raw = one_node(**{"phase": "Failed", **fields, "message": fields.get("message", "").format(strategy)})
    raw["status"] |= {"phase": "Failed", "message": f"Stopped with strategy '{strategy}'"}
    raw["spec"]["shutdown"] = strategy
    found = read_run(raw, KEY)
    assert (found.record.outcome, found.complete) == (Outcome.UNKNOWN, True)
    (e,) = found.record.steps
    assert (e.outcome, e.reason == "Stopped") == (outcome, outcome is Outcome.UNKNOWN)


@pytest.mark.parametrize(
    ("phase", "shutdown", "outcome"),
    [
        ("Failed", "", Outcome.FAILED),
        ("Failed", ["Stop"], Outcome.FAILED),
        ("Error", "Terminate", Outcome.UNKNOWN),
        ("Succeeded", "Stop", Outcome.SUCCEEDED),  # its last pod ended before the controller stopped it
        ("Running", "Stop", Outcome.RUNNING),
    ],
)
def test_only_what_did_not_end_by_itself_was_stopped(phase: str, shutdown: object, outcome: Outcome) -> None:
    raw = one_node()
    raw["status"]["phase"] = phase
    raw["spec"]["shutdown"] = shutdown
    assert read_run(raw, KEY).record.outcome is outcome


def test_an_exit_by_a_signal_is_a_failure_of_a_run_that_nobody_stopped() -> None:
    assert only(one_node(phase="Failed", message="main: Error (exit code 143)")).outcome is Outcome.FAILED


def test_long_messages_are_one_short_line() -> None:
    assert len(only(one_node(message="a\n" * 500)).message or "") <= 200


@pytest.mark.parametrize(
    ("phase", "outcome"),
    [
        ("Skipped", Outcome.SKIPPED),
        ("Omitted", Outcome.SKIPPED),
    ],
)
def test_phases(phase: str, outcome: Outcome) -> None:
    assert only(one_node(phase=phase, type="Skipped")).outcome is outcome


@pytest.mark.parametrize("phase", ["Running", "Pending"])
def test_a_node_left_running_by_a_failed_workflow(phase: str) -> None:
    """Steps that fail with their daemon leave others as they are: the record is whole, and nobody knows how those ended."""
    raw = one_node(phase=phase, finishedAt=None)
    raw["status"] |= {"phase": "Failed", "finishedAt": stamp(1090.0)}
    found = read(raw)
    assert found.complete and found.record.outcome is Outcome.FAILED
    assert [(e.outcome, e.finished, e.reason) for e in found.record.steps] == [(Outcome.UNKNOWN, 1090.0, "NotFollowed")]
    raw["status"] |= {"phase": "Running", "finishedAt": None}
    assert [e.outcome for e in read(raw).record.steps] == [Outcome.RUNNING]


def test_cache_hits_and_misses() -> None:
    hit = only(one_node(memoizationStatus={"hit": True, "key": "k", "cacheName": "c"}))
    assert (hit.outcome, hit.cache_hit, hit.pod) == (Outcome.CACHED, True, None)
    miss = only(one_node(memoizationStatus={"hit": False, "key": "k", "cacheName": "c"}))
    assert (miss.outcome, miss.cache_hit) == (Outcome.SUCCEEDED, False)
    assert only(one_node()).cache_hit is None


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "Skipped", "phase": "Skipped", "message": "when 'x' evaluated false"},
        {"type": "Steps", "memoizationStatus": {"hit": True}},
        {"type": "Steps", "memoizationStatus": {"hit": True}, "children": ["its dependent"]},
    ],
)
def test_a_skipped_or_cached_composite_stands_for_all_its_steps(fields: dict[str, Any]) -> None:
    raw = one_node(name=f"{RUN}.prepare", **fields)
    found = read_run(raw, KEY, the_definition(NESTED)).record.steps
    assert [e.step for e in found] == ["prepare.check", "prepare.clean", "prepare.fetch"]


def node(identity: str, kind: str, begun: float, ended: float, *children: str, **more: Any) -> dict[str, Any]:
    """A node of the table; children by id."""
    name = RUN if identity == RUN else f"{RUN}.{identity}"
    times = {"startedAt": stamp(begun), "finishedAt": stamp(ended)}
    found = {"id": identity, "name": name, "type": kind, "phase": "Succeeded", "children": list(children)}
    return {identity: {**found, **times, "templateName": "run", **more}}


def test_what_follows_a_skipped_composite_waited_for_the_steps_inside_it() -> None:
    table = {
        **node(RUN, "DAG", 0.0, 9.0, "prepare"),
        **node("prepare", "Skipped", 0.0, 0.0, "work", phase="Skipped"),
        **node("work", "Pod", 0.0, 9.0),
    }
    steps = read_run(Controller(NESTED, RUN).workflow(nodes=table), KEY, the_definition(NESTED)).record.steps
    inside = ("prepare.check", "prepare.clean", "prepare.fetch")
    assert {e.step: e.after for e in steps} == {**dict.fromkeys(inside, ()), "work": inside}


@pytest.mark.parametrize(("begun", "ready", "after"), [(4.0, 4.0, ("s",)), (13.0, 12.0, ("a",))])
def test_a_hook_that_begins_while_its_task_runs_waited_for_what_the_task_did(
    begun: float, ready: float, after: tuple[str, ...]
) -> None:
    table = {
        **node(RUN, "DAG", 0.0, 30.0, "s"),
        **node("s", "Pod", 0.0, 2.0, "a"),
        **node("a", "Pod", 3.0, 12.0, "a.hooks.told"),
        **node("a.hooks.told", "Pod", begun, 30.0, nodeFlag={"hooked": True}),
    }
    hook = read(Controller(NESTED, RUN).workflow(nodes=table)).record.steps[-1]
    assert (hook.step, hook.ready, hook.after) == ("a.hooks.told", ready, after)


@pytest.mark.parametrize("kind", ["Steps", "DAG"])
def test_what_follows_a_fan_out_over_a_retried_template_waits_for_its_last_steps(kind: str) -> None:
    """The controller (3.7.3) links it to the last attempt of each item, a composite that does not contain it."""
    table = {
        **node(RUN, "DAG", 0.0, 40.0, "get", outboundNodes=["put"]),
        **node("get", "Pod", 0.0, 5.0, "fan"),
        **node("fan", "TaskGroup", 5.0, 22.0, "fan(0:x)", "fan(1:y)"),
        **node("put", "Pod", 22.0, 40.0),
    }
    for item, end in (("fan(0:x)", 16.0), ("fan(1:y)", 20.0)):
        table |= node(item, "Retry", 5.0, end + 1, f"{item}(0)")
        table |= node(f"{item}(0)", kind, 5.0, end + 1, f"{item}(0).load", "put", outboundNodes=[f"{item}(0).store"])
        table |= node(f"{item}(0).load", "Pod", 5.0, 10.0, f"{item}(0).store")
        table |= node(f"{item}(0).store", "Pod", 10.0, end)
    steps = {e.step: e for e in read(Controller(NESTED, RUN).workflow(nodes=table)).record.steps}
    assert (steps["fan.load"].ready, steps["fan.load"].after) == (5.0, ("get",))
    assert steps["put"].after == ("fan.store",)
    assert steps["put"].ready == pytest.approx(20.0, abs=1.0)


def test_what_follows_a_failed_retry_and_the_exit_of_a_workflow_wait_for_the_steps_of_a_handler() -> None:
    """Controllers link what follows to the handler of a failed retry alone, whose template may have several steps."""
    hooked = {"nodeFlag": {"hooked": True}}
    table = {
        **node(RUN, "Steps", 0.0, 17.0, "[0]"),
        **node("[0]", "StepGroup", 0.0, 12.0, "[0].a", name=f"{RUN}[0]"),
        **node("[0].a", "Retry", 0.0, 4.0, "[0].a(0)", "[0].a.onExit", phase="Failed", name=f"{RUN}[0].a"),
        **node("[0].a(0)", "Pod", 0.0, 4.0, phase="Failed", name=f"{RUN}[0].a(0)"),
        **node(
            "[0].a.onExit", "DAG", 4.0, 12.0, "tell", "[1]", name=f"{RUN}[0].a.onExit", outboundNodes=["tell"], **hooked
        ),
        **node("tell", "Pod", 5.0, 11.0, name=f"{RUN}[0].a.onExit.tell"),
        **node("[1]", "StepGroup", 12.0, 16.0, "b", name=f"{RUN}[1]"),
        **node("b", "DAG", 12.0, 14.0, "b.x", "b.onExit", name=f"{RUN}[1].b", outboundNodes=["b.x"]),
        **node("b.x", "Pod", 12.0, 14.0, name=f"{RUN}[1].b.x"),
        **node("b.onExit", "DAG", 14.0, 16.0, "told", name=f"{RUN}[1].b.onExit", outboundNodes=["told"], **hooked),
        **node("told", "Pod", 14.0, 16.0, name=f"{RUN}[1].b.onExit.told"),
        **node("end", "Pod", 17.0, 30.0, name=f"{RUN}.onExit", **hooked),
    }
    table[RUN]["outboundNodes"] = ["b.x"]
    steps = {e.step: e for e in read(Controller(NESTED, RUN).workflow(nodes=table)).record.steps}
    assert {name: e.after for name, e in steps.items()} == {
        "a": (),
        "a.onExit.tell": ("a",),
        "b.x": ("a.onExit.tell",),
        "b.onExit.told": ("b.x",),
        "onExit": ("b.onExit.told", "b.x"),
    }
    assert (steps["b.x"].ready, steps["onExit"].ready) == (12.0, 16.0)


def test_waiting_nodes_have_no_pod() -> None:
    tasks = [
        {"name": "a", "template": "run"},
        {"name": "p", "template": "pause", "dependencies": ["a"]},
        {"name": "b", "template": "run", "dependencies": ["p"]},
    ]
    control = Controller(spec_of({"dag": {"tasks": tasks}}, leaf("run"), {"name": "pause", "suspend": {}}), RUN)
    control.execute()
    a, p, b = read(control.workflow()).record.steps
    assert (p.step, p.pod, p.after) == ("p", None, ("a",))
    assert (b.after, b.ready) == (("p",), p.finished)
    assert a.after == ()


def beside_a_daemon(around: str = "Succeeded", load: str = "Succeeded", **daemon: Any) -> dict[str, Any]:
    """A run of steps as controllers 3.7.3 and 4.1.2 leave it: db (created after 0 s, ready after 4 s, with an address from
    then on), in the next group load (until 20 s)."""
    db = {"phase": "Succeeded", "startedAt": stamp(0.0), "finishedAt": stamp(4.0), "podIP": "10.0.0.7", **daemon}
    ran = {"phase": load, "startedAt": stamp(5.0), "finishedAt": stamp(20.0)}
    return {
        "metadata": {"name": "r"},
        "status": {
            "phase": around,
            "finishedAt": stamp(21.0),
            "nodes": {
                "r": {
                    "id": "r",
                    "name": "r",
                    "type": "Steps",
                    "phase": around,
                    "startedAt": stamp(0.0),
                    "children": ["g0"],
                },
                "g0": {"id": "g0", "name": "r[0]", "type": "StepGroup", "boundaryID": "r", "children": ["db"]},
                "db": {"id": "db", "name": "r[0].db", "type": "Pod", "boundaryID": "r", "children": ["g1"], **db},
                "g1": {
                    "id": "g1",
                    "name": "r[1]",
                    "type": "StepGroup",
                    "phase": around,
                    "boundaryID": "r",
                    "children": ["load"],
                },
                "load": {"id": "load", "name": "r[1].load", "type": "Pod", "boundaryID": "r", **ran},
            },
        },
    }


def test_successors_of_a_daemon_wait_until_it_is_ready() -> None:
    found = read(beside_a_daemon()).record.steps
    assert [(e.step, e.after, e.ready, e.serving) for e in found] == [
        ("db", (), 0.0, 4.0),
        ("load", ("db",), 4.0, None),
    ]
    running = read(beside_a_daemon(phase="Running", daemoned=True)).record.steps
    assert [(e.step, e.ready, e.serving) for e in running] == [("db", 0.0, 4.0), ("load", 4.0, None)]
    never = read(beside_a_daemon(podIP=None, phase="Failed")).record.steps
    assert never[0].serving is None


@pytest.mark.parametrize(
    ("around", "load", "code", "outcome"),
    [
        ("Succeeded", "Succeeded", "143", Outcome.SUCCEEDED),  # terminated, and the pod was seen to fail
        ("Succeeded", "Succeeded", "137", Outcome.SUCCEEDED),
        ("Succeeded", "Succeeded", "0", Outcome.SUCCEEDED),  # a daemon whose pod succeeds is marked Failed as well
        ("Succeeded", "Succeeded", "1", Outcome.FAILED),  # a dag goes on without it
        ("Failed", "Failed", "143", Outcome.SUCCEEDED),
        ("Failed", "Running", "143", Outcome.FAILED),  # the steps failed with it
        ("Running", "Running", "143", Outcome.FAILED),
    ],
)
def test_a_daemon_that_was_ended_has_not_failed(around: str, load: str, code: str, outcome: Outcome) -> None:
    raw = beside_a_daemon(around, load, phase="Failed", outputs={"exitCode": code})
    assert read(raw).record.steps[0].outcome is outcome


def test_an_attempt_that_was_repeated_is_no_reason_for_a_failure_beside_a_daemon() -> None:
    """The daemon ended too early, and the run failed by that alone: ``load`` had succeeded at its second attempt."""
    raw = beside_a_daemon("Failed", phase="Failed", outputs={"exitCode": "0"})
    nodes = raw["status"]["nodes"]
    tries = [
        {**nodes["load"], "id": f"load{k}", "name": f"r[1].load({k})", "phase": p}
        for k, p in enumerate(("Failed", "Succeeded"))
    ]
    nodes["load"] |= {"type": "Retry", "children": ["load0", "load1"]}
    nodes |= {node["id"]: node for node in tries}
    assert [(e.step, e.attempt, e.outcome) for e in read(raw).record.steps] == [
        ("db", 0, Outcome.FAILED),
        ("load", 0, Outcome.FAILED),
        ("load", 1, Outcome.SUCCEEDED),
    ]


def test_containers_of_a_container_set_are_inside_their_pod() -> None:
    raw = one_node()
    raw["status"]["nodes"]["c"] = {"id": "c", "name": f"{RUN}.a.main", "type": "Container", "phase": "Succeeded"}
    assert [e.step for e in read_run(raw, KEY).record.steps] == ["a"]


def test_pod_names_of_both_versions_and_of_references() -> None:
    ref = {"name": "lib", "template": "shared"}
    assert only(one_node(templateName="", templateRef=ref)).pod == f"{RUN}-shared-{fnv(f'{RUN}.a')}"
    old = one_node()
    old["metadata"]["annotations"] = {"workflows.argoproj.io/pod-name-format": "v1"}
    assert only(old).pod == f"{RUN}-{fnv(f'{RUN}.a')}"


def test_equal_inputs_have_equal_fingerprints() -> None:
    def inputs(value: str) -> str | None:
        return only(one_node(inputs={"parameters": [{"name": "x", "value": value}]})).input_fingerprint

    assert inputs("1") == inputs("1") != inputs("2")
    assert only(one_node()).input_fingerprint is None


def test_a_run_in_progress_is_not_complete() -> None:
    raw = one_node(phase="Running", finishedAt=None)
    raw["status"]["phase"] = "Running"
    found = read_run(raw, KEY)
    assert (found.complete, found.record.outcome) == (False, Outcome.RUNNING)


def test_runs_without_a_template_have_a_fingerprint_of_their_own_spec() -> None:
    raw = one_node()
    raw["spec"] = {"entrypoint": "a", "templates": [leaf("a")], "ttlStrategy": {"secondsAfterCompletion": 3}}
    other = {**raw, "spec": {**raw["spec"], "ttlStrategy": None}}
    changed = {**raw, "spec": {**raw["spec"], "parallelism": 3}}
    written = {**leaf("a"), "inputs": {}, "outputs": {}, "metadata": {"labels": {}}, "name": "a"}  # by the controller
    back = {**raw, "spec": {**raw["spec"], "arguments": {}, "templates": [written]}}
    marks = [read_run(r, KEY).record.fingerprint for r in (raw, other, back, changed)]
    assert marks[0] is not None
    assert marks[0] == marks[1] == marks[2] != marks[3]
    assert read_run(one_node(), KEY).record.fingerprint is None  # the template's own is noted when it is observed
    step = {"name": "b", "templateRef": {"name": "shared", "template": "b"}}
    calling = {**raw, "spec": {"entrypoint": "a", "templates": [{"name": "a", "steps": [[step]]}]}}
    assert read_run(calling, KEY).record.fingerprint is None  # another object may have changed


def test_a_run_with_defaults_that_are_not_read_is_of_no_other_definition() -> None:
    """The controller writes its workflowDefaults into the spec of a run: it differs from that of its CronWorkflow."""
    own = {"entrypoint": "a", "templates": [leaf("a")]}
    cron = {"kind": "CronWorkflow", "metadata": {"name": "etl"}, "spec": {"schedule": "@daily", "workflowSpec": own}}
    config = {"data": {"workflowDefaults": "spec: {parallelism: 3}"}}
    unread, known = define(cron, lambda kind, name: None), define(cron, lambda kind, name: config)
    plain, filled = ({**one_node(), "spec": spec} for spec in (own, {**own, "parallelism": 3}))

    def mark(run: dict[str, Any], definition: WorkflowDefinition) -> str | None:
        return read_run(run, KEY, definition).record.fingerprint

    assert mark(filled, unread) is None
    assert mark(plain, unread) == unread.fingerprint is not None
    assert mark(filled, known) == known.fingerprint is not None
    assert mark(plain, known) not in (None, known.fingerprint)  # started before there were defaults


@pytest.mark.parametrize(
    ("spec", "labels", "expected"),
    [
        ({"workflowTemplateRef": {"name": "t"}}, {}, "WorkflowTemplate/data/t"),
        ({"workflowTemplateRef": {"name": "t", "clusterScope": True}}, {}, "ClusterWorkflowTemplate/data/t"),
        (
            {"workflowTemplateRef": {"name": "t"}},
            {"workflows.argoproj.io/cron-workflow": "c"},
            "WorkflowTemplate/data/t",
        ),
        ({}, {"workflows.argoproj.io/cron-workflow": "c"}, "CronWorkflow/data/c"),
        ({}, {"workflows.argoproj.io/workflow-template": "t"}, "WorkflowTemplate/data/t"),
        ({}, {}, "None"),
    ],
)
def test_whose_run_it_is(spec: Any, labels: Any, expected: str) -> None:
    assert (
        str(workflow_of({"metadata": {"name": "r", "namespace": "data", "labels": labels}, "spec": spec})) == expected
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("r", ((), (), ())),
        ("r.a", (("a",), (), ())),
        ("r(1).a(0:x.y [z])(2)", (("a",), ("0:x.y [z]",), (1, 2))),
        ("r[0].a(3:k:v,l:m)[1].b", (("a", "b"), ("3:k:v,l:m",), ())),
        ("r.a.onExit", (("a", "onExit"), (), ())),
        ("other.a", None),
        ("ra", None),
    ],
)
def test_node_names(name: str, expected: Any) -> None:
    assert parse_node_name(name, "r") == expected


def big(count: int) -> Controller:
    tasks = [
        {"name": "many", "template": "run", "withSequence": {"count": str(count)}},
        {"name": "end", "template": "run", "dependencies": ["many"]},
    ]
    control = Controller(spec_of({"dag": {"tasks": tasks}}, leaf("run")), RUN)
    control.execute()
    return control


def test_ten_thousand_nodes_are_read_in_proportion_to_their_number() -> None:
    def nodes(count: int) -> Callable[[], LiveRun]:
        raw = big(count).workflow()
        return lambda: read_run(raw, KEY)

    assert len(nodes(10_000)().record.steps) == 10_001
    assert growth(nodes, 1_000) < 2.2


def test_a_chain_of_thousands_of_nodes() -> None:
    nodes: dict[str, Any] = {"r": {"id": "r", "name": "r", "type": "DAG", "children": ["r-0"]}}
    for n in range(5000):
        kind = "DAG" if n % 2 else "Pod"
        times = {"startedAt": stamp(n), "finishedAt": stamp(n)}
        nodes[f"r-{n}"] = {"id": f"r-{n}", "name": f"r.s{n}", "type": kind, **times, "children": [f"r-{n + 1}"]}
    found = read_run({"metadata": {"name": "r"}, "status": {"nodes": nodes}}, KEY)
    last = found.record.steps[-1]
    assert (last.step, last.after, last.ready) == ("s4998", ("s4996",), 4996.0)


@given(JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_any_object_gives_a_record(a: Any, b: Any) -> None:
    looped = {
        "n": {"name": "r.a", "type": "DAG", "children": ["m"]},
        "m": {"name": "r.b", "type": "Retry", "children": ["n", "m", 5]},
    }
    for raw in (
        {"metadata": a, "status": b},
        {"metadata": {"name": "r", "annotations": a}, "spec": b, "status": {"nodes": a, "phase": b}},
        {
            "metadata": {"name": "r"},
            "status": {"nodes": {"x": {"name": "r.a", "type": "Pod", "children": a, "inputs": b, "outputs": a}}},
        },
        {"metadata": {"name": "r"}, "status": {"nodes": {**looped, "x": a}, "startedAt": b}},
    ):
        found = read_run(raw, KEY)
        assert found.record.workflow == KEY
        workflow_of(raw)


def test_what_follows_a_template_that_failed_all_its_rounds() -> None:
    """A failed dag has no outbound nodes, and what comes after it hangs on the retry beside its rounds."""

    def node(identity: str, name: str, kind: str, phase: str, *children: str) -> dict[str, Any]:
        at = {"startedAt": stamp(5.0), "finishedAt": stamp(9.0)}
        return {"id": identity, "name": name, "type": kind, "phase": phase, "children": list(children), **at}

    nodes = {
        "r": node("r", "r", "DAG", "Failed", "b"),
        "b": node("b", "r.block", "Retry", "Failed", "b0", "b1", "z"),
        "b0": node("b0", "r.block(0)", "DAG", "Failed", "o0"),
        "o0": node("o0", "r.block(0).one", "Pod", "Succeeded", "t0"),
        "t0": node("t0", "r.block(0).two", "Pod", "Failed"),
        "b1": node("b1", "r.block(1)", "DAG", "Failed", "o1"),
        "o1": node("o1", "r.block(1).one", "Pod", "Succeeded", "t1"),
        "t1": node("t1", "r.block(1).two", "Pod", "Failed"),
        "z": node("z", "r.z", "Skipped", "Omitted"),
    }
    raw = {"metadata": {"name": "r"}, "status": {"phase": "Failed", "finishedAt": stamp(9.0), "nodes": nodes}}
    found = {(e.step, e.attempt): e.after for e in read_run(raw, KEY).record.steps}
    assert found["block.one", 1] == found["z", 0] == ("block.one", "block.two")
    assert found["block.two", 1] == ("block.one",)


# --- archived Workflows -----------------------------------------------------------------------------------------------


def _by_length(value: Any) -> Any:
    """``value`` as PostgreSQL stores it: the fields of an object ordered by the length of their names."""
    if isinstance(value, dict):
        return {k: _by_length(value[k]) for k in sorted(value, key=lambda k: (len(k), k))}
    return [_by_length(v) for v in value] if isinstance(value, list) else value


@settings(max_examples=30, deadline=None)
@given(specs(), st.integers(0, 7))
def test_an_archived_workflow_gives_the_record_of_the_live_one(spec: dict[str, Any], salt: int) -> None:
    control = Controller(spec, RUN, failures=lambda n: (len(n) + salt) % 3)
    control.execute()
    raw = json.loads(json.dumps(control.workflow(message="a \0 b"), sort_keys=True))
    document = json.dumps(_by_length(raw)).replace("\\u0000", "ARGO_POSTGRES_NULL_REPLACEMENT")
    found = archived_workflow(document)
    assert found == raw
    assert read_run(found, KEY) == read_run(raw, KEY)


def test_half_a_surrogate_pair_is_replaced_as_by_the_api_server() -> None:
    assert archived_workflow('{"status": {"message": "\\ud800"}}')["status"] == {"message": "?"}


@pytest.mark.parametrize("document", ["", "7", "[]", "null", '"text"', "{", "NaN", '{"a": 1'])
def test_what_is_no_workflow_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        archived_workflow(document)


def test_a_document_of_too_many_values_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archived, "MAX_DECODED", 10_000)
    with pytest.raises(ValueError, match="too many values"):
        archived_workflow(json.dumps({"a": [[]] * 100}))


def test_an_archived_workflow_takes_no_more_memory_than_was_estimated() -> None:
    document = json.dumps({"status": {"nodes": [{f"n{n}": n + 0.5} for n in range(20_000)]}})
    tracemalloc.start()
    try:
        archived_workflow(document)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < decoded_bytes(document.encode())


def test_a_text_of_wide_characters_counts_as_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archived, "MAX_DECODED", 20_000)
    assert archived_workflow(json.dumps({"a": "x" * 10_000}))["a"]
    with pytest.raises(ValueError, match="too many values"):
        archived_workflow(json.dumps({"a": "x" * 10_000 + "\U0001f600"}, ensure_ascii=False))


def test_of_a_field_that_stands_twice_the_last_holds_as_at_the_api_server() -> None:
    assert archived_workflow('{"b": {}, "a": ["\\ud800", ["\\udc00"]], "b": {"d": 1, "c": 2}}') == {
        "a": ["?", ["?"]],
        "b": {"c": 2, "d": 1},
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
    }


def test_labels_name_all_that_a_run_can_be_created_from() -> None:
    prefix = "workflows.argoproj.io/"
    labels = {f"{prefix}cron-workflow": "nightly", f"{prefix}workflow-template": "etl", "team": "data"}
    assert origins("data", labels) == {
        WorkflowKey("data", "CronWorkflow", "nightly"),
        WorkflowKey("data", "WorkflowTemplate", "etl"),
    }
    assert origins("data", {f"{prefix}workflow-template": ""}) == frozenset()
    assert names_its_template(labels)
    assert not names_its_template({f"{prefix}cron-workflow": "nightly"})


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"name": "etl"}, {WorkflowKey("data", "WorkflowTemplate", "etl")}),
        ({"name": "etl", "clusterScope": True}, {WorkflowKey("data", "ClusterWorkflowTemplate", "etl")}),
        ({"name": 7}, set()),
        ([], set()),
        (None, set()),
    ],
)
def test_a_reference_names_what_a_run_can_be_created_from(reference: Any, expected: set[WorkflowKey]) -> None:
    assert origins("data", {}, reference) == expected

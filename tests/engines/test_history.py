"""What Prometheus alone still knows when all objects are gone: times and places are right, the rest is Unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, replace

import pytest

from concertmaster.core.analysis.data_warnings import data_warnings
from concertmaster.core.analysis.replay import executed, time_split
from concertmaster.core.analysis.replay.items import SAME_RUN
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import (
    Outcome,
    PodFact,
    RunRecord,
    Source,
    StepExecution,
    WorkflowDefinition,
    WorkflowKey,
)
from concertmaster.engines import Assignment, Claims, assign, complete
from concertmaster.engines.argo.live import workflow_of
from concertmaster.engines.registry import run_kind
from concertmaster.history.store import Store
from concertmaster.prometheus.collect.reading import Collection
from tests.support.builders import build_runs
from tests.support.engines.argo_runs import ADHOC, PICKED, selected
from tests.support.engines.expected import ARGO, TEKTON, Row
from tests.support.engines.scenario import NAMESPACE, RETRIED, Object, Scenario
from tests.support.engines.times import created, finished, near, scheduled, started, unix

Definitions = Mapping[WorkflowKey, WorkflowDefinition]
STRANGER = "stranger-6xk4j"
ELSEWHERE = "fan-items-x8t4w"
EMBEDDED = "embedded-2cs9p-alone-pod"
SCRAPE_SECONDS = 2
UNDECLARED = "adhoc"  # picked by a selector: without an object only templates are known, no step names
WITHOUT_ITEMS = {"each"}  # items of withParam are only known while the run's object exists


@pytest.fixture(scope="module")
def assignment(history: Collection, definitions: Definitions, scenario: Scenario) -> Assignment:
    """The pods in their places; one run is known only by its object, whose labels its pods do not carry."""
    run = scenario.run_of(PICKED.name)
    claimed = Claims(definitions.values()).of(run)
    assert claimed is not None
    recognised = {(NAMESPACE, run["metadata"]["name"]): claimed.key}
    return assign(history.facts, definitions.values(), job_owners=history.job_owners, recognised=recognised)


@pytest.fixture(scope="module")
def records(assignment: Assignment, definitions: Definitions) -> dict[str, RunRecord]:
    """Every rebuilt run by its name."""
    return {
        record.run: record
        for key, runs in assignment.executions.items()
        for run, executions in runs.items()
        for record in build_runs(key, run, executions, definitions[key])
    }


def owner(pod: Object) -> tuple[str, str]:
    """Kind and name of a pod's controller."""
    found = pod["metadata"]["ownerReferences"][0]
    return found["kind"], found["name"]


def test_every_pod_comes_back(scenario: Scenario, history: Collection) -> None:
    assert {fact.uid for fact in history.facts} == set(scenario.pods_ever)
    assert [note for note in history.missing if note.essential] == []
    assert history.warnings == ()


def test_pod_times_are_right(scenario: Scenario, history: Collection) -> None:
    standing = {pod["metadata"]["uid"] for pod in scenario.objects["Pod"].values()}
    for fact in history.facts:
        pod = scenario.pods_ever[fact.uid]
        assert (fact.owner_kind, fact.owner_name) == owner(pod), fact.pod
        assert near(fact.created, created(pod)), fact.pod
        assert near(fact.scheduled, scheduled(pod)), fact.pod
        if pod["status"]["phase"] not in ("Succeeded", "Failed"):
            continue  # deleted before its end could be read from the API
        end = finished(pod)
        if fact.vanished and fact.uid not in standing:
            # Its controller deleted it between two scrapes: a metrics source can only know when it was last there.
            assert fact.finished is None and end is not None and fact.last_seen is not None, fact.pod
            assert (created(pod) or 0.0) <= fact.last_seen <= end + 3 * SCRAPE_SECONDS, fact.pod
        else:
            assert near(fact.finished, end), fact.pod


def test_a_pod_that_was_deleted_while_it_ran_ends_with_its_last_sample(scenario: Scenario, history: Collection) -> None:
    vanished = [fact for fact in history.facts if fact.vanished and fact.owner_kind == "TaskRun"]
    assert {fact.owner_name for fact in vanished} == {"cancelled-7wm2b-long", "late-5gk8r-slow"}
    for fact in vanished:
        _gone_since(fact, scenario.of("TaskRun", str(fact.owner_name))["status"]["completionTime"])


def _gone_since(fact: PodFact, end: str) -> None:
    assert (fact.finished, fact.phase) == (None, None)
    # The moment it was last there is looked for every 15 s; on a busy machine its deletion takes some seconds. A series that
    # is taken for present as long as Prometheus looks back would be minutes late.
    assert -17.0 <= (fact.last_seen or 0.0) - (unix(end) or 0.0) <= 30.0


def test_usage_of_a_pod_that_lived_long_enough(history: Collection) -> None:
    """Simulated usage: a tenth of a core, memory that rises to 64Mi, sampled every two seconds."""
    fact = next(f for f in history.facts if f.pod.startswith("daemons-") and "-server-" in f.pod)
    main = next(c for c in fact.containers if c.name == "main")
    assert main.started is not None and fact.finished is not None
    seconds = fact.finished - main.started
    assert main.cpu_seconds == pytest.approx(0.1 * seconds, abs=0.1 * 3 * SCRAPE_SECONDS)
    assert main.memory_sampled_peak == pytest.approx(64 * 2**20, rel=0.05)
    assert main.samples is not None and main.samples > 0.7 * (main.expected_samples or 0)
    assert (main.cpu_request, main.memory_request) == (0.1, 64 * 2**20)


@pytest.mark.parametrize("name", sorted(ARGO.keys() - {UNDECLARED}))
def test_argo_runs_are_rebuilt(name: str, scenario: Scenario, records: Mapping[str, RunRecord]) -> None:
    """Step, item, attempt and pod times of every pod; nothing that only the object knew."""
    thing = scenario.run_of(name)
    run = thing["metadata"]["name"]
    record = records[run]
    assert record.workflow == (workflow_of(thing) or selected(thing))
    pods = {
        p["metadata"]["annotations"]["workflows.argoproj.io/node-name"]: p for p in scenario.pods_of("Workflow", run)
    }
    found = {e.uid: e for e in record.steps}
    expected = [row for row in ARGO[name] if run + row.node in pods]
    assert len(found) == len(record.steps) == len(expected)
    for row in expected:
        pod = pods[run + row.node]
        if row.outcome == "Unknown":  # of its containers only the reason is left: Error, whoever ended them
            row = replace(row, outcome="Failed")
        _same(found[pod["metadata"]["uid"]], row, pod)
    assert record.source is Source.HISTORY
    assert near(record.start, min(created(p) or 0.0 for p in pods.values()))
    beside = {e.uid for e in record.steps if e.serving is not None}  # a daemon ends with the run, its pod later
    assert near(record.end, max(finished(p) or 0.0 for p in pods.values() if p["metadata"]["uid"] not in beside))


def _same(e: StepExecution, row: Row, pod: Object) -> None:
    assert (e.step, e.attempt) == (row.step, row.attempt), row
    if row.step in WITHOUT_ITEMS:
        assert e.item is not None and e.item.startswith("#"), row
    else:
        assert e.item == row.item, row
    _timed(e, row, pod)


def _timed(e: StepExecution, row: Row, pod: Object) -> None:
    assert e.outcome is Outcome(row.outcome), row
    assert near(e.created, created(pod)), row
    assert near(e.scheduled, scheduled(pod)), row
    assert near(e.started, started(pod)), row
    assert near(e.finished, finished(pod)), row
    assert e.node == pod["spec"]["nodeName"], row
    only_live = (e.after, e.cache_hit, e.exit_code, e.message, e.input_fingerprint)
    assert only_live == (None, None, None, None, None), row


def test_a_daemon_says_when_it_was_ready(scenario: Scenario, records: Mapping[str, RunRecord]) -> None:
    run = scenario.run_of("daemons")["metadata"]["name"]
    steps = {e.step: e for e in records[run].steps}
    server, client = steps["server"], steps["client"]
    assert server.serving is not None and client.serving is None
    assert (server.started or 0.0) <= server.serving <= (client.created or 0.0)
    assert client.ready == server.serving


def test_skipped_cached_and_suspended_steps_leave_no_trace(records: Mapping[str, RunRecord]) -> None:
    """They are not there, rather than there with a time of zero."""
    steps = {name: {e.step for e in record.steps} for name, record in records.items()}
    assert not steps["conditions-m4t6p"] & {"tails", "celebrate"}
    assert steps["memoized-r4h8y"] == {"use"}
    assert steps["suspended-t9b6v"] == {"before", "after"}


def test_a_fan_out_without_items_is_not_missing(records: Mapping[str, RunRecord]) -> None:
    record = records["no-items-b6n2k"]
    assert ([e.step for e in record.steps], record.outcome) == (["list", "some", "sum"], Outcome.SUCCEEDED)


def test_a_task_whose_failure_is_ignored_does_not_fail_the_run(records: Mapping[str, RunRecord]) -> None:
    assert records["tolerant-5wz8m"].outcome is Outcome.SUCCEEDED


def test_out_of_memory_is_reported(records: Mapping[str, RunRecord]) -> None:
    found = [e for e in records["retry-oom-d3f7g"].steps if e.step == "train"]
    assert [e.reason for e in sorted(found, key=lambda e: (e.item or "", e.attempt))] == [
        "OOMKilled",
        "OOMKilled",
        None,
    ] * 2


def test_runs_without_a_template_are_known_by_template(scenario: Scenario, records: Mapping[str, RunRecord]) -> None:
    """The selector finds the run; the pods of its two steps, made from one template, are distinguished by time only."""
    run = scenario.run_of(UNDECLARED)["metadata"]["name"]
    record = records[run]
    assert (record.workflow, [e.step for e in record.steps]) == (ADHOC, ["work", "work"])
    pods = sorted(scenario.pods_of("Workflow", run), key=lambda p: created(p) or 0.0)
    for e, row, pod in zip(record.steps, ARGO[UNDECLARED], pods, strict=True):
        _timed(e, row, pod)


@pytest.mark.parametrize("name", sorted(TEKTON.keys() - {"embedded"}))
def test_tekton_runs_are_rebuilt(name: str, scenario: Scenario, records: Mapping[str, RunRecord]) -> None:
    """Task, matrix index, attempt and pod times; a pod deleted at a timeout or a cancellation has outcome Unknown."""
    run = scenario.run_of(name, "PipelineRun")["metadata"]["name"]
    record = records[run]
    assert record.workflow == WorkflowKey(NAMESPACE, "Pipeline", name)
    pods = {p["metadata"]["name"]: p for p in scenario.pods_ever.values()}
    found = {e.pod: e for e in record.steps}
    expected = {_pod_name(run, row): row for row in TEKTON[name] if row.node}
    assert set(found) == set(expected)
    for pod_name, row in expected.items():
        e, pod = found[pod_name], pods[pod_name]
        assert (e.step, e.item, e.attempt) == (row.step, row.item, row.attempt), row
        if name == "late" or row.outcome == "Unknown":
            assert (e.outcome, e.reason) == (Outcome.UNKNOWN, "Vanished")
            assert near(e.created, created(pod)) and near(e.started, started(pod))
        else:
            _timed(e, row, pod)
    assert record.outcome is (Outcome.UNKNOWN if name in ("late", "cancelled") else record.outcome)


def _pod_name(run: str, row: Row) -> str:
    task_run, attempt = row.node.split("#")
    return f"{run}{task_run}-pod" + (f"-retry{attempt}" if attempt != "0" else "")


def test_pods_without_the_labels_of_their_run_wait_for_its_object(
    history: Collection, definitions: Definitions, scenario: Scenario, assignment: Assignment
) -> None:
    """They are given to no other workflow, and are the run's own as soon as its object was read."""
    run = scenario.run_of(PICKED.name)["metadata"]["name"]
    pods = {p["metadata"]["uid"] for p in scenario.pods_of("Workflow", run)}
    early = assign(history.facts, definitions.values(), job_owners=history.job_owners)
    assert {f.uid for f in early.undecided if f.owner_name != ELSEWHERE} == pods and len(pods) == 2
    assert PICKED not in early.executions and not early.unassigned.keys() - assignment.unassigned.keys()
    assert {e.uid for e in assignment.executions[PICKED][run]} == pods
    assert {f.owner_name for f in assignment.undecided} == {ELSEWHERE}  # its object says that it is of no workflow


def test_what_belongs_to_nothing_is_counted(assignment: Assignment, scenario: Scenario) -> None:
    """Every pod is in exactly one place; the runs nobody observes are counted with their reasons."""
    counted = sum(assignment.unassigned.values())
    assert assignment.pods + counted == len(scenario.pods_ever)
    pipeline, template, entrypoint = sorted(assignment.unassigned)
    assert pipeline == "its PipelineRun belongs to no observed Pipeline"
    assert template.startswith("no known Argo template's name starts the run's name")
    assert "it began at another entrypoint" in entrypoint


KINDS = pytest.mark.parametrize(("kind", "least"), [("Workflow", 25), ("PipelineRun", 6), ("Job", 7), ("JobSet", 3)])
Joined = list[tuple[WorkflowDefinition, RunRecord, RunRecord]]


@pytest.fixture
def joined(kind: str, scenario: Scenario, assignment: Assignment, definitions: Definitions) -> Joined:
    """Every run known wholly by its object, as the metrics source has it before and after that was read, with its
    definition."""
    found: Joined = []
    claims = Claims(definitions.values())
    for run, thing in scenario.objects[kind].items():
        reader, definition = run_kind(thing), claims.of(thing)
        assert reader is not None
        if definition is None:
            continue
        key = definition.key
        live = reader.read(thing, _children(kind, run, scenario), key, definition)
        if not live.complete:
            continue
        with Store(":memory:") as store:
            _noted(store, definition, scenario)
            store.add({key: {run: assignment.executions[key][run]}})
            (before,) = store.runs(key, definition=definition)
            store.add({}, records=[live.record])
            (after,) = store.runs(key, definition=definition)
        with Store(":memory:") as store:
            _noted(store, definition, scenario)
            store.add({}, records=[live.record])
            store.add({key: {run: assignment.executions[key][run]}})
            assert store.runs(key, definition=definition) == [after]
        found.append((definition, before, after))
    return found


def _noted(store: Store, definition: WorkflowDefinition, scenario: Scenario) -> None:
    """The definition was seen before the play and after it."""
    for at in (scenario.begin - 1.0, scenario.end + 1.0):
        store.note_definitions({definition.key: definition.fingerprint or ""}, at)


@KINDS
def test_live_and_history_are_joined(least: int, joined: Joined, scenario: Scenario) -> None:
    """The metrics source gives edges and outcomes of the object with the times of the pods, whichever comes first."""
    assert len(joined) >= least
    for definition, before, after in joined:
        assert (before.source, after.source) == (Source.HISTORY, Source.LIVE)
        _joined(after, scenario)
        if after.run not in ("late-5gk8r", "cancelled-7wm2b"):  # the metrics know their ends only roughly
            assert (after.start, after.end) == (before.start, before.end), after.run
        if definition.fingerprint:
            assert after.fingerprint == before.fingerprint == definition.fingerprint


@KINDS
def test_replay_and_time_split_of_real_runs(least: int, joined: Joined) -> None:
    """On the edges the engine reported, the unchanged replay is the run, and the parts of its time sum to it."""
    reported = 0
    for definition, _, after in joined:
        graph = complete(definition, [after])[0].graph
        run = executed(after, graph)
        assert run.usable, (after.run, run.problems)
        split = time_split(run)
        assert split is not None and sum(astuple(split)) == pytest.approx(run.makespan, abs=0.01), after.run
        # A limit that is only declared holds slots a little longer or shorter than the controller really did.
        exact = not run.limits
        assert run.replayed == pytest.approx(run.makespan, abs=2.0, rel=None if exact else SAME_RUN), after.run
        for name, parents, chains in zip(run.names, run.parents, run.chains, strict=True):
            # Of a later round of a retried template, the step is one that waited for the round before.
            waited = {run.names[p] for p in parents} - {name}
            spec = graph.step(name)
            edges = [after.steps[chain[0].source].after for chain in chains]
            if any(e is not None for e in edges) and not (spec is not None and spec.on_exit and not spec.depends_on):
                every = {a for e in edges for a in e or ()} - {name}
                # What it did not wait for after all began before the other had ended: a daemon, a driver that is ready.
                assert waited <= every and (waited == every or run.problems), (after.run, name, waited, every)
                reported += waited == every
    assert reported >= least


@KINDS
def test_nothing_is_odd_about_healthy_runs(least: int, joined: Joined, scenario: Scenario) -> None:
    """What is said of unusual input is not said here."""
    said = {
        after.run: data_warnings(definition, [after], scenario.end, RunFigures()) for definition, _, after in joined
    }
    assert {run: found for run, found in said.items() if found} == {}
    assert len(said) >= least


def _children(kind: str, run: str, scenario: Scenario) -> list[Object]:
    """TaskRuns or pods of a run that are still there."""
    label = {"PipelineRun": "tekton.dev/pipelineRun", "JobSet": "jobset.sigs.k8s.io/jobset-name"}.get(kind, "job-name")
    things = scenario.objects["TaskRun" if kind == "PipelineRun" else "Pod"].values()
    return [t for t in things if t["metadata"].get("labels", {}).get(label) == run]


def _joined(record: RunRecord, scenario: Scenario) -> None:
    """Pod times are the pods'; what ran knows its edges and what it used."""
    pods = {p["metadata"]["name"]: p for p in scenario.pods_ever.values()}
    for e in record.steps:
        if e.pod is None:
            continue
        pod = pods[e.pod]
        assert e.after is not None, e
        assert e.uid == pod["metadata"]["uid"], e
        times = (created(pod), scheduled(pod), started(pod), finished(pod))
        idle = _idle_after(pod, record.run, scenario)
        made, bound, began, ended = (None if t is None else t + idle for t in times)
        assert near(e.created, made), e
        assert near(e.scheduled, bound), e
        assert near(e.started, began, 2.0), e  # Tekton's first step is released a moment later
        assert ended is None or near(e.finished, ended), e
        assert all(c.cpu_request is not None for c in e.containers if c.name not in ("wait", "init", "prepare")), e
        images = {c["name"]: c["image"] for c in pod["spec"]["containers"]}
        assert all(c.image == images[c.name] for c in e.containers if c.name in images), e


def _idle_after(pod: Object, run: str, scenario: Scenario) -> float:
    """Seconds between a run's failure and its retry, for the pods before it: the record is as if there were none."""
    if run != RETRIED:
        return 0.0
    of_run = [
        p for p in scenario.pods_ever.values() if p["metadata"]["labels"].get("workflows.argoproj.io/workflow") == run
    ]
    *before, again = sorted(of_run, key=lambda p: created(p) or 0.0)
    return 0.0 if pod is again else (created(again) or 0.0) - max(finished(p) or 0.0 for p in before)

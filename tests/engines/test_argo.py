"""Records of live Argo runs against the status their controller wrote, one test per construct."""

from __future__ import annotations

import pytest

from concertmaster.core.analysis.replay import executed
from concertmaster.core.model import Outcome, StepExecution, WorkflowKey
from concertmaster.engines import Claims
from concertmaster.engines.argo.live import workflow_of
from tests.engines.conftest import PACKED
from tests.support.engines.argo_runs import ADHOC, PICKED, Definitions, Run, packed_with
from tests.support.engines.argo_runs import agree as agree  # what the fixture asks of every run
from tests.support.engines.expected import ARGO
from tests.support.engines.scenario import NAMESPACE, Object, Scenario, about, documents
from tests.support.engines.times import created

ELSEWHERE = "fan-items-x8t4w"


@about("fan-items")
def test_fan_out_over_items(run: Run) -> None:
    assert run.key.kind == "WorkflowTemplate"


@about("fan-param")
def test_fan_out_over_a_parameter(run: Run) -> None:
    assert [e.item for e in run.record.steps if e.step == "each"] == ["0:a.csv", "1:b.csv", "2:c.csv"]


@about("fan-chain")
def test_items_that_go_through_several_steps_on_their_own(run: Run, definitions: Definitions) -> None:
    replayed = executed(run.record, definitions[run.key].graph)
    chain = [(a.step, a.item) for a in replayed.critical]
    assert chain == [("part.extract", "2:16"), ("part.clean", "2:16"), ("part.seal", "2:16"), ("load", None)]
    assert replayed.problems == ()


@about("fan-sequence")
def test_fan_out_over_a_sequence_within_a_template_limit(run: Run, definitions: Definitions) -> None:
    assert most_at_once(run, "page") == 2
    assert [(limit.steps, limit.limit) for limit in definitions[run.key].graph.limits] == [(("page", "done"), 2)]


@about("no-items")
def test_fan_outs_without_items(run: Run) -> None:
    assert run.step("each").message == run.step("page").message == "Skipped, empty params"
    assert run.step("some", "1:2").message == "when '2 != 2' evaluated false"


def test_a_run_at_another_entrypoint_is_none_of_the_workflow(scenario: Scenario, definitions: Definitions) -> None:
    run, claims = scenario.of("Workflow", ELSEWHERE), Claims(definitions.values())
    assert run["spec"]["workflowTemplateRef"] == {"name": "fan-items"}
    assert claims.of(run) is None
    assert (
        claims.of(scenario.run_of("fan-items")) is definitions[WorkflowKey(NAMESPACE, "WorkflowTemplate", "fan-items")]
    )


@about("nested")
def test_nested_referenced_and_inline_templates(run: Run) -> None:
    assert run.step("load").pod is not None
    assert run.step("report").pod is not None


@about("conditions")
def test_conditions_and_depends_expressions(run: Run) -> None:
    assert run.step("tails").message == "when 'heads == tails' evaluated false"
    assert run.step("celebrate").message == "omitted: depends condition not met"
    assert run.step("shaky").reason == "Error"


@about("single")
def test_a_workflow_of_one_template(run: Run) -> None:
    assert run.step("only").pod == run.name


@about("shared-chain")
def test_a_cluster_template(run: Run) -> None:
    assert run.key == WorkflowKey(NAMESPACE, "ClusterWorkflowTemplate", "shared-chain")


@about("every-minute")
def test_a_schedule_with_its_own_workflow(run: Run, definitions: Definitions) -> None:
    assert run.key == WorkflowKey(NAMESPACE, "CronWorkflow", "every-minute")
    assert definitions[run.key].schedule == "* * * * *"


@about("trigger-single")
def test_a_schedule_that_only_starts_a_template(run: Run, definitions: Definitions) -> None:
    assert run.key == WorkflowKey(NAMESPACE, "WorkflowTemplate", "single")
    assert WorkflowKey(NAMESPACE, "CronWorkflow", "trigger-single") not in definitions


@about("retry-oom")
def test_retries_after_running_out_of_memory(run: Run) -> None:
    for item in ("0:0", "1:1"):
        assert [run.step("train", item, n).reason for n in range(3)] == ["OOMKilled", "OOMKilled", None]
        assert [run.step("train", item, n).exit_code for n in range(3)] == [137, 137, 0]
        for n in (1, 2):  # the back-off of two seconds lies between the end of one attempt and the next
            assert run.step("train", item, n).ready == run.step("train", item, n - 1).finished


@about("retry-rounds")
def test_a_template_is_retried_whose_steps_are(run: Run, definitions: Definitions) -> None:
    """As with a retryStrategy in templateDefaults: the second round begins when the first has failed."""
    assert run.record.outcome is Outcome.SUCCEEDED
    replayed = executed(run.record, definitions[run.key].graph)
    assert replayed.problems == ()
    chain = [(a.step, a.attempt) for a in replayed.critical]
    assert chain == [("read", 0), ("train", 0), ("train", 1), ("read", 1), ("train", 2)]


@about("retry-exhausted")
def test_retries_that_do_not_help_and_an_exit_handler(run: Run) -> None:
    assert run.record.outcome is Outcome.FAILED
    assert run.step("fragile", None, 1).exit_code == 2


@about("handlers")
def test_handlers_and_hooks(run: Run) -> None:
    assert run.step("after").ready == run.step("guarded.onExit").finished


@about("suspended")
def test_suspending_takes_time_but_no_pod(run: Run) -> None:
    pause = run.step("pause")
    assert pause.pod is None and pause.created is not None and pause.finished is not None
    assert pause.finished - pause.created >= 3.0


@about("daemons")
def test_a_daemon_runs_beside_its_successors(run: Run, definitions: Definitions) -> None:
    spec = definitions[run.key].graph.step("server")
    assert spec is not None and spec.daemon
    server, client = run.step("server"), run.step("client")
    assert client.ready == server.serving == server.finished  # the moment it was ready, says the controller


@about("containers")
def test_a_set_of_containers_is_one_pod(run: Run, definitions: Definitions) -> None:
    spec = definitions[run.key].graph.step("packed")
    assert spec is not None and {c.name for c in spec.containers} >= {"fetch", "main"}


@about("limited")
def test_parallelism_of_the_workflow(run: Run, definitions: Definitions) -> None:
    assert definitions[run.key].graph.parallelism == 2
    assert most_at_once(run, "slice") in (2, 3)  # the controller itself sometimes lets one more begin


@about("locked")
def test_mutexes_and_semaphores(run: Run, definitions: Definitions) -> None:
    graph = definitions[run.key].graph
    write, query = graph.step("write"), graph.step("query")
    assert write is not None and query is not None
    assert (write.locks, query.locks) == (("mutex/ledger",), ("semaphore/lock-limits/database",))
    for step in ("write", "query"):
        mine = sorted((e for e in run.record.steps if e.step == step), key=lambda e: created(pod_of(run, e)) or 0.0)
        begun = created(pod_of(run, mine[-1])) or 0.0
        assert begun >= min(e.finished or 0.0 for e in mine)  # the last one had to wait for the lock
        assert (mine[-1].created or 0.0) < begun - 1  # its node was there long before its pod


@about("memoized-f6z3q")
def test_a_memoized_step_that_misses_its_cache(run: Run) -> None:
    assert run.step("fetch").cache_hit is False
    assert run.step("use").cache_hit is None


@about("memoized-r4h8y")
def test_a_memoized_step_that_hits_its_cache(run: Run) -> None:
    assert run.step("fetch").cache_hit is True
    assert run.step("fetch").pod is None


@about("wide")
def test_a_compressed_node_table(run: Run) -> None:
    assert packed_with(run.object["status"]) == PACKED[0]
    assert len(run.record.steps) == 33


@about("sidecars")
def test_sidecars(run: Run, definitions: Definitions) -> None:
    spec = definitions[run.key].graph.step("query")
    assert spec is not None and [c.name for c in spec.containers if c.sidecar] == ["proxy"]


@pytest.mark.parametrize("run", ["stopped-w5n8r", "stopped-y2c6f"], indirect=True)
def test_a_run_that_its_user_stopped_or_terminated(run: Run) -> None:
    """Neither the run nor the step it ended has failed: the controller says Failed of both."""
    assert run.object["status"]["phase"] == "Failed"
    assert run.step("long").reason == "Stopped"


@about("overdue")
def test_a_timeout_of_a_template(run: Run, definitions: Definitions) -> None:
    spec = definitions[run.key].graph.step("slow")
    assert spec is not None and (spec.has_timeout, spec.timeout_seconds) == (True, 8.0)
    assert run.record.outcome is Outcome.FAILED
    assert run.step("slow").reason == "DeadlineExceeded"


@pytest.mark.parametrize("run", ["turns-j3w6d", "turns-v2m9k"], indirect=True)
def test_a_mutex_of_the_workflow(run: Run, scenario: Scenario, definitions: Definitions) -> None:
    assert definitions[run.key].notes == ("Runs take turns: the whole workflow needs mutex/stage.",)
    other = Run(scenario, definitions, next(name for name in ARGO if name.startswith("turns-") and name != run.name))
    first, second = sorted((run.record, other.record), key=lambda r: r.start or 0.0)
    assert first.end is not None and second.start is not None
    assert first.end <= second.start


@about("adhoc")
def test_a_run_without_a_template(run: Run) -> None:
    assert workflow_of(run.object) is None
    assert run.key == ADHOC


@about("picked")
def test_a_run_selected_by_labels_that_its_pods_do_not_carry(run: Run, definitions: Definitions) -> None:
    assert not any("team" in pod["metadata"]["labels"] for pod in run.pods.values())
    assert Claims(definitions.values()).of(run.object) is definitions[PICKED]
    assert run.key == PICKED


def test_every_run_is_compared(scenario: Scenario) -> None:
    """No workflow of the play is left out by accident, but for the one nobody observes and one of another entrypoint."""
    left = set(scenario.objects["Workflow"]) - {scenario.run_of(name)["metadata"]["name"] for name in ARGO}
    scheduled = {name for name in left if name.startswith(("every-minute-", "trigger-single-"))}  # on a slow machine
    elsewhere = {d["metadata"]["name"] for d in documents("argo-rounds") if d["kind"] == "Workflow"}
    assert left - scheduled - elsewhere == {"stranger-6xk4j", ELSEWHERE}


def pod_of(run: Run, e: StepExecution) -> Object:
    """The pod of an execution."""
    return next(p for p in run.pods.values() if p["metadata"]["name"] == e.pod)


def most_at_once(run: Run, step: str) -> int:
    """How many of a step's pods existed unfinished at the same time, at most (times are whole seconds)."""
    spans = [(e.created, e.finished) for e in run.record.steps if e.step == step]
    known = [(a, b) for a, b in spans if a is not None and b is not None]
    assert len(known) == len(spans)
    return max(sum(a <= t < b for a, b in known) for t, _ in known)

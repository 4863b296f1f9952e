"""From pods back to runs, steps, items and attempts, compared with a controller that knows the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core.model import ContainerFact, Outcome, PodFact, StepExecution, WorkflowDefinition
from concertmaster.engines import UNKNOWN_STEP, assign, define
from concertmaster.engines.assign import Assignment
from tests.support.builders import build_run, build_runs
from tests.support.counting import growth
from tests.support.engines.argo_definitions import DYNAMIC, NESTED, RUN, spec_of, specs, the_definition
from tests.support.engines.argo_oracle import Controller, Node, fnv, leaf, pods, template


def placed(facts: list[PodFact], *definitions: WorkflowDefinition, run: str = RUN) -> dict[str, StepExecution]:
    """Executions by pod uid after items and attempts were numbered."""
    found = assign(facts, definitions)
    assert found.unassigned == {}
    executions = found.executions[definitions[0].key][run]
    record = build_run(definitions[0].key, run, executions, definitions[0])
    return {e.uid or "": e for e in record.steps}


def compare(
    nodes: list[Node], facts: list[PodFact], executions: dict[str, StepExecution], exact_items: bool = True
) -> None:
    assert len(executions) == len(nodes)
    # the handler of a whole fan-out also waits for those of its items, which no graph of steps can say
    fanned = {n.name.rpartition(f"({n.items[-1]})")[0] for n in nodes if n.items}
    first = min(n.created for n in nodes)  # history knows no earlier sign of a run than its first pod
    for node, fact in zip(nodes, facts, strict=True):
        e = executions[fact.uid]
        assert e.step == node.step, node
        assert e.attempt == node.attempt, node
        if exact_items:
            assert (e.item or "") == " / ".join(node.items), node
        if not (node.step.endswith(".onExit") and (node.name.rpartition(".onExit")[0] in fanned)):
            assert e.ready == pytest.approx(max(node.ready, first)), node
        assert e.outcome is (Outcome.FAILED if node.failed else Outcome.SUCCEEDED)


@pytest.mark.parametrize("version", [1, 2])
def test_every_pod_of_a_nested_fanned_out_retried_run_is_recognised(version: int) -> None:
    nodes = Controller(NESTED, RUN, failures=lambda n: len(n) % 3).execute()
    assert len(nodes) == 18
    facts = pods(nodes, RUN, version=version)
    compare(nodes, facts, placed(facts, the_definition(NESTED)))


def test_pods_of_runs_with_retries_of_the_controllers_defaults_are_recognised() -> None:
    """A retry is part of the names of nodes, of which those of pods are made: without the defaults no pod fits."""
    spec = spec_of({"dag": {"tasks": [{"name": "a", "template": "run"}]}}, leaf("run"))
    retry = {"retryStrategy": {"limit": 2}}
    nodes = Controller({**spec, **retry}, RUN, failures=lambda n: 0).execute()
    controller = {"data": {"workflowDefaults": json.dumps({"spec": retry})}}
    definition = define(template("etl", spec), lambda kind, name: controller if kind == "ConfigMap" else None)
    assert definition is not None
    compare(nodes, facts := pods(nodes, RUN), placed(facts, definition))


@given(specs(), st.integers(0, 3), st.sampled_from([1, 2]))
@settings(max_examples=120, deadline=None)
def test_any_workflow_is_recognised_from_its_pods_alone(spec: dict[str, Any], salt: int, version: int) -> None:
    nodes = Controller(spec, RUN, failures=lambda n: (fnv(n) + salt) % 3).execute()
    facts = pods(nodes, RUN, version=version)
    compare(nodes, facts, placed(facts, the_definition(spec)))


def test_every_step_inside_thousands_of_items_is_recognised() -> None:
    """What the names of many steps have in common counts once against the limit of what is hashed for a run."""
    items = [f"{n:05}/{'x' * 90}" for n in range(2_000)]
    inner = {"name": "inner", "steps": [[{"name": f"s{k}", "template": "run"}] for k in range(20)]}
    outer = {"name": "each", "template": "inner", "withItems": items}
    spec = spec_of({"dag": {"tasks": [outer]}}, inner, leaf("run"))
    pod = f"{RUN}-run-{fnv(f'{RUN}.each(1999:{items[-1]})[19].s19')}"
    last = PodFact("data", pod, "u", owner_kind="Workflow", owner_name=RUN)
    assert [(e.step, e.item) for e in placed([last], the_definition(spec)).values()] == [
        ("each.s19", f"1999:{items[-1]}")
    ]


@pytest.mark.parametrize("item", ["{{", "}}", "{{}}", "a{{b", {"k": "{{"}])
def test_braces_that_are_no_variable_are_text(item: object) -> None:
    task = {"name": "work", "template": "run", "withItems": [item, "x"]}
    spec = spec_of({"dag": {"tasks": [task]}}, leaf("run"))
    for version in (1, 2):
        nodes = Controller(spec, RUN).execute()
        facts = pods(nodes, RUN, version=version)
        compare(nodes, facts, placed(facts, the_definition(spec)))


def test_items_only_known_at_run_time_keep_step_and_attempts() -> None:
    """Two attempts of one unknown item have the same hash before "(0)" and "(1)"."""
    items = [{"file": f"part {n}"} for n in range(20)]
    control = Controller(
        DYNAMIC, RUN, failures=lambda n: fnv(n) % 4 if ".work(" in n else 0, param_items={"work": items}
    )
    nodes = control.execute()
    facts = pods(nodes, RUN)
    executions = placed(facts, the_definition(DYNAMIC))
    compare(nodes, facts, executions, exact_items=False)
    by_item: dict[str | None, set[tuple[str, ...]]] = {}
    for node, fact in zip(nodes, facts, strict=True):
        by_item.setdefault(executions[fact.uid].item, set()).add(node.items)
    assert len(by_item) == 21  # one for each item, and None
    assert all(len(found) == 1 for found in by_item.values())


def test_items_assumed_from_a_default_fall_back_to_the_template() -> None:
    tasks = [
        {"name": "a", "template": "list"},
        {"name": "work", "template": "run", "dependencies": ["a"], "withParam": "{{workflow.parameters.l}}"},
    ]
    spec = spec_of(
        {"dag": {"tasks": tasks}},
        leaf("list"),
        leaf("run"),
        arguments={"parameters": [{"name": "l", "value": '["p"]'}]},
    )
    nodes = Controller(spec, RUN, param_items={"work": ["p", "other"]}).execute()
    facts = pods(nodes, RUN)
    executions = placed(facts, the_definition(spec))
    assert [executions[f.uid].step for f in facts] == ["a", "work", "work"]
    assert executions[facts[1].uid].item == "0:p"
    assert (executions[facts[2].uid].item or "").startswith("#")


def test_a_workflow_of_one_template_has_the_pod_named_like_the_run() -> None:
    spec = {"entrypoint": "only", "templates": [leaf("only")]}
    nodes = Controller(spec, RUN).execute()
    facts = pods(nodes, RUN)
    assert facts[0].pod == RUN
    assert [e.step for e in placed(facts, the_definition(spec)).values()] == ["only"]


def test_a_retried_root_template() -> None:
    spec = {"entrypoint": "only", "templates": [leaf("only", retryStrategy={"limit": 2})]}
    nodes = Controller(spec, RUN, failures=lambda n: 2).execute()
    facts = pods(nodes, RUN)
    assert [e.attempt for e in placed(facts, the_definition(spec)).values()] == [0, 1, 2]


def rounds(limits: tuple[object, ...], names: list[str]) -> list[tuple[str, str | None, int]]:
    """Step, item and attempt of the pods of these nodes of one step, in templates within one another that are retried."""
    leaf_of = {
        "name": "leaf",
        "dag": {"tasks": [{"name": "work", "template": "run"}, {"name": "end", "template": "run"}]},
    }
    blocks = [
        {
            "name": f"b{i}",
            "dag": {"tasks": [{"name": "in", "template": f"b{i + 1}"}]},
            "retryStrategy": {"limit": limit},
        }
        for i, limit in enumerate(limits)
    ]
    blocks[-1]["dag"] = {"tasks": [{"name": "in", "template": "leaf"}]}
    definition = the_definition(
        spec_of({"dag": {"tasks": [{"name": "block", "template": "b0"}]}}, *blocks, leaf_of, leaf("run"))
    )
    facts = [
        PodFact(
            "data", f"{RUN}-run-{fnv(RUN + name)}", f"u{i}", owner_kind="Workflow", owner_name=RUN, created=float(i)
        )
        for i, name in enumerate(names)
    ]
    found = placed(facts, definition)
    return [(e.step, e.item, e.attempt) for e in (found[f.uid] for f in facts)]


@pytest.mark.parametrize("limit", [9, "9", None, "{{workflow.parameters.limit}}"])
def test_all_rounds_of_a_template_that_is_retried_as_a_whole_are_recognised(limit: object) -> None:
    """Another step runs the same template, so that only the name of the node tells them apart."""
    found = rounds((limit,), [f".block({n}).in.work" for n in range(10)])
    assert found == [("block.in.work", None, n) for n in range(10)]


def test_rounds_within_rounds_are_numbered_as_their_objects_tell() -> None:
    names = [f".block({outer}).in({inner}).in.work" for outer in range(6) for inner in range(2)]
    found = rounds((5, 1), names)
    assert found == [("block.in.in.work", None, n) for n in range(12)]


def dag(*names: str) -> dict[str, Any]:
    return spec_of({"dag": {"tasks": [{"name": n, "template": "run"} for n in names]}}, leaf("run"))


def test_the_longest_fitting_name_does_not_win_over_the_evidence() -> None:
    plain, daily = the_definition(dag("a", "b"), "etl"), the_definition(dag("c"), "etl-daily")
    run = "etl-daily-x7k2z"
    facts = pods(Controller(dag("a", "b"), run).execute(), run)
    found = assign(facts, [plain, daily])
    assert list(found.executions) == [plain.key]


def test_a_run_that_only_shares_a_prefix_is_counted_as_unassigned() -> None:
    facts = pods(Controller(dag("x", "y"), RUN).execute(), RUN)
    found = assign(facts, [the_definition(dag("a", "b"))])
    assert found.executions == {}
    (reason,) = found.unassigned
    assert "fits a known Argo template" in reason
    assert found.unassigned[reason] == 2


def test_a_run_without_any_fitting_template() -> None:
    facts = pods(Controller(dag("a"), "other-x7k2z").execute(), "other-x7k2z")
    assert "no known Argo template" in next(iter(assign(facts, [the_definition(dag("a"))]).unassigned))


def test_definitions_of_other_namespaces_are_not_considered() -> None:
    facts = pods(Controller(dag("a"), RUN).execute(), RUN, namespace="elsewhere")
    assert assign(facts, [the_definition(dag("a"))]).executions == {}


@pytest.mark.parametrize(
    "label", ["workflows.argoproj.io/workflow-template", "workflows_argoproj_io_workflow_template"]
)
def test_an_allow_listed_label_names_the_template_whatever_the_run_is_called(label: str) -> None:
    from dataclasses import replace

    facts = [replace(f, labels={label: "etl"}) for f in pods(Controller(dag("a"), "fancy").execute(), "fancy")]
    found = assign(facts, [the_definition(dag("a"))])
    assert [list(runs) for runs in found.executions.values()] == [["fancy"]]


def test_a_changed_template_keeps_run_and_template() -> None:
    """Runs from before a task was renamed: one pod still fits, the others keep at least their template."""
    facts = pods(Controller(dag("a", "old"), RUN).execute(), RUN)
    found = assign(facts, [the_definition(dag("a", "new", "newer"))])
    steps = sorted(e.step for runs in found.executions.values() for rows in runs.values() for e in rows)
    assert steps == ["a", f"{UNKNOWN_STEP}run"]


def test_rounds_of_a_recursion_are_one_run() -> None:
    """A template that calls itself: later rounds have node names no list holds, but still the template's name."""
    loop = {
        "name": "main",
        "steps": [[{"name": "work", "template": "run"}], [{"name": "again", "template": "main", "when": "x"}]],
    }
    d = define(template("etl", {"entrypoint": "main", "templates": [loop, leaf("run")]}))
    assert d is not None
    names = [f"{RUN}{'[1].again' * n}[0].work" for n in range(4)]
    nodes = [Node(n, "run", "work", (), 0, 0.0, 20.0 * i, 20.0 * i + 10, False) for i, n in enumerate(names)]
    executions = assign(pods(nodes, RUN), [d]).executions[d.key][RUN]
    (record,) = build_runs(d.key, RUN, executions, d)
    assert {e.step for e in record.steps} == {"work"}
    assert len({e.item for e in record.steps}) == 4
    assert record.outcome is Outcome.SUCCEEDED


def test_a_huge_list_of_items_is_one_fan_out_of_unknown_names() -> None:
    items = json.dumps([f"item {n}" for n in range(100_000)])
    tasks = [{"name": "a", "template": "list"}, {"name": "many", "template": "run", "withParam": items}]
    spec = spec_of({"dag": {"tasks": tasks}}, leaf("list"), leaf("run"))
    d = the_definition(spec)
    many = d.graph.step("many")
    assert many is not None
    assert (many.width, many.path[-1].items) == (100_000, None)
    small = spec_of({"dag": {"tasks": [tasks[0], {**tasks[1], "withParam": "x"}]}}, leaf("list"), leaf("run"))
    control = Controller(small, RUN, param_items={"many": [f"item {n}" for n in range(50)]})
    facts = pods(control.execute(), RUN)
    assert {e.step for e in placed(facts, d).values()} == {"a", "many"}


def test_helper_pods_of_argo_are_no_steps() -> None:
    facts = pods(Controller(dag("a"), RUN).execute(), RUN)
    agent = PodFact("data", f"{RUN}-123-agent", "u1", owner_kind="Workflow", owner_name=RUN)
    collector = PodFact("data", f"{RUN}-artgc-wfcomp-99", "u2", owner_kind="Workflow", owner_name=RUN)
    found = assign([*facts, agent, collector], [the_definition(dag("a"))])
    assert found.pods == 1
    assert list(found.unassigned.values()) == [2]


def test_the_agent_of_a_run_says_nothing_about_whose_run_it_is() -> None:
    """Beside pods that no hash can confirm, as of a list that only an ``http`` step knows; and alone."""
    tasks = [
        {"name": "ask", "template": "ask"},
        {"name": "many", "template": "run", "withParam": "{{tasks.ask.outputs.result}}"},
    ]
    spec = spec_of({"dag": {"tasks": tasks}}, {"name": "ask", "http": {"url": "http://service.example"}}, leaf("run"))
    control = Controller(spec, RUN, param_items={"many": ["p", "q"]})
    facts = [f for f in pods(control.execute(), RUN) if "-ask-" not in f.pod]
    agent = PodFact("data", f"{RUN}-123-agent", "u1", owner_kind="Workflow", owner_name=RUN)
    found = assign([*facts, agent], [the_definition(spec)])
    assert {e.step for runs in found.executions.values() for e in runs[RUN]} == {"many"}
    assert assign([agent], [the_definition(spec)]).unassigned == found.unassigned


def test_truncated_pod_names() -> None:
    long = "t" * 240
    spec = {
        "entrypoint": "main",
        "templates": [{"name": "main", "steps": [[{"name": "a", "template": long}]]}, leaf(long)],
    }
    facts = pods(Controller(spec, RUN).execute(), RUN)
    assert len(facts[0].pod) <= 253
    assert [e.step for e in placed(facts, the_definition(spec)).values()] == ["a"]


def test_a_killed_sidecar_does_not_fail_the_step() -> None:
    spec = {"entrypoint": "only", "templates": [leaf("only", sidecars=[{"name": "proxy", "image": "p"}])]}
    main = ContainerFact("main", started=1.0, finished=2.0)
    proxy = ContainerFact("proxy", started=1.0, finished=2.0, reason="Error")
    fact = PodFact(
        "data", RUN, "u", owner_kind="Workflow", owner_name=RUN, created=0.0, phase="Failed", containers=(main, proxy)
    )
    (execution,) = placed([fact], the_definition(spec)).values()
    assert execution.outcome is Outcome.SUCCEEDED
    broken = PodFact("data", RUN, "u", owner_kind="Workflow", owner_name=RUN, created=0.0, phase="Failed",
                     containers=(ContainerFact("main", reason="OOMKilled"), proxy))  # fmt: skip
    (execution,) = placed([broken], the_definition(spec)).values()
    assert (execution.outcome, execution.reason) == (Outcome.FAILED, "OOMKilled")


def test_ten_thousand_items_are_placed_in_proportion_to_their_number() -> None:
    def items(count: int) -> Callable[[], Assignment]:
        tasks = [{"name": "many", "template": "run", "withSequence": {"count": str(count)}}]
        spec = spec_of({"dag": {"tasks": tasks}}, leaf("run", retryStrategy={}))
        facts, defined = pods(Controller(spec, RUN).execute(), RUN), [the_definition(spec)]
        return lambda: assign(facts, defined)

    assert items(10_000)().pods == 10_000
    assert growth(items, 1_000) < 2.2

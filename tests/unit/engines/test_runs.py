"""Run records: ready times, outcome, names used twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.model import Outcome, Source, StepExecution, StepSpec, WorkflowDefinition, WorkflowGraph
from concertmaster.engines import RunBuilder, define, span
from tests.support.builders import build_run, build_runs
from tests.support.core.run_graphs import DIAMOND, definition, task
from tests.support.engines.argo_oracle import leaf, template


def ran(
    step: str, begin: float, end: float | None, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any
) -> StepExecution:
    uid = f"{step}-{begin}-{fields.get('item')}"
    return StepExecution(step, uid=uid, created=begin, started=begin, finished=end, outcome=outcome, **fields)


def record(*rows: StepExecution, d: WorkflowDefinition = DIAMOND, as_of: float | None = None) -> Any:
    return build_run(d.key, "r", rows, d, as_of=as_of)


def ready(*rows: StepExecution, d: WorkflowDefinition = DIAMOND) -> dict[str, float | None]:
    return {e.step: e.ready for e in record(*rows, d=d).steps}


def test_a_step_is_ready_when_its_last_dependency_ended() -> None:
    found = ready(ran("a", 0, 10), ran("b", 11, 20), ran("c", 11, 35), ran("d", 36, 40))
    assert found == {"a": 0, "b": 10, "c": 10, "d": 35}


def test_executions_stay_as_they_were_read() -> None:
    rows = [ran("a", 0, 10), ran("b", 11, 20), ran("c", 11, 35), ran("d", 36, 40)]
    found = RunBuilder(DIAMOND.key, DIAMOND, None).run("r", rows)
    assert [e.ready for e in found.steps] == [0, 10, 10, 35]
    assert [e.ready for e in rows] == [None] * 4


def test_a_later_attempt_is_ready_when_the_one_before_it_ended() -> None:
    rows = record(ran("a", 0, 10, Outcome.FAILED), ran("a", 15, 20, attempt=1), ran("b", 21, 30)).steps
    assert [(e.step, e.attempt, e.ready) for e in rows] == [("a", 0, 0), ("a", 1, 10), ("b", 0, 20)]


def test_a_skipped_step_is_looked_through() -> None:
    assert ready(ran("a", 0, 10), ran("c", 11, 30), ran("d", 31, 40))["d"] == 30
    assert ready(ran("a", 0, 10), ran("d", 11, 40))["d"] == 10


def test_an_unknown_end_makes_the_ready_time_unknown() -> None:
    assert ready(ran("a", 0, None), ran("b", 11, 20))["b"] is None


def test_a_suspension_has_no_end_in_history() -> None:
    d = definition(task("a"), {"name": "p", "template": "pause", "dependencies": ["a"]}, task("b", "p"))
    assert ready(ran("a", 0, 10), ran("b", 500, 510), d=d)["b"] is None


def test_successors_of_a_daemon_wait_until_it_is_ready() -> None:
    d = definition({"name": "db", "template": "d"}, task("b", "db"))
    assert ready(ran("db", 5, 100, serving=9), ran("b", 10, 20), d=d)["b"] == 9
    assert ready(ran("db", 5, 100), ran("b", 10, 20), d=d)["b"] == 5  # nobody says when: its start is the least


def test_edges_that_did_not_hold_give_no_ready_time() -> None:
    assert ready(ran("a", 0, 500), ran("b", 100, 200))["b"] is None  # b began long before a ended
    assert ready(ran("a", 0, 12), ran("b", 11, 200))["b"] == 11  # clocks a second apart


def test_steps_nobody_declared_have_no_ready_time() -> None:
    assert ready(ran("a", 0, 10), ran("template:x", 11, 20))["template:x"] is None
    assert build_run(DIAMOND.key, "r", [ran("a", 0, 10)]).steps[0].ready is None


def test_start_end_and_source() -> None:
    found = record(ran("b", 11, 20), ran("a", 0, 10), ran("c", 11, 15), ran("d", 21, 30))
    assert (found.start, found.end, found.makespan, found.source) == (0, 30, 30, Source.HISTORY)
    assert [e.step for e in found.steps] == ["a", "b", "c", "d"]


ALL = (ran("a", 0, 10), ran("b", 11, 20), ran("c", 11, 20), ran("d", 21, 30))


@pytest.mark.parametrize(
    ("rows", "as_of", "outcome"),
    [
        (ALL, None, Outcome.SUCCEEDED),
        (ALL, 31.0, Outcome.SUCCEEDED),  # the graph says that nothing more will come
        (ALL[:3], 31.0, Outcome.RUNNING),
        (ALL[:3], 80_000.0, Outcome.RUNNING),  # a step may well take hours
        (ALL[:3], 90_000.0, Outcome.UNKNOWN),
        (ALL[:3], None, Outcome.UNKNOWN),
        ((*ALL[:3], ran("d", 21, 30, Outcome.FAILED)), 31.0, Outcome.FAILED),
        ((*ALL[:3], ran("d", 21, 30, Outcome.UNKNOWN)), 31.0, Outcome.UNKNOWN),
        ((*ALL[:3], ran("d", 21, 30, Outcome.FAILED), ran("d", 31, 40, attempt=1)), 41.0, Outcome.SUCCEEDED),
        ((), None, Outcome.UNKNOWN),
    ],
)
def test_outcome(rows: tuple[StepExecution, ...], as_of: float | None, outcome: Outcome) -> None:
    assert record(*rows, as_of=as_of).outcome is outcome


def test_a_failure_that_something_was_built_on_did_not_fail_the_run() -> None:
    """continueOn and depends on a failure let the run go on."""
    assert record(ran("a", 0, 10, Outcome.FAILED), *ALL[1:]).outcome is Outcome.SUCCEEDED


def test_branches_left_out_may_meet_before_what_ran_after_them() -> None:
    skipping = {"name": "e", "template": "run", "depends": "c.Omitted"}
    d = definition(task("f"), task("a", "f"), task("b", "f"), task("d", "a"), task("c", "b", "d"), skipping)
    assert record(ran("f", 0, 10, Outcome.FAILED), ran("e", 11, 20), d=d).outcome is Outcome.SUCCEEDED


def test_a_last_task_that_may_fail_is_passed_over_whatever_in_it_may_fail_itself() -> None:
    tolerant = {"continueOn": {"failed": True}}

    def defined(**fields: Any) -> WorkflowDefinition:
        tasks = [task("a"), task("b", "a"), {**task("c", "b"), "template": "inner", **fields}]
        inner = {
            "name": "inner",
            "steps": [[{"name": "x", "template": "run"}], [{"name": "y", "template": "run", **tolerant}]],
        }
        main = {"name": "main", "dag": {"tasks": tasks}}
        found = define(template("etl", {"entrypoint": "main", "templates": [main, inner, leaf("run")]}))
        assert found is not None
        return found

    rows = ran("a", 0, 10), ran("b", 11, 20, Outcome.FAILED)
    assert record(*rows, d=defined(**tolerant)).outcome is Outcome.SUCCEEDED
    assert record(*rows, d=defined()).outcome is Outcome.FAILED


def test_a_branch_left_out_hands_a_failure_on() -> None:
    """A dag fails with each branch that was left out after a failure; steps go on with the next group."""
    a = ran("a", 0, 10, Outcome.FAILED)
    both = definition(task("a"), task("b", "a", when="x"), task("c", "a", when="x"))
    assert record(a, ran("b", 11, 20), d=both).outcome is Outcome.FAILED
    assert record(a, ran("b", 11, 20), ran("c", 11, 20), d=both).outcome is Outcome.SUCCEEDED
    through = definition(task("a"), task("b", "a", when="x"), task("c", "a", when="x"), task("d", "b", "c"))
    assert record(a, ran("b", 11, 20), ran("d", 21, 30), d=through).outcome is Outcome.SUCCEEDED
    assert record(a, ran("b", 11, 20), d=through).outcome is Outcome.FAILED
    groups = [[task("a", continueOn={"failed": True})], [task("b"), task("c", when="x")]]
    for group in groups:
        for one in group:
            del one["dependencies"]
    found = define(
        template("etl", {"entrypoint": "main", "templates": [{"name": "main", "steps": groups}, leaf("run")]})
    )
    assert found is not None
    assert record(a, ran("b", 11, 20), d=found).outcome is Outcome.SUCCEEDED


def test_a_steps_template_that_is_left_out_is_a_branch_of_the_dag_around_it() -> None:
    """A step that tells of a failure does not make it good: what would have followed a success was left out."""
    tasks = [
        task("a"),
        {"name": "tell", "template": "run", "depends": "a.Failed"},
        {**task("go", "a"), "template": "inner"},
    ]
    steps = {"name": "inner", "steps": [[{"name": "x", "template": "run"}]]}
    spec = {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}, steps, leaf("run")]}
    d = define(template("etl", spec))
    assert d is not None
    rows = [ran("a", 0, 10, Outcome.FAILED), ran("tell", 11, 20)]
    assert record(*rows, d=d).outcome is Outcome.FAILED
    assert record(*rows, ran("go.x", 11, 20), d=d).outcome is Outcome.SUCCEEDED


def test_a_failure_inside_a_template_may_be_tolerated_around_it() -> None:
    """What comes after the failed step inside was left out, and what comes after the template ran."""
    groups = [
        [{"name": "try", "template": "inner", "continueOn": {"failed": True}}],
        [{"name": "z", "template": "run"}],
    ]
    inner = {"name": "inner", "dag": {"tasks": [task("a"), task("b", "a"), task("c", "b")]}}
    spec = {"entrypoint": "main", "templates": [{"name": "main", "steps": groups}, inner, leaf("run")]}
    d = define(template("etl", spec))
    assert d is not None
    failed = ran("try.a", 0, 10, Outcome.FAILED)
    assert record(failed, d=d, as_of=20.0).outcome is Outcome.RUNNING, "z is still to come"
    assert record(failed, ran("z", 11, 20), d=d, as_of=21.0).outcome is Outcome.SUCCEEDED
    assert record(failed, ran("z", 11, 20, Outcome.FAILED), d=d).outcome is Outcome.FAILED
    beside = {
        **spec,
        "templates": [{"name": "main", "steps": [*groups[:1], [*groups[1], task("y")]]}, inner, leaf("run")],
    }
    del beside["templates"][0]["steps"][1][1]["dependencies"]
    d = define(template("etl", beside))
    assert record(failed, ran("z", 11, 20), d=d, as_of=21.0).outcome is Outcome.RUNNING, "y is still to come"


@pytest.mark.parametrize("fields", [{}, {"continueOn": {"error": True}}, {"continueOn": {"failed": True}}])
def test_a_last_step_may_be_declared_to_fail_without_the_run(fields: dict[str, Any]) -> None:
    """The controller looks at ``continueOn`` of the last steps too, behind which nothing shows that the run went on."""
    d = definition(task("a"), task("report", "a", **fields))
    goes_on = fields == {"continueOn": {"failed": True}}
    expected = Outcome.SUCCEEDED if goes_on else Outcome.FAILED
    assert record(ran("a", 0, 10), ran("report", 11, 20, Outcome.FAILED), d=d).outcome is expected
    # A last task that is left out counts as failed too, and is tolerated alike (assessDAGPhase).
    assert record(ran("a", 0, 10, Outcome.FAILED), d=d).outcome is expected
    both = definition(task("a"), task("report", "a", **fields), task("b", "a"))
    assert record(ran("a", 0, 10, Outcome.FAILED), d=both).outcome is Outcome.FAILED


def test_a_tolerated_failure_may_still_be_retried() -> None:
    d = definition(task("a"), task("report", "a", continueOn={"failed": True}), retryStrategy={"limit": 1})
    rows = [ran("a", 0, 10), ran("report", 11, 20, Outcome.FAILED)]
    assert record(*rows, d=d, as_of=30.0).outcome is Outcome.RUNNING
    assert record(*rows, d=d, as_of=3000.0).outcome is Outcome.SUCCEEDED


def test_without_a_definition_a_failure_may_still_be_retried() -> None:
    failed = ran("a", 0, 10, Outcome.FAILED)
    assert build_run(DIAMOND.key, "r", [failed], None, as_of=30.0).outcome is Outcome.RUNNING
    assert build_run(DIAMOND.key, "r", [failed], None, as_of=3000.0).outcome is Outcome.FAILED


@pytest.mark.parametrize("limit", ["2", "{{workflow.parameters.tries}}"])
def test_a_failure_inside_a_template_that_is_retried_may_still_be_retried(limit: str) -> None:
    inner = {"name": "inner", "retryStrategy": {"limit": limit}, "dag": {"tasks": [task("a"), task("b", "a")]}}
    main = {"name": "main", "dag": {"tasks": [{"name": "try", "template": "inner"}, task("c", "try")]}}
    d = define(template("etl", {"entrypoint": "main", "templates": [main, inner, leaf("run")]}))
    assert d is not None
    failed = ran("try.a", 0, 10, Outcome.FAILED)
    assert record(failed, d=d, as_of=70.0).outcome is Outcome.RUNNING
    assert record(failed, d=d, as_of=3000.0).outcome is Outcome.FAILED
    assert record(
        ran("try.a", 0, 9), ran("try.b", 9, 20), ran("c", 20, 30, Outcome.FAILED), d=d, as_of=70.0
    ).outcome is (Outcome.FAILED)


def test_inside_a_tolerated_template_steps_are_left_out_after_a_failure() -> None:
    inner = {"name": "inner", "dag": {"tasks": [task("a"), task("b", "a")]}}
    last = {"name": "try", "template": "inner", "continueOn": {"failed": True}}
    spec = {"entrypoint": "main", "templates": [{"name": "main", "steps": [[last]]}, inner, leaf("run")]}
    d = define(template("etl", spec))
    assert d is not None
    assert record(ran("try.a", 0, 10, Outcome.FAILED), d=d).outcome is Outcome.SUCCEEDED
    each = {**spec, "templates": [{"name": "main", "steps": [[{**last, "withItems": [1, 2]}]]}, inner, leaf("run")]}
    d = define(template("etl", each))
    assert d is not None
    rows = [
        ran("try.a", 0, 10, Outcome.FAILED, item="0:1"),
        ran("try.a", 0, 9, item="1:2"),
        ran("try.b", 11, 20, item="1:2"),
    ]
    assert record(*rows, d=d).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("handler", "outcome"),
    [("a.onExit", Outcome.SUCCEEDED), ("a.hooks.late", Outcome.SUCCEEDED), ("onExit", Outcome.FAILED)],
)
def test_of_all_handlers_only_the_workflows_own_fails_it(handler: str, outcome: Outcome) -> None:
    d = definition(task("a", onExit="run", hooks={"late": {"template": "run", "expression": "x"}}), onExit="run")
    assert record(ran("a", 0, 10), ran(handler, 11, 20, Outcome.FAILED), d=d).outcome is outcome


def test_a_failure_of_one_item_is_not_made_good_by_another() -> None:
    spec = {
        "entrypoint": "main",
        "templates": [
            {"name": "main", "dag": {"tasks": [{"name": "part", "template": "inner", "withItems": ["x", "y"]}]}},
            {"name": "inner", "dag": {"tasks": [task("a"), task("b", "a")]}},
            leaf("run"),
        ],
    }
    d = define(template("etl", spec))
    assert d is not None
    failed, other = ran("part.a", 0, 5, Outcome.FAILED, item="0:x"), ran("part.a", 0, 10, item="1:y")
    beside = ran("part.b", 11, 20, item="1:y")
    assert record(failed, other, beside, d=d).outcome is Outcome.FAILED
    assert record(failed, other, beside, ran("part.b", 6, 9, item="0:x"), d=d).outcome is Outcome.SUCCEEDED


def test_how_the_pod_of_a_daemon_ends_says_nothing_about_the_run() -> None:
    """It is killed when those it serves have ended; where it ended before them, steps fail and a dag goes on."""
    d = definition({"name": "db", "template": "d"}, task("b", "db"))
    assert record(ran("db", 0, 22, Outcome.FAILED), ran("b", 6, 20), d=d).outcome is Outcome.SUCCEEDED
    assert record(ran("db", 0, None, Outcome.UNKNOWN), ran("b", 6, 20), d=d).outcome is Outcome.SUCCEEDED
    assert record(ran("db", 0, 12, Outcome.FAILED), ran("b", 6, 20), d=d).outcome is Outcome.UNKNOWN
    assert record(ran("db", 0, 22), ran("b", 6, 20, Outcome.FAILED), d=d).outcome is Outcome.FAILED
    # The last sample of a pod that is deleted with those it served is up to a scrape before that.
    assert record(ran("db", 0, 12, Outcome.UNKNOWN), ran("b", 6, 20), d=d).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("pod", [Outcome.SUCCEEDED, Outcome.FAILED])
@pytest.mark.parametrize(("end", "outcome"), [(21, Outcome.SUCCEEDED), (20, Outcome.UNKNOWN), (18, Outcome.FAILED)])
def test_a_daemon_that_ends_with_those_it_serves_has_not_failed(pod: Outcome, end: float, outcome: Outcome) -> None:
    """The controller kills it then; one that ends before has failed, with whatever exit code. Times are whole seconds."""
    d = definition({"name": "db", "template": "d"}, task("b", "db"), onExit="run")
    db, *others = record(ran("db", 0, end, pod, reason="Error"), ran("b", 6, 20), ran("onExit", 23, 40), d=d).steps
    assert db.outcome is outcome
    assert {e.outcome for e in others} == {Outcome.SUCCEEDED}
    lost = record(ran("db", 0, end, Outcome.UNKNOWN), ran("b", 6, 20), d=d).steps[0]
    assert lost.outcome is Outcome.UNKNOWN
    assert record(ran("db", 0, end, pod), ran("b", 6, None, Outcome.UNKNOWN), d=d).steps[0].outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("serving", [5, None])
def test_a_run_ends_with_its_last_work_however_long_a_daemon_takes_to_terminate(serving: int | None) -> None:
    """The controller ends it with the run; the pod may ignore the signal until it is killed."""
    d = definition({"name": "db", "template": "d"}, task("b", "db"))
    run = record(ran("db", 0, 41, serving=serving, pod="db"), ran("b", 6, 20, pod="b"), d=d)
    assert (run.start, run.end, run.steps[0].finished) == (0, 20, 41)
    assert span(run.steps) == (0, 20 if serving else 41), "a live record says when it was ready"
    assert record(ran("db", 0, 41), d=d).end == 41


def test_a_daemon_of_an_item_serves_that_item() -> None:
    spec = {
        "entrypoint": "main",
        "templates": [
            {"name": "main", "steps": [[{"name": "shard", "template": "shard", "withItems": ["x", "y"]}]]},
            {"name": "shard", "steps": [[{"name": "db", "template": "d"}], [{"name": "load", "template": "run"}]]},
            leaf("d", daemon=True),
            leaf("run"),
        ],
    }
    d = define(template("etl", spec))
    assert d is not None
    rows = [
        ran("shard.db", 0, 22, Outcome.FAILED, item="0:x"),
        ran("shard.load", 5, 20, item="0:x"),
        ran("shard.db", 0, 22, Outcome.FAILED, item="1:y"),
        ran("shard.load", 5, 60, item="1:y"),
    ]
    found = {(e.step, e.item): e.outcome for e in record(*rows, d=d).steps}
    assert found["shard.db", "0:x"] is Outcome.SUCCEEDED
    assert found["shard.db", "1:y"] is Outcome.FAILED


def test_an_exit_handler_after_a_failure_does_not_make_it_good() -> None:
    d = definition(task("a"), onExit="run")
    assert record(ran("a", 0, 10, Outcome.FAILED), ran("onExit", 11, 12), d=d).outcome is Outcome.FAILED


def test_conditional_cached_and_waiting_steps_may_be_missing() -> None:
    d = definition(
        task("a"),
        task("b", "a", when="x"),
        {**task("c", "a"), "template": "cached"},
        task("d", "b"),
        {**task("p", "a"), "template": "pause"},
    )
    assert record(ran("a", 0, 10), d=d).outcome is Outcome.SUCCEEDED
    assert record(ran("a", 0, 10), d=d, as_of=20.0).outcome is Outcome.RUNNING  # they may still come
    assert record(ran("a", 0, 10), d=d, as_of=2000.0).outcome is Outcome.SUCCEEDED


def test_a_fan_out_of_known_width_must_be_complete() -> None:
    d = definition(task("a", withItems=["x", "y"]))
    one, two = ran("a", 0, 10, item="0:x"), ran("a", 0, 12, item="1:y")
    assert record(one, d=d, as_of=20.0).outcome is Outcome.RUNNING
    assert record(one, two, d=d, as_of=20.0).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("later", "outcome"),
    [
        (("sum",), Outcome.SUCCEEDED),
        (("check", "sum"), Outcome.SUCCEEDED),
        ((), Outcome.UNKNOWN),  # what follows may never have begun
        (("onExit",), Outcome.UNKNOWN),  # an exit handler runs in any case
        (("check",), Outcome.UNKNOWN),
    ],
)
def test_a_fan_out_over_no_items_is_not_missing_where_what_follows_it_ran(
    later: tuple[str, ...], outcome: Outcome
) -> None:
    """As on a day without new files: the controller skips it and goes on, and no pod tells so."""
    param = "{{tasks.list.outputs.result}}"
    d = definition(
        task("list"),
        task("each", "list", withParam=param),
        task("check", "each", withParam=param),
        task("sum", "check"),
        onExit="run",
    )
    rows = [ran(name, begin, begin + 5) for begin, name in zip(range(10, 30, 10), later, strict=False)]
    assert record(ran("list", 0, 5), *rows, d=d).outcome is outcome


def test_a_step_without_a_fan_out_is_missing_though_what_follows_it_ran() -> None:
    assert record(ran("a", 0, 10), ran("b", 11, 20), ran("d", 36, 40)).outcome is Outcome.UNKNOWN


def test_inside_a_fan_out_an_item_waits_for_its_own_siblings() -> None:
    inner = {"name": "inner", "steps": [[{"name": "x", "template": "run"}], [{"name": "y", "template": "run"}]]}
    main = {"name": "main", "dag": {"tasks": [{"name": "n", "template": "inner", "withItems": [1, 2]}]}}
    d = define(template("etl", {"entrypoint": "main", "templates": [main, inner, leaf("run")]}))
    assert d is not None
    rows = [
        ran("n.x", 0, 10, item="0:1"),
        ran("n.x", 0, 50, item="1:2"),
        ran("n.y", 11, 20, item="0:1"),
        ran("n.y", 51, 60, item="1:2"),
    ]
    found = {(e.step, e.item): e.ready for e in record(*rows, d=d).steps}
    assert found["n.y", "0:1"] == 10
    assert found["n.y", "1:2"] == 50


def test_a_run_name_used_again_is_another_run() -> None:
    again = [ran(e.step, (e.created or 0) + 1000, (e.finished or 0) + 1000) for e in ALL]
    found = build_runs(DIAMOND.key, "etl", [*again, *ALL], DIAMOND)
    assert [(r.run, r.start, r.end, r.outcome) for r in found] == [
        ("etl", 0, 30, Outcome.SUCCEEDED),
        ("etl@1000", 1000, 1030, Outcome.SUCCEEDED),
    ]


def test_a_pod_without_any_time_begins_no_run() -> None:
    timeless = replace(ran(ALL[0].step, 0, 1), created=None, scheduled=None, started=None, finished=None)
    (found,) = build_runs(DIAMOND.key, "etl", [*ALL, timeless], DIAMOND)
    assert (found.start, found.end, len(found.steps)) == (0, 30, len(ALL) + 1)


def test_long_chains_of_missing_steps_are_no_problem() -> None:
    names = [f"s{n}" for n in range(1500)]
    tasks = [task(n, *names[max(0, i - 1) : i]) for i, n in enumerate(names)]
    d = definition(*tasks)
    assert ready(ran("s0", 0, 10), ran("s1499", 11, 20), d=d)["s1499"] == 10


@pytest.mark.parametrize(("clean", "outcome"), [(True, Outcome.SUCCEEDED), (False, Outcome.FAILED)])
def test_a_handler_that_builds_upon_its_own_failure_has_not_failed(clean: bool, outcome: Outcome) -> None:
    """In the template of ``onExit`` one step runs because another failed: the run ends as its main part did."""
    steps = (
        StepSpec("a"),
        StepSpec("onExit.tell", ("a",), on_exit=True, retry_limit=0),
        StepSpec("onExit.clean", ("onExit.tell",), conditional=True, on_exit=True),
    )
    rows = [ran("a", 0, 10), ran("onExit.tell", 11, 20, Outcome.FAILED)]
    rows += [ran("onExit.clean", 21, 30)] if clean else []
    d = replace(DIAMOND, graph=WorkflowGraph(steps))
    assert record(*rows, d=d, as_of=100_000.0).outcome is outcome

"""Argo specs as step graphs, one test per construct."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from concertmaster.core.model import GroupLimit, StepSpec, WorkflowDefinition
from concertmaster.engines import define
from concertmaster.engines.argo.definition import trigger
from concertmaster.engines.argo.engine import patches_pods
from concertmaster.engines.argo.expansion.items import item_name
from concertmaster.engines.argo.traits import sets_resources
from concertmaster.engines.common.manifest import Unreadable
from tests.support.counting import all_calls
from tests.support.engines.argo_oracle import leaf, template
from tests.support.engines.json_values import JSON


def defined(spec: dict[str, Any], **objects: dict[str, Any]) -> WorkflowDefinition:
    found = define(template("etl", spec), lambda kind, name: objects.get(name))
    assert found is not None
    return found


def dag(
    *tasks: dict[str, Any], templates: tuple[dict[str, Any], ...] = (leaf("run"),), **spec: Any
) -> WorkflowDefinition:
    main = {"name": "main", "dag": {"tasks": list(tasks)}}
    return defined({"entrypoint": "main", "templates": [main, *templates], **spec})


def task(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "template": "run", **({"dependencies": list(after)} if after else {}), **fields}


def step(definition: WorkflowDefinition, name: str) -> StepSpec:
    found = definition.graph.step(name)
    assert found is not None, [s.name for s in definition.graph.steps]
    return found


def reads(name: str) -> dict[str, Any]:
    return {"arguments": {"parameters": [{"name": "x", "value": f"{{{{tasks.{name}.outputs.result}}}}"}]}}


def test_dag_dependencies_become_edges_in_topological_order() -> None:
    d = dag(task("c", "a", "b"), task("b", "a"), task("a"))
    assert [s.name for s in d.graph.steps] == ["a", "b", "c"]
    assert step(d, "c").depends_on == ("a", "b")
    assert d.graph.problems == ()
    assert str(d.key) == "WorkflowTemplate/data/etl"


def test_edges_without_a_data_reference_are_distinguished_from_those_with_one() -> None:
    d = dag(task("a"), task("b", "a", **reads("a")), task("c", "a"), task("d", "b", "c", **reads("c")))
    assert step(d, "b").ordering_only == ()
    assert step(d, "c").ordering_only == ("a",)
    assert step(d, "d").ordering_only == ("b",)


@pytest.mark.parametrize(
    "fields",
    [
        {"when": "{{tasks.a.outputs.result}} == yes"},
        {"when": "{{=tasks['a'].outputs.result == 'yes'}}"},
        {"withParam": "{{tasks.a.outputs.parameters.list}}"},
        {"arguments": {"artifacts": [{"name": "x", "from": "{{tasks.a.outputs.artifacts.x}}"}]}},
        {"arguments": {"artifacts": [{"name": "x", "fromExpression": "tasks.a.outputs.artifacts.x"}]}},
        {"arguments": {"parameters": [{"name": "x", "value": "{{tasks.a.status}}"}]}},
    ],
)
def test_every_way_to_read_from_a_task_is_a_data_reference(fields: dict[str, Any]) -> None:
    assert step(dag(task("a"), task("b", "a", **fields)), "b").ordering_only == ()


def test_a_task_that_reads_from_an_ancestor_depends_on_it_directly() -> None:
    d = dag(task("a"), task("b", "a"), task("c", "b", **reads("a")))
    assert step(d, "c").depends_on == ("b", "a")
    assert step(d, "c").ordering_only == ("b",)


def test_a_shared_volume_may_carry_data() -> None:
    mounts = {"image": "i", "volumeMounts": [{"name": "work", "mountPath": "/w"}]}
    templates = ({"name": "run", "container": mounts}, leaf("plain"))
    claims = [{"metadata": {"name": "work"}, "spec": {}}]
    tasks = (task("a"), task("b", "a"), {**task("c", "a"), "template": "plain"})
    d = dag(*tasks, templates=templates, volumeClaimTemplates=claims)
    assert step(d, "b").ordering_only == ()
    assert step(d, "c").ordering_only == ("a",)
    private = dag(*tasks, templates=templates, volumes=[{"name": "work", "emptyDir": {}}])
    assert step(private, "b").ordering_only == ("a",)


def mounting(name: str, volume: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "container": {"image": "i", "volumeMounts": [{"name": volume, "mountPath": "/w"}]}, **fields}


def claiming(volume: str, claim: str) -> dict[str, Any]:
    return {"volumes": [{"name": volume, "persistentVolumeClaim": {"claimName": claim}}]}


@pytest.mark.parametrize(
    ("claim", "ordering"),
    [("day", ()), ("{{inputs.parameters.c}}", ()), ("{{ inputs.parameters.c }}", ()), ("night", ("a",))],
)
def test_a_claim_that_two_templates_mount_under_their_own_names_may_carry_data(
    claim: str, ordering: tuple[str]
) -> None:
    templates = (mounting("run", "x", **claiming("x", "day")), mounting("other", "y", **claiming("y", claim)))
    d = dag(task("a"), task("b", "a", template="other"), templates=templates)
    assert step(d, "b").ordering_only == ordering


def test_a_volume_mounted_by_the_defaults_of_all_templates_may_carry_data() -> None:
    claims = [{"metadata": {"name": "work"}, "spec": {}}]
    mounts = {"container": {"volumeMounts": [{"name": "work", "mountPath": "/w"}]}}
    script = {"name": "script", "script": {"image": "i", "source": "true"}}
    tasks = (task("a"), task("b", "a"), task("c", "a", template="script"))
    d = dag(*tasks, templates=(leaf("run"), script), volumeClaimTemplates=claims, templateDefaults=mounts)
    assert step(d, "b").ordering_only == ()
    assert step(d, "c").ordering_only == ("a",)  # the defaults are those of containers


@pytest.mark.parametrize(
    ("read", "ordering"),
    [
        ("{{ workflow.name }}/list", ()),
        ("{{inputs.parameters.key}}", ()),
        ("{{ inputs.parameters.key }}", ()),
        ("{{workflow.name}}/hourly", ("a",)),
    ],
)
def test_an_artifact_that_one_step_stores_where_the_next_fetches_it_carries_data(
    read: str, ordering: tuple[str]
) -> None:
    stored = {"name": "out", "path": "/out", "s3": {"key": "{{workflow.name}}/list"}}
    fetched = {"name": "in", "path": "/in", "s3": {"key": read}}
    fetches = {**leaf("fetches"), "inputs": {"artifacts": [fetched]}}
    templates = ({**leaf("run"), "outputs": {"artifacts": [stored]}}, fetches)
    d = dag(task("a"), task("b", "a", template="fetches"), templates=templates)
    assert step(d, "b").ordering_only == ordering
    given = task("b", "a", template="takes", arguments={"artifacts": [fetched]})
    assert step(dag(task("a"), given, templates=(templates[0], leaf("takes"))), "b").ordering_only == ordering


def test_a_global_output_carries_data_between_nested_templates() -> None:
    out = {"name": "run", "container": {"image": "i"}, "outputs": {"parameters": [{"name": "o", "globalName": "g"}]}}
    value = {"arguments": {"parameters": [{"name": "x", "value": "{{workflow.outputs.parameters.g}}"}]}}
    writes = {"name": "writes", "dag": {"tasks": [task("w")]}}
    uses = {"name": "uses", "dag": {"tasks": [task("r", **value), task("p")]}}
    d = dag(
        task("a", template="writes"),
        task("b", "a", template="uses"),
        task("c", "a", template="plain"),
        templates=(out, writes, uses, leaf("plain")),
    )
    assert step(d, "b.r").ordering_only == ()
    assert step(d, "c").ordering_only == ("a.w",)


def test_what_a_template_hands_over_does_not_depend_on_what_was_asked_before() -> None:
    out = {"name": "out", "container": {"image": "i"}, "outputs": {"parameters": [{"name": "o", "globalName": "g"}]}}
    value = {"arguments": {"parameters": [{"name": "x", "value": "{{workflow.outputs.parameters.g}}"}]}}
    uses = {"name": "uses", "dag": {"tasks": [task("r", **value)]}}
    one = {"name": "one", "dag": {"tasks": [task("again", template="other"), task("w", template="out")]}}
    other = {"name": "other", "dag": {"tasks": [task("back", template="one")]}}
    nested = [{"name": f"n{i}", "dag": {"tasks": [task("t", template=f"n{i + 1}")]}} for i in range(8)]
    last = {**out, "name": "n8"}
    tasks = [task("a", template="one"), task("b", "a", template="uses"), task("c", template="other")]
    tasks += [task("d", "c", template="uses"), task("e", template="n0"), task("f", "e", template="uses")]
    tasks += [task("g", template="n3"), task("h", "g", template="uses")]
    d = dag(*tasks, templates=(leaf("run"), out, uses, one, other, *nested, last))
    assert [step(d, f"{name}.r").ordering_only for name in "bdfh"] == [()] * 4


def test_tasks_that_share_a_template_by_an_alias_have_their_own_patch_points() -> None:
    shared = {"container": {"image": "i"}}
    nested = {"dag": {"tasks": [{"name": "x", "inline": shared}]}}
    tasks = [{"name": "a", "inline": shared}, {"name": "b", "inline": shared}, {"name": "c", "inline": nested}]
    d = dag(*tasks, {"name": "d", "inline": nested})
    assert [step(d, name).containers[0].resources_pointer for name in ("a", "b", "c.x", "d.x")] == [
        f"/spec/templates/0/dag/tasks/{place}/container/resources"
        for place in ("0/inline", "1/inline", "2/inline/dag/tasks/0/inline", "3/inline/dag/tasks/0/inline")
    ]


def test_handovers_of_templates_that_call_themselves_many_times_are_found_in_time() -> None:
    again = [task(f"t{n}", template="again") for n in range(40)]
    templates = ({"name": "again", "dag": {"tasks": [*again, task("l")]}}, leaf("run"))
    d = dag(task("a", template="again"), task("b", "a", template="again"), templates=templates)
    assert step(d, "b.l").ordering_only == ("a.l",)


def test_a_global_output_carries_data() -> None:
    out = {"name": "run", "container": {"image": "i"}, "outputs": {"parameters": [{"name": "o", "globalName": "g"}]}}
    read = {"arguments": {"parameters": [{"name": "x", "value": "{{workflow.outputs.parameters.g}}"}]}}
    d = dag(task("a"), task("b", "a", **read), task("c", "a"), templates=(out,))
    assert step(d, "b").ordering_only == ()
    assert step(d, "c").ordering_only == ("a",)


@pytest.mark.parametrize(
    ("written", "read", "ordering"),
    [
        ("my-g", "{{ workflow.outputs.parameters.my-g }}", ()),
        ("my-g", "{{=workflow.outputs.parameters['my-g']}}", ()),
        ("my-g", '{{=workflow.outputs.parameters["my-g"]}}', ()),
        ("my-g", "{{=toJson(workflow.outputs.parameters)}}", ()),
        ("{{inputs.parameters.g}}", "{{workflow.outputs.parameters.my-g}}", ()),
        ("my-g", "{{=workflow.outputs.parameters['other']}}", ("a",)),
        ("{{inputs.parameters.g}}", "{{workflow.parameters.my-g}}", ("a",)),
    ],
)
def test_a_global_output_may_be_named_in_any_way(written: str, read: str, ordering: tuple[str, ...]) -> None:
    out = {"name": "run", "container": {}, "outputs": {"parameters": [{"name": "o", "globalName": written}]}}
    given = {"arguments": {"parameters": [{"name": "x", "value": read}]}}
    d = dag(task("a"), task("b", "a", template="use", **given), templates=(out, leaf("use")))
    assert step(d, "b").ordering_only == ordering
    reads_itself = leaf("use", inputs={"parameters": [{"name": "x", "value": read}]})
    d = dag(task("a"), task("b", "a", template="use"), templates=(out, reads_itself))
    assert step(d, "b").ordering_only == ordering


@pytest.mark.parametrize(
    ("expression", "after", "conditional"),
    [
        ("a && b", ("a", "b"), False),
        ("a.Succeeded && b.Succeeded", ("a", "b"), False),
        ("a.Failed", ("a",), True),
        ("(a.Succeeded || a.Skipped) && b", ("a", "b"), True),
        ("a || b", ("a", "b"), True),
        ("!a.Succeeded", ("a",), True),
    ],
)
def test_depends_expressions(expression: str, after: tuple[str, ...], conditional: bool) -> None:
    d = dag(task("a"), task("b"), task("c", depends=expression))
    assert step(d, "c").depends_on == after
    assert step(d, "c").conditional is conditional
    assert step(d, "c").ordering_only == (() if conditional else after)


def test_whether_a_task_was_skipped_is_a_condition() -> None:
    """A deployment behind ``build.Succeeded`` does not start where the build's ``when`` left it out: the edge is no order
    alone, even if no data is passed. Behind ``build`` it would."""
    guarded = {**task("build"), "when": "{{workflow.parameters.changed}} == true"}

    def behind(expression: str, *tasks: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
        found = step(dag(*tasks, task("deploy", depends=expression)), "deploy")
        return found.ordering_only, found.conditional

    assert behind("build.Succeeded", guarded) == ((), True)
    assert behind("build.Skipped", guarded) == ((), True)
    assert behind("build", guarded) == (("build",), False)
    assert behind("build.Succeeded", task("build")) == (("build",), False)
    fan = {**task("build"), "withParam": "{{workflow.parameters.changed}}"}  # an empty list skips it
    assert behind("build.Succeeded", fan) == ((), True)
    assert behind("build", fan) == (("build",), False)
    assert behind("build.Succeeded", {**task("build"), "withParam": "[1]"}) == (("build",), False)


def test_depends_on_a_result_argo_does_not_know() -> None:
    d = dag(task("a"), task("c", depends="a.Done"))
    assert d.graph.problems == ("task 'c' of template 'main' depends on a.Done, which is no known result",)


def test_steps_groups_run_one_after_the_other() -> None:
    groups = [[task("a"), task("b")], [task("c")], [], [task("d", when="x == y")]]
    d = defined({"entrypoint": "main", "templates": [{"name": "main", "steps": groups}, leaf("run")]})
    assert step(d, "c").depends_on == ("a", "b")
    assert step(d, "d").depends_on == ("c",)
    assert step(d, "d").conditional
    assert [p.text for p in step(d, "d").path] == ["", "[3].d"]


def test_nested_templates_are_written_out() -> None:
    inner = {"name": "inner", "steps": [[task("fetch")], [task("clean"), task("check")]]}
    d = dag(
        task("a"),
        {**task("prepare", "a", **reads("a")), "template": "inner"},
        task("z", "prepare"),
        templates=(inner, leaf("run")),
    )
    assert [s.name for s in d.graph.steps] == ["a", "prepare.fetch", "prepare.clean", "prepare.check", "z"]
    assert step(d, "prepare.fetch").depends_on == ("a",)
    assert step(d, "prepare.fetch").ordering_only == ()
    assert step(d, "z").depends_on == ("prepare.clean", "prepare.check")


def test_an_empty_nested_template_passes_its_dependencies_on() -> None:
    empty = {"name": "empty", "dag": {"tasks": []}}
    d = dag(
        task("a"), {**task("nothing", "a"), "template": "empty"}, task("z", "nothing"), templates=(empty, leaf("run"))
    )
    assert step(d, "z").depends_on == ("a",)


def test_template_references_are_resolved_in_their_own_object() -> None:
    shared = template(
        "lib", {"templates": [{"name": "job", "dag": {"tasks": [{"name": "in", "template": "own"}]}}, leaf("own")]}
    )
    raw = {"name": "main", "dag": {"tasks": [{"name": "x", "templateRef": {"name": "lib", "template": "job"}}]}}
    d = defined({"entrypoint": "main", "templates": [raw]}, lib=shared)
    found = step(d, "x.in")
    assert found.template == "own"
    assert found.containers[0].resources_pointer is None  # another object's template cannot be patched through this one
    assert d.notes == ("Step x.in runs template own of WorkflowTemplate lib: change its resources there.",)
    changed = template("lib", {**shared["spec"], "parallelism": 3})
    assert define(template("etl", {"entrypoint": "main", "templates": [raw]}), lambda k, n: changed) != d


def test_cluster_scoped_references_ask_for_the_cluster_kind() -> None:
    asked = []
    raw = {
        "name": "main",
        "steps": [[{"name": "x", "templateRef": {"name": "lib", "template": "job", "clusterScope": True}}]],
    }
    define(template("etl", {"entrypoint": "main", "templates": [raw]}), lambda kind, name: asked.append((kind, name)))
    assert ("ClusterWorkflowTemplate", "lib") in asked and ("WorkflowTemplate", "lib") not in asked


def test_a_template_that_may_not_be_read_is_distinguished_from_one_that_is_not_there() -> None:
    def look(kind: str, name: str) -> None:
        raise Unreadable("denied")

    raw = {"name": "main", "dag": {"tasks": [REFERENCE]}}
    found = define(template("etl", {"entrypoint": "main", "templates": [raw]}), look)
    assert found is not None
    assert any("template 't' of WorkflowTemplate l, which cannot be read" in p for p in found.graph.problems)


def test_inline_templates_have_a_patch_point_in_the_task() -> None:
    d = dag({"name": "x", "inline": {"container": {"image": "i", "resources": {"requests": {"cpu": "1"}}}}})
    found = step(d, "x")
    assert found.template is None
    assert found.containers[0].resources_pointer == "/spec/templates/0/dag/tasks/0/inline/container/resources"


@pytest.mark.parametrize(
    ("fields", "items", "width"),
    [
        ({"withItems": ["a", "b"]}, ("0:a", "1:b"), 2),
        ({"withItems": [1, True, 2.5]}, ("0:1", "1:true", "2:2.5"), 3),
        ({"withItems": [{"b": 1, "a": "x"}]}, ("0:a:x,b:1",), 1),
        ({"withItems": [["x", 1]]}, ("0:[x 1]",), 1),
        ({"withItems": ["f(x)"]}, ("0:fx",), 1),
        ({"withItems": ['say "hi"']}, ('0:say \\"hi\\"',), 1),
        ({"withItems": ["{{inputs.parameters.x}}", "b"]}, None, 2),
        ({"withParam": "{{tasks.a.outputs.result}}"}, None, None),
        ({"withParam": '["x", {"k": "v"}]'}, ("0:x", "1:k:v"), 2),
        (
            {"withParam": '[1.0, 2.50, 1e-3, {"r": 0.10}, [1.0]]'},
            ("0:1.0", "1:2.50", "2:1e-3", "3:r:0.10", "4:[1.0]"),
            5,
        ),
        ({"withItems": [1.0, {"r": 0.5}]}, ("0:1", "1:r:0.5"), 2),
        ({"withSequence": {"count": "-1"}}, ("0:0", "1:-1", "2:-2"), 3),
        ({"withParam": "{{workflow.parameters.list}}"}, ("0:p", "1:q"), None),
        ({"withParam": "{{workflow.parameters.none}}"}, None, None),
        ({"withParam": "[]"}, (), 0),
        ({"withSequence": {"count": "{{workflow.parameters.zero}}"}}, None, None),
        ({"withSequence": {"count": "0"}}, (), 0),
        ({"withSequence": {"count": "3"}}, ("0:0", "1:1", "2:2"), 3),
        ({"withSequence": {"start": 5, "end": 3}}, ("0:5", "1:4", "2:3"), 3),
        ({"withSequence": {"count": 2, "format": "part-%03d"}}, ("0:part-000", "1:part-001"), 2),
        ({"withSequence": {"count": "{{tasks.a.outputs.result}}"}}, None, None),
        ({"withSequence": {"count": "1000000"}}, None, 1_000_000),
    ],
)
def test_fan_out(fields: dict[str, Any], items: tuple[str, ...] | None, width: int | None) -> None:
    values = {"list": '["p", "q"]', "none": "[]", "zero": "0"}
    parameters = [{"name": name, "value": value} for name, value in values.items()]
    d = dag(task("a"), task("b", "a", **fields), arguments={"parameters": parameters})
    found = step(d, "b")
    assert found.fan_out
    assert found.width == width
    assert found.path[-1].items == items
    assert d.graph.problems == ()


def test_retries_of_templates_around_a_step_multiply() -> None:
    inner = {"name": "inner", "retryStrategy": {"limit": 2}, "dag": {"tasks": [task("x", template="run")]}}
    around = {"name": "around", "retryStrategy": {"limit": "1"}, "steps": [[task("y", template="inner")]]}
    endless = {"name": "endless", "retryStrategy": {}, "dag": {"tasks": [task("z", template="run")]}}
    d = dag(
        task("a"), task("b", template="inner"), task("c", template="around"), task("d", template="endless"),
        templates=(leaf("run", retryStrategy={"limit": 4}), inner, around, endless),
    )  # fmt: skip
    found = {s.name: (s.retry_limit, s.outer_retries) for s in d.graph.steps}
    assert found == {"a": (4, 0), "b.x": (4, 2), "c.y.x": (4, 5), "d.z": (4, None)}


def test_fan_out_multiplies_into_nested_templates() -> None:
    inner = {"name": "inner", "steps": [[task("x", withItems=[1, 2])], [task("y")]]}
    d = dag({"name": "n", "template": "inner", "withItems": ["p", "q", "r"]}, templates=(inner, leaf("run")))
    assert (step(d, "n.x").width, step(d, "n.y").width) == (6, 3)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"withParam": "no list"}, "withParam"),
        ({"withSequence": {"start": "x", "count": 1}}, "withSequence"),
        ({"withSequence": {}}, "neither count nor end"),
        ({"withItems": "abc"}, "withItems"),
    ],
)
def test_a_fan_out_that_makes_no_sense_is_named(fields: dict[str, Any], said: str) -> None:
    assert any(said in p for p in dag(task("a", **fields)).graph.problems)


def test_retries_timeouts_and_cache_of_a_leaf() -> None:
    run = leaf("run", retryStrategy={"limit": "3"}, timeout="30m", activeDeadlineSeconds=600, memoize={"key": "k"})
    found = step(dag(task("a"), templates=(run,)), "a")
    assert (found.retry_limit, found.timeout_seconds, found.has_timeout, found.memoized) == (3, 600.0, True, True)
    plain = step(dag(task("a")), "a")
    assert (plain.retry_limit, plain.timeout_seconds, plain.has_timeout, plain.memoized) == (0, None, False, False)
    open_limit = step(dag(task("a"), templates=(leaf("run", retryStrategy={}),)), "a")
    assert open_limit.retry_limit is None
    templated = step(dag(task("a"), templates=(leaf("run", timeout="{{inputs.parameters.t}}"),)), "a")
    assert (templated.has_timeout, templated.timeout_seconds) == (True, None)


def test_defaults_of_the_workflow_hold_for_its_templates() -> None:
    defaults = {"timeout": "10m", "container": {"resources": {"requests": {"memory": "1Gi"}}}}
    found = step(dag(task("a"), templateDefaults=defaults, retryStrategy={"limit": 2}), "a")
    assert (found.timeout_seconds, found.retry_limit) == (600.0, 2)
    assert found.containers[0].memory_request == 1024.0**3
    assert found.containers[0].resources == {}
    assert [p.attempts for p in found.path] == [True, True]  # the workflow's strategy also retries the dag itself


def test_defaults_are_merged_into_a_template_field_by_field() -> None:
    """As the controller merges them (mergedTemplateDefaultsInto); what a template writes itself is where it is changed."""
    defaults = {
        "parallelism": 2,
        "retryStrategy": {"limit": 4, "backoff": {"duration": "10s"}},
        "memoize": {"key": "k", "cache": {"configMap": {"name": "c"}}},
        "synchronization": {"mutexes": [{"name": "one"}]},
        "container": {"image": "alpine:3", "resources": {"limits": {"cpu": 2}}},
        "script": {"image": "python:3"},
        "sidecars": [{"name": "log", "image": "log:1"}, {"name": "db", "resources": {"requests": {"cpu": "1"}}}],
    }
    own = leaf("run", retryStrategy={"backoff": {"factor": 2}}, sidecars=[{"name": "db", "image": "db:1"}])
    del own["container"]["image"]
    d = dag(task("a", withItems=[1, 2, 3]), templates=(own,), templateDefaults=defaults)
    found = step(d, "a")
    assert (found.retry_limit, found.memoized, found.locks, found.parallelism) == (4, True, ("mutex/one",), 2)
    assert [(c.name, c.image, c.cpu_request, c.resources_pointer) for c in found.containers] == [
        ("main", "alpine:3", 2.0, "/spec/templates/1/container/resources"),
        ("db", "db:1", 1.0, "/spec/templates/1/sidecars/0/resources"),
        ("log", "log:1", None, None),
    ]
    assert found.declared == {"retryStrategy": {"backoff": {"factor": 2}}}
    assert [(limit.limit, limit.pointer) for limit in d.graph.limits] == [(2, None)]
    assert d.graph.problems == ()


def test_environment_variables_of_the_defaults_are_kept_beside_those_of_a_template() -> None:
    writes = {"name": "w", "container": {}, "outputs": {"parameters": [{"name": "o", "globalName": "g"}]}}
    variable = {"name": "READ", "value": "{{workflow.outputs.parameters.g}}"}
    own = leaf("run")
    own["container"]["env"] = [{"name": "OWN", "value": "1"}]
    tasks = task("a", template="w"), task("b", "a")
    assert step(dag(*tasks, templates=(own, writes)), "b").ordering_only == ("a",)
    d = dag(*tasks, templates=(own, writes), templateDefaults={"container": {"env": [variable]}})
    assert step(d, "b").ordering_only == ()


def test_parallelism_of_the_run_and_of_templates() -> None:
    main = {"name": "main", "parallelism": 2, "dag": {"tasks": [task("a"), task("b", withItems=[1, 2, 3])]}}
    d = defined({"entrypoint": "main", "parallelism": 5, "templates": [main, leaf("run")]})
    assert (d.graph.parallelism, d.graph.parallelism_pointer) == (5, "/spec/parallelism")
    assert d.graph.limits == (GroupLimit(("a", "b"), 2, "/spec/templates/0/parallelism", "main"),)
    assert (step(d, "a").parallelism, step(d, "b").parallelism) == (None, 2)


def test_containers_sidecars_scripts_and_container_sets_have_patch_points() -> None:
    full = {
        "name": "run",
        "script": {"image": "s", "resources": {"requests": {"cpu": "2"}}},
        "sidecars": [{"name": "proxy", "image": "p"}],
        "initContainers": [{"name": "prep", "image": "q"}, {"name": "log", "image": "l", "restartPolicy": "Always"}],
    }
    pods = {"name": "many", "containerSet": {"containers": [{"name": "x"}, {"name": "y"}]}}
    d = dag(task("a"), {"name": "b", "template": "many"}, templates=(full, pods))
    assert [(c.name, c.resources_pointer, c.sidecar, c.init) for c in step(d, "a").containers] == [
        ("main", "/spec/templates/1/script/resources", False, False),
        ("proxy", "/spec/templates/1/sidecars/0/resources", True, False),
        ("prep", "/spec/templates/1/initContainers/0/resources", False, True),
        ("log", "/spec/templates/1/initContainers/1/resources", True, False),
    ]
    assert [c.resources_pointer for c in step(d, "b").containers] == [
        "/spec/templates/2/containerSet/containers/0/resources",
        "/spec/templates/2/containerSet/containers/1/resources",
    ]


def test_a_pod_spec_patch_that_sets_resources_takes_the_patch_point_away() -> None:
    patched = leaf("run", podSpecPatch='{"containers":[{"name":"main","resources":{}}]}')
    d = dag(task("a"), templates=(patched,))
    assert step(d, "a").containers[0].resources_pointer is None
    assert d.notes == ("podSpecPatch sets resources of template run: it is applied last, change it there.",)
    harmless = dag(task("a"), templates=(leaf("run", podSpecPatch='{"hostname": "x"}'),))
    assert step(harmless, "a").containers[0].resources_pointer is not None


@pytest.mark.parametrize(
    ("patch", "may"),
    [
        ("{{inputs.parameters.pod-spec-patch}}", True),  # as Kubeflow Pipelines compiles it
        ('{"containers": [{{inputs.parameters.container}}]}', True),
        ("terminationGracePeriodSeconds: 5\nnodeSelector: {pool: '{{workflow.parameters.pool}}'}", False),
        ('{"nodeSelector": {"pool": "{{workflow.parameters.pool}}"}}', False),
        ('{"terminationGracePeriodSeconds": {{inputs.parameters.grace}}}', False),
        ('{"nodeSelector": {{inputs.parameters.pools}}, "priority": {{=inputs.parameters.p + 1}}}', False),
        ("tolerations: {{inputs.parameters.tolerations}}\nhostNetwork: {{workflow.parameters.host}}", False),
        ('{"containers": {{inputs.parameters.containers}}}', True),
        ("initContainers: {{inputs.parameters.containers}}", True),
        ("{{inputs.parameters.field}}: {{inputs.parameters.value}}", True),
        ('{"priority": {{inputs.parameters.priority}} {{inputs.parameters.more}}}', True),
        ('{"hostname": "a", "note": "x: {{inputs.parameters.a}}, y", {{inputs.parameters.more}}}', True),
    ],
)
def test_a_pod_spec_patch_that_is_only_known_at_run_time_may_set_resources(patch: str, may: bool) -> None:
    templates = (leaf("run", container={"image": "x"}, podSpecPatch=patch),)
    d = dag(task("a"), templates=templates)
    assert (step(d, "a").containers[0].resources_pointer is None) is may
    assert d.notes == (
        ("podSpecPatch may set resources of template run: it is applied last, change it there.",) if may else ()
    )
    assert patches_pods(template("etl", {"templates": list(templates)})) is may


@pytest.mark.parametrize("text", ["a/", "/a", "a.", '"a', "a:{{", "a: {{x}} "])
def test_a_pod_spec_patch_of_a_megabyte_is_read_in_proportion_to_its_length(text: str) -> None:
    """Looked at again from each of its words, the first one took hours."""
    assert sets_resources("{{" + text * (1_000_000 // len(text))) == "may set"


def test_of_two_exit_handlers_the_older_field_comes_first() -> None:
    both = {"onExit": "note", "hooks": {"exit": {"template": "run"}}}
    d = dag({**task("a"), **both}, templates=(leaf("run"), leaf("note")), **both)
    assert (step(d, "a.onExit").template, step(d, "onExit").template) == ("note", "note")


def test_exit_handlers_and_hooks() -> None:
    d = dag(
        {**task("a"), "onExit": "note"},
        task("b", "a"),
        templates=(leaf("run"), leaf("note")),
        onExit="note",
        hooks={"started": {"template": "note", "expression": "true"}},
    )
    assert step(d, "a.onExit").depends_on == ("a",)
    assert step(d, "b").depends_on == ("a", "a.onExit")  # the next task also waits for the handler
    assert step(d, "onExit").depends_on == ("b",)
    assert all(step(d, n).on_exit for n in ("a.onExit", "onExit", "hooks.started"))
    assert step(d, "hooks.started").conditional
    assert [p.text for p in step(d, "a.onExit").path] == ["", ".a", ".onExit"]
    assert step(d, "onExit").ordering_only == ()


def test_suspend_http_daemon_and_locks() -> None:
    templates = (
        {"name": "pause", "suspend": {}},
        {"name": "call", "http": {"url": "u"}},
        leaf(
            "run",
            daemon=True,
            synchronization={"mutex": {"name": "m"}, "semaphores": [{"configMapKeyRef": {"name": "c", "key": "k"}}]},
        ),
    )
    d = dag(task("a"), {"name": "p", "template": "pause"}, {"name": "h", "template": "call"}, templates=templates)
    assert step(d, "p").waits
    assert step(d, "h").waits
    assert step(d, "a").daemon
    assert step(d, "a").locks == ("mutex/m", "semaphore/c/k")
    whole = dag(task("a"), synchronization={"mutexes": [{"name": "one"}]})
    assert whole.notes == ("Runs take turns: the whole workflow needs mutex/one.",)


def test_a_dag_target_leaves_out_what_does_not_lead_to_it() -> None:
    main = {"name": "main", "dag": {"target": "b", "tasks": [task("a"), task("b", "a"), task("c", "a")]}}
    d = defined({"entrypoint": "main", "templates": [main, leaf("run")]})
    assert [s.name for s in d.graph.steps] == ["a", "b"]


def test_a_cron_workflow_with_its_own_spec() -> None:
    raw = template(
        "night",
        {"schedules": ["0 2 * * *", "0 3 * * 0"], "timezone": "Europe/Berlin", "suspend": True,
         "workflowSpec": {"entrypoint": "run", "parallelism": 3, "templates": [leaf("run")]}},
        kind="CronWorkflow",
    )  # fmt: skip
    d = define(raw)
    assert d is not None
    assert (d.schedule, d.schedule_time_zone, d.suspended) == ("0 2 * * *; 0 3 * * 0", "Europe/Berlin", True)
    assert d.graph.parallelism_pointer == "/spec/workflowSpec/parallelism"
    assert d.graph.steps[0].containers[0].resources_pointer == "/spec/workflowSpec/templates/0/container/resources"
    assert trigger(raw) is None


def test_a_cron_workflow_that_starts_a_template_is_a_trigger() -> None:
    spec = {"schedule": "0 2 * * *", "workflowSpec": {"workflowTemplateRef": {"name": "etl"}}}
    raw = template("night", spec, kind="CronWorkflow")
    assert define(raw) is None
    found = trigger(raw)
    assert found is not None
    assert (found.target_kind, found.target_name, found.schedule) == ("WorkflowTemplate", "etl", "0 2 * * *")


def test_the_fingerprint_follows_behaviour_not_bookkeeping() -> None:
    base = dag(task("a"))
    assert dag(task("a"), ttlStrategy={"secondsAfterCompletion": 5}).fingerprint == base.fingerprint
    assert dag(task("a"), parallelism=2).fingerprint != base.fingerprint


def test_recursion_is_named_and_ends() -> None:
    loop = {"name": "loop", "steps": [[task("work")], [{"name": "again", "template": "loop", "when": "x"}]]}
    d = defined({"entrypoint": "loop", "templates": [loop, leaf("run")]})
    assert [s.name for s in d.graph.steps] == ["work"]
    assert d.graph.problems == ("template 'loop' calls itself (loop > loop): repetitions count as its first round",)


def entry(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"entrypoint": "m", "templates": [{"name": "m", "dag": {"tasks": list(tasks)}}, leaf("run")], **fields}


REFERENCE = {"name": "a", "templateRef": {"name": "l", "template": "t"}}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "spec.entrypoint is missing"),
        ({"entrypoint": "nope", "templates": [leaf("run")]}, "'nope'"),
        (entry(task("a", "b"), task("b", "a")), "cycle: "),
        (entry(task("a", "a")), "depends on itself"),
        (entry(task("a", "zz")), "unknown task 'zz'"),
        (entry(task("a"), task("a")), "two tasks 'a'"),
        (entry({"name": "a", "template": "gone"}), "'gone'"),
        (entry(REFERENCE), "cannot be found"),
        (entry({"name": "a"}), "names no template"),
        (entry({"template": "run"}), "has no name"),
        (entry(task("a"), hooks=5), "hooks"),
        ({"entrypoint": "m", "templates": [leaf("m"), leaf("m")]}, "twice"),
        ({"entrypoint": "m", "templates": [leaf("m", timeout="soon")]}, "timeout"),
        ({"entrypoint": "m", "templates": [{"name": "m"}]}, "nothing to run"),
        ({"entrypoint": "m", "templates": "abc"}, "templates"),
        ({"entrypoint": "m", "templates": [{"name": "m", "dag": []}]}, "dag"),
    ],
)
def test_what_is_wrong_is_named(spec: dict[str, Any], said: str) -> None:
    problems = defined(spec).graph.problems
    assert any(said in p for p in problems), problems


def test_a_cycle_is_named_with_its_tasks_and_the_rest_stays_usable() -> None:
    d = dag(task("x"), task("a", "c", "x"), task("b", "a"), task("c", "b"))
    assert len(d.graph.problems) == 1
    assert {s.name for s in d.graph.steps} == {"x", "a", "b", "c"}
    named = d.graph.problems[0].split(": ")[1].split(" -> ")
    assert named[0] == named[-1]
    assert set(named) == {"a", "b", "c"}


def test_templates_that_double_at_every_level_are_cut_off() -> None:
    def doubling(count: int) -> WorkflowDefinition:
        levels = [
            {"name": f"t{n}", "steps": [[{"name": x, "template": f"t{n + 1}"} for x in "xy"]]} for n in range(count)
        ]
        return defined({"entrypoint": "t0", "templates": [*levels, leaf(f"t{count}")]})

    d = doubling(35)
    assert len(d.graph.steps) <= 2000
    assert any("more than" in p for p in d.graph.problems)
    assert all_calls(lambda: doubling(35)) < 1.5 * all_calls(lambda: doubling(14))


@given(JSON, JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_any_object_gives_a_definition_or_none(a: Any, b: Any, c: Any) -> None:
    odd_task = {"name": "a", "template": "run", "withItems": a, "when": b, "arguments": c}
    main = {"name": "main", "dag": {"tasks": [odd_task]}}
    run = {"name": "run", "container": {"resources": a}, "sidecars": b, "synchronization": c, "retryStrategy": a}
    specs = (
        a,
        {"entrypoint": a, "templates": b, "hooks": c},
        {"entrypoint": "main", "templates": [main, a, b]},
        {"entrypoint": "main", "templates": [{"name": "main", "steps": a}, run]},
        {"entrypoint": "run", "templates": [run], "arguments": a, "volumes": b, "templateDefaults": c},
    )
    for spec in specs:
        for raw in (template("x", spec), template("x", {"workflowSpec": spec, "schedule": a}, kind="CronWorkflow")):
            found = define(raw)
            assert found is None or isinstance(found, WorkflowDefinition)


def test_item_names_of_whole_floats_are_as_the_api_server_stores_them() -> None:
    assert item_name(0, 1.0) == "0:1"


@pytest.mark.parametrize(
    ("spec", "queue"),
    [
        ({}, None),
        ({"podMetadata": {"labels": {"kueue.x-k8s.io/queue-name": "team", "app": "etl"}}}, "team"),
        ({"templateDefaults": {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "team"}}}}, "team"),
        ({"podMetadata": {"labels": {"kueue.x-k8s.io/queue-name": ""}}}, None),
        ({"podMetadata": "odd"}, None),
    ],
)
@pytest.mark.parametrize("own", [None, "gpu"])
def test_the_queues_of_kueue_that_admit_its_pods_are_known(spec: dict[str, Any], queue: str | None, own: str) -> None:
    labels = {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": own}}} if own else {}
    found = dag(task("a"), templates=(leaf("run", **labels),), **spec)
    assert found.declared.get("kueue.x-k8s.io/queue-name") == (", ".join(name for name in (own, queue) if name) or None)

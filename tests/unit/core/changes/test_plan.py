"""Plans: minimal, guarded, allow-listed, reversible, and the same for the same recommendations on the same object."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.changes.checks import run_checks
from concertmaster.core.changes.fields import Refused
from concertmaster.core.changes.operations import undoing, within
from concertmaster.core.changes.plan import Aim, ChangeTarget, PredictedEffect, digest_of, widened
from concertmaster.core.changes.situation import Situation
from concertmaster.core.model import Category, Edit, Interval, SizeItem
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.enums import ChangeKind
from concertmaster.core.model.policy import Bounds, Range
from concertmaster.engines import PATCHABLE
from tests.support.core.change_samples import TRAIN, cpu, cron_job, faster, planned, recommended, template

TEMPLATE = PATCHABLE["WorkflowTemplate"]
BOUNDS = Bounds()


def test_a_plan_tests_names_and_the_literal_old_value_and_sets_one_field() -> None:
    found = planned()
    assert list(found.patch) == [
        {"op": "test", "path": "/spec/templates/1/name", "value": "train"},
        {"op": "test", "path": f"{TRAIN}/cpu", "value": "2"},
        {"op": "replace", "path": f"{TRAIN}/cpu", "value": "1500m"},
    ]
    assert found.operations("41")[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "41"}
    assert found.kind is ChangeKind.RESOURCES
    assert found.aim is Aim.CHEAPER
    assert found.says() == "CPU request of template train from 2 to 1500m"


@pytest.mark.parametrize(
    ("spec", "place", "said"),
    [
        ({"templates": [{"name": "fit", "script": {}}]}, "templates/0/script", "template fit"),
        (
            {"templates": [{"name": "fit", "containerSet": {"containers": [{"name": "main"}]}}]},
            "templates/0/containerSet/containers/0",
            "container main of template fit",
        ),
    ],
)
def test_a_plan_says_whose_fields_it_sets(spec: dict[str, Any], place: str, said: str) -> None:
    """Of several templates, "CPU request from 2 to 1" would not say which."""
    raw = {**template(), "spec": spec}
    pointer = f"/spec/{place}/resources/requests"
    member = jsonpatch.find(raw, f"/spec/{place}")[1]
    member["resources"] = {"requests": {"cpu": "2", "memory": "4Gi"}}
    edits = Edit(f"{pointer}/cpu", "2", "1500m"), Edit(f"{pointer}/memory", "4Gi", "3Gi")
    says = planned(recommended(*edits), raw).says()
    assert says == f"CPU request of {said} from 2 to 1500m; memory request of {said} from 4Gi to 3Gi"


def test_the_inverse_tests_our_value_and_brings_the_old_one_back() -> None:
    raw = template()
    found = planned(raw=raw)
    changed = jsonpatch.apply(raw, found.operations("41"))
    assert changed != raw
    assert jsonpatch.apply(changed, found.inverse) == raw
    foreign = jsonpatch.apply(changed, [{"op": "replace", "path": f"{TRAIN}/cpu", "value": "3"}])
    with pytest.raises(jsonpatch.PatchFailed, match="1500m"):
        jsonpatch.apply(foreign, found.inverse)


@pytest.mark.parametrize("empty", [{"resources": {}}, {"resources": {"requests": {}}}])
def test_the_patch_for_git_applies_where_the_api_server_added_empty_objects(empty: dict[str, Any]) -> None:
    in_git = template(resources=None)
    del in_git["spec"]["templates"][1]["container"]["resources"]
    raw = copy.deepcopy(in_git)
    raw["spec"]["templates"][1]["container"] |= empty
    made = planned(recommended(cpu(None, "1"), Edit(f"{TRAIN}/memory", None, "1Gi")), raw)
    patch = json.loads(json.loads(made.kustomize)["patch"])
    changed = jsonpatch.apply(raw, made.patch)
    assert jsonpatch.apply(in_git, patch) == jsonpatch.apply(raw, patch) == changed
    assert changed["spec"]["templates"][1]["container"]["resources"] == {"requests": {"cpu": "1", "memory": "1Gi"}}
    in_git["spec"]["templates"][1]["name"] = "other"
    with pytest.raises(jsonpatch.PatchFailed):
        jsonpatch.apply(in_git, patch)


@pytest.mark.parametrize("spelled", ["2000m", 2, "2.0"])
def test_the_patch_for_git_applies_however_git_spells_what_the_api_server_stores(spelled: object) -> None:
    pod = "/spec/jobTemplate/spec/template/spec/containers/0"
    made = planned(
        recommended(cpu(pointer=f"{pod}/resources/requests/cpu")), cron_job({"requests": {"cpu": "2"}}, parallelism=2)
    )
    patch = json.loads(json.loads(made.kustomize)["patch"])
    in_git = cron_job({"requests": {"cpu": spelled}})
    assert jsonpatch.find(jsonpatch.apply(in_git, patch), f"{pod}/resources/requests/cpu") == (True, "1500m")
    assert {o["path"] for o in patch if o["op"] == "test"} == {f"{pod}/name"}


def test_two_requests_of_a_container_without_any_are_added_and_taken_back_in_order() -> None:
    raw = template(resources=None)
    del raw["spec"]["templates"][1]["container"]["resources"]
    item = recommended(cpu(None, "1"), Edit(f"{TRAIN}/memory", None, "1Gi"))
    found = planned(item, raw)
    changed = jsonpatch.apply(raw, found.patch)
    assert changed["spec"]["templates"][1]["container"]["resources"] == {"requests": {"cpu": "1", "memory": "1Gi"}}
    assert jsonpatch.apply(changed, found.inverse) == raw


def test_a_number_in_the_manifest_is_tested_as_a_number() -> None:
    raw = template(resources={"requests": {"cpu": 2}})
    found = planned(raw=raw)
    assert {"op": "test", "path": f"{TRAIN}/cpu", "value": 2} in found.patch
    assert jsonpatch.apply(jsonpatch.apply(raw, found.patch), found.inverse) == raw


@pytest.mark.parametrize(
    ("raw", "item"),
    [
        (template(), faster()),
        (template(), faster(Edit("/spec/templates/0/parallelism", None, "3"))),
        (
            cron_job({"requests": {"cpu": "2"}}),
            recommended(Edit("/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/cpu", "2", "1")),
        ),
        (
            cron_job(),
            recommended(Edit("/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/cpu", None, "1")),
        ),
        (cron_job(parallelism=2), faster(Edit("/spec/jobTemplate/spec/parallelism", "2", "3"))),
        (
            {
                "apiVersion": "tekton.dev/v1",
                "kind": "Task",
                "metadata": {"name": "build", "namespace": "demo", "uid": "u"},
                "spec": {
                    "stepTemplate": {"computeResources": {"requests": {"cpu": "2"}}},
                    "steps": [{"name": "a", "computeResources": {"requests": {"memory": "1Gi"}}}],
                },
            },
            recommended(
                Edit("/spec/steps/0/computeResources/requests/memory", "1Gi", "512Mi", "build"),
                Edit("/spec/stepTemplate/computeResources/requests/cpu", "2", "1", "build"),
            ),
        ),
        (
            {
                "apiVersion": "tekton.dev/v1",
                "kind": "Pipeline",
                "metadata": {"name": "ci", "namespace": "demo", "uid": "u"},
                "spec": {"tasks": [{"name": "build", "taskSpec": {"steps": [{"name": "a", "image": "x"}]}}]},
            },
            recommended(Edit("/spec/tasks/0/taskSpec/steps/0/computeResources/requests/cpu", None, "1")),
        ),
    ],
)
def test_every_kind_of_place_can_be_changed_and_restored(raw: dict[str, Any], item: Any) -> None:
    found = planned(item, raw)
    changed = jsonpatch.apply(raw, found.patch)
    assert changed != raw
    assert jsonpatch.apply(changed, found.inverse) == raw
    assert within(found.object_kind, found.patch) is None
    assert within(found.object_kind, found.inverse) is None
    assert undoing(found.patch) == list(found.inverse)


@pytest.mark.parametrize(
    "patch",
    [
        [],
        [{"op": "test", "path": "/spec/parallelism", "value": 2}],
        [{"op": "replace", "path": "/spec/parallelism", "value": 3}],
        [{"op": "test", "path": "/spec/x", "value": 2}, {"op": "replace", "path": "/spec/parallelism", "value": 3}],
        [{"op": "test", "path": "/spec/x", "value": 2}, {"op": "add", "path": "/spec/x", "value": 3}],
        [{"op": "test", "path": "/spec/x"}, {"op": "replace", "path": "/spec/x", "value": 3}],
        [{"op": "test", "path": "/spec/x", "value": 2}, {"op": "replace", "path": "/spec/x"}],
        [{"op": "test", "path": "/spec/x", "value": 2}, {"op": "remove", "path": "/spec/x", "value": 1}],
    ],
)
def test_what_is_not_of_the_form_of_a_plan_has_no_undoing(patch: list[dict[str, Any]]) -> None:
    assert undoing(patch) is None


@pytest.mark.parametrize("holder", [None, "other"])
def test_a_recommendation_about_another_object_is_no_plan_for_this_one(holder: str | None) -> None:
    edit = Edit("/spec/steps/0/computeResources/requests/cpu", "2", "1", holder)
    raw = tekton_task({"name": "a", "image": "x", "computeResources": {"requests": {"cpu": "2"}}})
    with pytest.raises(Refused, match="which is no field of Task build"):
        planned(recommended(edit), raw)
    with pytest.raises(Refused, match="which is no field of WorkflowTemplate etl"):
        planned(recommended(replace(edit, holder="etl")))


def tekton_task(*steps: dict[str, Any]) -> dict[str, Any]:
    """A Task whose stepTemplate asks for two cores and limits memory to 2Gi."""
    resources = {"requests": {"cpu": "2"}, "limits": {"memory": "2Gi"}}
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "Task",
        "metadata": {"name": "build", "namespace": "demo", "uid": "u", "resourceVersion": "1"},
        "spec": {"stepTemplate": {"computeResources": resources}, "steps": list(steps), "sidecars": [{"name": "db"}]},
    }


def test_a_step_that_takes_its_request_from_the_step_template_gets_one_of_its_own() -> None:
    raw = tekton_task({"name": "a", "image": "x"}, {"name": "b", "image": "x"})
    bounds = Bounds(max_step=0.25)
    found = planned(
        recommended(Edit("/spec/steps/1/computeResources/requests/cpu", None, "1", "build")), raw, bounds=bounds
    )
    (setting,) = found.settings
    assert (setting.old, setting.new, setting.change) == (
        2.0,
        1.5,
        -0.25,
    )  # judged against what holds, not as a first value
    assert found.says() == "CPU request of container b from 2 (of the stepTemplate) to 1500m"
    changed = jsonpatch.apply(raw, found.patch)
    assert changed["spec"]["steps"] == [
        {"name": "a", "image": "x"},
        {"name": "b", "image": "x", "computeResources": {"requests": {"cpu": "1500m"}}},
    ]
    assert changed["spec"]["stepTemplate"] == raw["spec"]["stepTemplate"]
    assert jsonpatch.apply(changed, found.inverse) == raw
    moved = jsonpatch.apply(
        raw, [{"op": "replace", "path": "/spec/stepTemplate/computeResources/requests/cpu", "value": "3"}]
    )
    assert not jsonpatch.fits(moved, found.patch)  # the value the recommendations rest on is tested where it stands
    memory = planned(
        recommended(Edit("/spec/steps/0/computeResources/requests/memory", None, "3Gi", "build")), raw
    ).settings[0]
    assert memory.limit == 2 * 2.0**30
    sidecar = planned(
        recommended(Edit("/spec/sidecars/0/computeResources/requests/cpu", None, "1", "build")), raw
    ).settings[0]
    assert sidecar.old is None  # sidecars take nothing from it


def test_a_plan_may_change_the_step_template_and_a_step_that_leans_on_it() -> None:
    raw = tekton_task({"name": "a", "image": "x"})
    item = recommended(
        Edit("/spec/stepTemplate/computeResources/requests/cpu", "2", "1", "build"),
        Edit("/spec/steps/0/computeResources/requests/cpu", None, "500m", "build"),
    )
    found = planned(item, raw)
    assert jsonpatch.apply(jsonpatch.apply(raw, found.patch), found.inverse) == raw
    whole = planned(item, raw, monthly_cost=100.0).predicted
    assert whole is not None and whole.likely == pytest.approx(
        -0.2
    )  # what the rule predicts for both, and not twice it


@pytest.mark.parametrize(
    "pointer",
    [
        "/metadata/annotations/x",
        "/spec/templates/1/container/image",
        "/spec/templates/1/container/resources/limits/cpu",
        "/spec/templates/1/container/resources/requests/nvidia.com~1gpu",
        "/spec/templates/1/container/resources/requests",
        "/spec/templates/1/container/command/0",
        "/spec/serviceAccountName",
        "/spec/parallelism/x",
        "/spec/templates/-/parallelism",
        "/spec/templates/1/securityContext/runAsUser",
        "/spec/templates/1/podResources/requests/cpu",
    ],
)
def test_nothing_but_parallelism_and_requests_is_ever_planned(pointer: str) -> None:
    assert PATCHABLE["WorkflowTemplate"].resource(pointer) is None
    with pytest.raises(Refused, match="only parallelism and containers' requests"):
        planned(recommended(Edit(pointer, None, "1")))


def test_recommendations_that_also_sets_a_limit_is_refused_as_a_whole() -> None:
    with pytest.raises(Refused, match="limits/memory"):
        planned(recommended(cpu(), Edit("/spec/templates/1/container/resources/limits/memory", None, "4Gi")))


def test_a_right_sizing_leaves_a_request_whose_limit_moves_to_a_person_and_makes_the_rest() -> None:
    limit = Edit("/spec/templates/1/container/resources/limits/memory", None, "1Gi", weight=0.0)
    memory = Edit(f"{TRAIN}/memory", "2Gi", "1Gi", weight=3.0)
    row = SizeItem("train", "train", "requests.cpu", "2", "1500m", "1", "50%")
    item = replace(recommended(cpu(), memory, limit), items=(row,))
    found = planned(item, bounds=BOUNDS)
    assert [s.pointer for s in found.settings] == [f"{TRAIN}/cpu"]
    assert not found.whole
    whole = planned(replace(item, edits=(cpu(), memory)), bounds=BOUNDS)
    assert whole.whole
    assert whole.predicted is None or found.predicted is None or found.predicted.likely > whole.predicted.likely
    with pytest.raises(Refused, match="only parallelism and containers' requests"):
        planned(replace(item, edits=(memory, limit)), bounds=BOUNDS)


def test_a_verified_first_step_frees_the_second_from_the_largest_step() -> None:
    far = replace(cpu("2", "200m"), sure=True)
    for edit, new in ((far, "200m"), (replace(far, sure=False), "1"), (replace(cpu("2", "7"), sure=True), "7")):
        found = planned(recommended(edit), bounds=BOUNDS)
        assert found.settings[0].new_literal == new
        assert "largest-step" not in {v.check for v in run_checks(found, Situation(0.0)) if not v.passed}


def test_running_runs_and_unknown_kinds_are_never_changed() -> None:
    for kind in ("Job", "Workflow", "PipelineRun", "Deployment", "Pod"):
        with pytest.raises(Refused, match=f"kind {kind} are never changed"):
            planned(faster(), {**template(), "kind": kind})


def test_a_patch_is_judged_leaf_by_leaf() -> None:
    sneaky = [{"op": "add", "path": "/spec/templates/1/container/resources", "value": {"limits": {"cpu": "9"}}}]
    assert within(TEMPLATE, sneaky) == "/spec/templates/1/container/resources/limits/cpu"
    assert within(TEMPLATE, [{"op": "remove", "path": "/spec/templates"}]) == "/spec/templates"
    assert within(TEMPLATE, [{"op": "move", "from": "/a", "path": "/spec/parallelism"}]) == "/spec/parallelism"
    assert within(TEMPLATE, [{"op": "replace", "path": "/spec", "value": {}}]) == "/spec"


def test_recommendations_for_another_value_is_refused_as_changed() -> None:
    with pytest.raises(Refused, match="'2' now and was '4'") as reported:
        planned(recommended(cpu("4", "1")))
    assert reported.value.changed
    with pytest.raises(Refused, match="absent") as reported:
        planned(recommended(Edit("/spec/templates/1/script/resources/requests/cpu", "2", "1")))
    assert reported.value.changed


def test_work_for_a_person_gives_no_plan() -> None:
    with pytest.raises(Refused, match="sets no field"):
        planned(recommended())


@pytest.mark.parametrize(
    ("text", "value"), [("0.5", 0.5), ("500m", 0.5), ("1e3", 1000.0), ("2Gi", 2.0**31), ("1E", 1e18)]
)
def test_quantities_in_every_notation(text: str, value: float) -> None:
    assert quantity(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["1e3Mi", "Mi", "", "1 Gi", "-1", "1GB", "1_000", "٣", None, True, {}, "{{x}}"])
def test_what_is_no_quantity_is_refused(text: object) -> None:
    assert quantity(text) is None


@pytest.mark.parametrize("literal", ["1e3Mi", "{{inputs.parameters.cpu}}", True])
def test_an_unreadable_value_in_the_object_is_never_changed(literal: object) -> None:
    raw = template(resources={"requests": {"cpu": literal}})
    shown = literal if isinstance(literal, str) else json.dumps(literal)
    with pytest.raises(Refused, match="no amount"):
        planned(recommended(cpu(shown, "1")), raw)


def test_a_request_goes_one_step_at_a_time_and_no_further_than_the_bounds() -> None:
    part = planned(recommended(cpu("2", "200m")), bounds=BOUNDS)
    assert part.settings[0].new_literal == "1"
    assert not part.whole
    assert part.settings[0].change == pytest.approx(-0.5)
    up = planned(recommended(cpu("2", "9")), bounds=BOUNDS)
    assert up.settings[0].new_literal == "3"
    near = planned(recommended(cpu("2", "1500m")), bounds=BOUNDS)
    assert near.settings[0].new_literal == "1500m"
    assert near.whole
    bound = planned(recommended(cpu("2", "1100m")), bounds=Bounds(cpu=Range(1.5, 8.0)))
    assert bound.settings[0].new_literal == "1500m"
    with pytest.raises(Refused, match="leave nothing"):
        planned(recommended(cpu("2", "1")), bounds=Bounds(cpu=Range(2.0, 8.0)))
    memory = planned(recommended(Edit(f"{TRAIN}/memory", "2Gi", "300Mi")), bounds=BOUNDS)
    assert memory.settings[0].new_literal == "1Gi"


@pytest.mark.parametrize(
    ("current", "proposed", "least"),
    [
        ("40Gi", "48Gi", 64 * 2.0**20),  # more, from above the largest allowed: never less
        ("50Mi", "30Mi", 64 * 2.0**20),  # less, from below the least allowed: never more
        ("32Gi", "48Gi", 64 * 2.0**20),
        ("64Mi", "30Mi", 64 * 2.0**20),
        ("900Ki", "300Ki", 1.0),  # one step is less than a whole Mi, which is more than there is
    ],
)
def test_bounds_and_steps_never_turn_recommendations_round(current: str, proposed: str, least: float) -> None:
    raw = template(resources={"requests": {"cpu": "2", "memory": current}})
    bounds = Bounds(memory=Range(least, 32 * 2.0**30))
    memory = Edit(f"{TRAIN}/memory", current, proposed)
    with pytest.raises(Refused, match="the bounds and the largest step leave nothing to change"):
        planned(recommended(memory), raw, bounds=bounds)
    both = planned(recommended(cpu("2", "1500m"), memory), raw, bounds=bounds)
    assert [s.resource for s in both.settings] == ["cpu"]  # what can go the recommended way goes


def test_a_value_outside_the_bounds_moves_only_as_recommended_and_only_where_one_step_leads_inside() -> None:
    def moved(current: str, proposed: str) -> tuple[object, bool]:
        raw = template(resources={"requests": {"memory": current}})
        found = planned(recommended(Edit(f"{TRAIN}/memory", current, proposed)), raw, bounds=BOUNDS)
        (result,) = [v for v in run_checks(found, Situation(0.0)) if v.check == "bounds"]
        return found.settings[0].new_literal, result.passed

    assert moved("40Gi", "30Gi") == ("30Gi", True)
    assert moved("50Mi", "70Mi") == ("70Mi", True)
    assert moved("80Gi", "20Gi") == ("40Gi", False)
    for current, proposed in (("40Gi", "48Gi"), ("50Mi", "30Mi")):
        with pytest.raises(Refused, match="leave nothing to change"):
            moved(current, proposed)


def test_what_is_promised_is_scaled_to_the_part_of_the_way() -> None:
    whole = planned(recommended(cpu("2", "1")), monthly_cost=100.0).predicted
    part = planned(recommended(cpu("2", "0.5")), bounds=BOUNDS, monthly_cost=100.0).predicted
    assert whole is not None
    assert part is not None
    assert (whole.measure, whole.low, whole.likely, whole.high) == ("Cost", -0.3, -0.2, -0.1)
    assert part.likely == pytest.approx(-0.2 * 1.0 / 1.5)
    gain = planned(faster()).predicted
    assert gain is not None
    assert gain.measure == "Duration"
    assert gain.likely == pytest.approx(-0.2)
    noisy = planned(faster(), spread=0.1).predicted
    assert noisy is not None
    assert noisy.low < gain.low < -0.3 < -0.1 < gain.high < noisy.high  # never narrower than the rule's own interval
    assert noisy.likely == gain.likely


@pytest.mark.parametrize("likely", [-0.8, -0.4, 0.0, 0.5])
def test_the_noise_of_a_cost_is_that_of_the_run_times_which_it_scales_with(likely: float) -> None:
    found = widened(PredictedEffect("Cost", likely, likely, likely), 0.05)
    assert (1.0 + found.high) / (1.0 + likely) == pytest.approx(1.0 + 1.645 * 0.05)
    assert (1.0 + found.low) / (1.0 + likely) == pytest.approx(1.0 - 1.645 * 0.05)


def test_aims_follow_the_category() -> None:
    assert planned(faster()).aim is Aim.FASTER
    assert planned(recommended(cpu(), category=Category.RELIABILITY)).aim is Aim.SAFER


def test_the_digest_survives_a_touch_and_changes_with_everything_that_matters() -> None:
    base = planned()
    touched = template()
    touched["metadata"] |= {"resourceVersion": "99", "labels": {"a": "b"}}
    assert planned(raw=touched).digest == base.digest
    other = template()
    other["metadata"]["uid"] = "u-9"
    swapped = template()
    swapped["spec"]["templates"][1]["name"] = "load"
    variants = [
        planned(recommended(cpu("2", "1400m"))),
        planned(recommended(cpu(), id="cpu-request.other")),
        planned(raw=other),
        planned(raw=swapped),
    ]
    assert len({base.digest, *(v.digest for v in variants)}) == 5
    assert digest_of("demo", "etl", base.recommendation, base.target, base.patch) == base.digest
    assert digest_of("demo", "other", base.recommendation, base.target, base.patch) != base.digest
    moved = ChangeTarget("v", "WorkflowTemplate", "other", "demo", "u-1", "")
    assert digest_of("demo", "etl", base.recommendation, moved, base.patch) != base.digest


def test_the_kustomize_form_is_the_same_change() -> None:
    found = planned()
    entry = json.loads(found.kustomize)
    assert entry["target"] == {"group": "argoproj.io", "version": "v1alpha1", "kind": "WorkflowTemplate", "name": "etl"}
    assert json.loads(entry["patch"]) == list(found.patch)
    assert "\n" not in found.kustomize


def test_a_plan_promises_the_saving_of_the_fields_it_sets_alone() -> None:
    """Of a right-sizing that saves 10 a month, 12 come from lower requests, half of them in another object, and -2 from a
    higher one."""
    lower = replace(cpu("2", "1"), share=0.6)
    higher = replace(Edit(f"{TRAIN}/memory", "2Gi", "4Gi"), share=-0.2)
    saving = Interval(8.0, 10.0, 13.0)

    def promised(*edits: Edit) -> PredictedEffect:
        found = planned(replace(recommended(*edits), gain_share=None, saving_per_month=saving), monthly_cost=100.0)
        assert found.predicted is not None
        return found.predicted

    assert promised(lower, higher).likely == pytest.approx(-0.04)
    assert promised(lower).likely == pytest.approx(-0.06)
    dearer = promised(higher)
    assert 0 < dearer.low < dearer.likely < dearer.high and dearer.likely == pytest.approx(0.02)


def test_a_first_value_that_is_left_to_a_person_is_not_part_of_the_saving() -> None:
    """The request that a LimitRange gives where none is declared: what it reserves too much is the larger part."""
    lower = replace(cpu("2", "1"), share=0.25)
    first = replace(Edit(f"{TRAIN}/memory", None, "1Gi"), share=0.75)
    item = replace(recommended(lower, first), gain_share=None, saving_per_month=Interval(8.0, 10.0, 13.0))
    made = planned(item, template(resources={"requests": {"cpu": "2"}}), bounds=Bounds(), monthly_cost=100.0)
    assert {s.resource for s in made.settings} == {"cpu"}
    assert made.predicted is not None and made.predicted.likely == pytest.approx(-0.025)

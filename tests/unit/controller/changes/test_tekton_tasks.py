"""Changes of a Tekton Task that a Pipeline refers to: the Task is the target, and whoever shares it has a say."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.controller.changes.cycle import Candidate
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.changes.plan import digest_of
from concertmaster.core.model import Edit, Recommendation
from concertmaster.core.model.enums import Verdict
from concertmaster.core.times import format_time
from concertmaster.kube import errors
from tests.support.controller.changes_bed import CHANGES, NOW, PROFILES, Bed
from tests.support.core.change_samples import recommended
from tests.support.resources import known_resource

HOUR = 3600.0
PIPELINE, TASK = known_resource("tekton.dev/v1", "Pipeline"), known_resource("tekton.dev/v1", "Task")
REQUESTS = "/spec/steps/0/computeResources/requests"


def lower(
    current: str = "2", proposed: str = "1500m", task: str = "compile", what: str = "cpu", **more: Any
) -> Recommendation:
    """Recommendations to lower a request of the Task's only step."""
    rule = "cpu-request" if what == "cpu" else "memory-request"
    edit = Edit(f"{REQUESTS}/{what}", current, proposed, task)
    return recommended(edit, id=f"{rule}.job", rule=rule, step="job", **more)


def refers(task: str = "compile", **more: Any) -> dict[str, Any]:
    """A pipeline task that runs a Task by reference."""
    return {"name": "job", "taskRef": {"name": task, **more}}


def fetched(**params: str) -> dict[str, Any]:
    """A pipeline task whose Task the cluster resolver fetches."""
    rows = [{"name": k, "value": v} for k, v in params.items()]
    return {"name": "job", "taskRef": {"resolver": "cluster", "params": rows}}


class TaskBed(Bed):
    """One namespace with Pipeline and profile ``ci``, whose only task runs Task ``compile``."""

    def __init__(self, **apply: Any) -> None:
        super().__init__(**apply)
        self.delete(PROFILES, "etl")
        self.task("compile")
        self.pipeline("ci", refers())
        self.profile("ci")
        self.items = [lower()]
        self.recommended: dict[str, list[Recommendation]] = {}  # of other profiles, by uid
        self.history.runs_of["ci"] = self.history.runs_of["cd"] = self.history.runs_of["etl"]

    def task(self, name: str, cpu: str = "2") -> dict[str, Any]:
        step = {"name": "build", "image": "x", "computeResources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
        return self.client.put(TASK, "demo", name, spec={"steps": [step]})

    def pipeline(self, name: str, *tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self.client.put(PIPELINE, "demo", name, spec={"tasks": list(tasks), **more})

    def profile(self, name: str) -> str:
        ref = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "name": name}
        return str(self.client.put(PROFILES, "demo", name, spec={"workflowRef": ref})["metadata"]["uid"])

    @property
    def target(self) -> dict[str, Any]:
        return self.client.objects[TASK.path("demo", "compile")]

    def cpu(self) -> Any:
        return jsonpatch.find(self.target, f"{REQUESTS}/cpu")[1]

    def _candidates(self, uid: str) -> list[Candidate] | None:
        return [Candidate(i, 1.0, 100.0) for i in self.recommended.get(uid, self.items or ())]


def asked_once_and_done_when_approved(bed: TaskBed) -> None:
    bed.writes()
    bed.run()
    assert bed.writes() == []
    bed.decide("Approve")
    bed.run()
    assert bed.cpu() == "1500m"


def test_auto_changes_the_task_verifies_it_and_keeps_it() -> None:
    bed = TaskBed()
    bed.run()
    change = bed.one()
    assert (bed.cpu(), change.phase, str(change.target)) == ("1500m", "Verifying", "Task compile")
    assert change.fingerprint is not None
    assert "kubectl -n demo patch task compile --type=json" in bed.message(C.APPLIED)
    assert change.operations("patch") == [
        {"op": "test", "path": "/spec/steps/0/name", "value": "build"},
        {"op": "test", "path": f"{REQUESTS}/cpu", "value": "2"},
        {"op": "replace", "path": f"{REQUESTS}/cpu", "value": "1500m"},
    ]
    bed.now += 12 * HOUR
    bed.runs(12, seed=3, cpu=0.75)
    bed.run()
    assert (bed.one().phase, bed.one().verdict, bed.cpu()) == ("Completed", Verdict.IMPROVED, "1500m")


def test_runs_after_an_edit_of_the_pipeline_are_not_blamed_on_the_change_of_its_task() -> None:
    """The operator was away when a person edited and the slow runs ended."""
    bed = TaskBed()
    bed.run()
    bed.start()
    bed.now += 60.0
    edited = bed.pipeline("ci", {**refers(), "retries": 2})
    entry = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:tasks": {}}}}
    edited["metadata"]["managedFields"] = [{**entry, "time": format_time(bed.now)}]
    bed.now += 4 * HOUR
    bed.runs(4, 1500.0, seed=9)
    bed.run(60.0)
    assert (bed.one().phase, bed.one().verdict, bed.cpu()) == ("Completed", Verdict.INCONCLUSIVE, "1500m")


@pytest.mark.parametrize("deleted", [False, True])
def test_harm_or_a_deleted_change_puts_the_task_back(deleted: bool) -> None:
    bed = TaskBed()
    bed.run()
    assert bed.cpu() == "1500m"
    if deleted:
        bed.delete(CHANGES, bed.one().name)
        bed.items = []
    else:
        bed.now += 2 * HOUR + 60.0
        bed.runs(2, 1500.0, seed=5)
    bed.run()
    assert bed.cpu() == "2"
    assert deleted or (bed.one().verdict, bed.one().status["restored"]) == (Verdict.WORSE, True)


def test_a_kill_for_memory_in_another_step_that_runs_the_task_counts() -> None:
    for other, kept in (("compile", False), ("else", True)):
        bed = TaskBed()
        bed.task("else")
        bed.pipeline("ci", refers(), {**refers(other), "name": "again"})
        bed.items = [lower("1Gi", "768Mi", what="memory")]
        bed.run()
        bed.now += HOUR + 60.0
        bed.runs(1, seed=4, reason="OOMKilled")
        killed = bed.history.runs_of["etl"][-1]
        steps = tuple(replace(e, step="again") for e in killed.steps)
        bed.history.runs_of["etl"][-1] = replace(killed, steps=steps)
        bed.run()
        assert (bed.one().verdict is None) is kept
        assert (jsonpatch.find(bed.target, f"{REQUESTS}/memory")[1] == "768Mi") is kept


def test_an_edit_of_the_task_by_somebody_else_ends_the_verification() -> None:
    bed = TaskBed()
    bed.run()
    bed.edit("/spec/steps/0/image", "y")
    bed.now += 2 * HOUR
    bed.runs(2, seed=4)
    bed.run()
    assert "changed otherwise meanwhile" in bed.message(C.VERIFIED)
    other = TaskBed()
    other.run()
    other.edit(f"{REQUESTS}/cpu", "1")
    other.run()
    assert (other.one().phase, other.cpu()) == ("Conflict", "1")


SHARING = [
    {"tasks": [refers(kind="Task")]},
    {"tasks": [], "finally": [refers()]},
    {"tasks": [{"name": "child", "pipelineSpec": {"tasks": [refers()]}}]},
    {"tasks": [refers("$(params.which)")]},
    {"tasks": [refers(kind="")]},
    {"tasks": [fetched(name="compile", kind="task", namespace="demo")]},
    {"tasks": [fetched(name="compile")]},
]


@pytest.mark.parametrize("spec", SHARING)
def test_a_task_that_another_pipeline_runs_waits_for_a_person_who_learns_which(spec: dict[str, Any]) -> None:
    bed = TaskBed()
    bed.client.put(PIPELINE, "demo", "nightly", spec=spec)
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Proposed", "2")
    perhaps = ", perhaps" if "$(" in json.dumps(spec) else ""
    words = f"1 other Pipeline (nightly{perhaps}) runs Task compile too and would change with it, unverified"
    assert words in bed.message(C.APPROVED)
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Proposed", "2")
    bed.decide("Approve")
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")


def test_a_pipeline_that_comes_after_the_proposal_is_seen_before_the_write() -> None:
    bed = TaskBed(windows=[{"schedule": "0 3 * * *", "duration": "1h", "timeZone": "UTC"}])
    bed.run()
    assert (bed.all(), bed.cpu()) == ([], "2")
    bed.pipeline("nightly", refers())
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Proposed", "2")
    assert "nightly" in bed.message(C.APPROVED)


@pytest.mark.parametrize(
    "other",
    [
        refers("else"),
        refers(resolver="git"),
        fetched(name="compile", namespace="elsewhere"),
        fetched(name="compile", kind="pipeline"),
        fetched(name="else"),
        refers(kind="ClusterTask"),
        refers(apiVersion="x.dev/v1", kind="Task"),
        {"name": "job", "taskSpec": {"steps": []}},
    ],
)
def test_a_pipeline_that_runs_something_else_does_not_share_the_task(other: dict[str, Any]) -> None:
    bed = TaskBed()
    bed.pipeline("nightly", other)
    bed.run()
    assert bed.cpu() == "1500m"


def test_in_mode_approve_a_shared_task_is_said_to_be_shared() -> None:
    bed = TaskBed(mode="Approve")
    for name in ("b", "a"):
        bed.pipeline(name, refers())
    bed.run()
    assert "2 other Pipelines (a and b) run Task compile too" in bed.message(C.APPROVED)
    bed.decide("Approve")
    bed.run()
    assert bed.cpu() == "1500m"


def test_who_decides_learns_of_a_pipeline_that_came_after_the_proposal() -> None:
    bed = TaskBed(mode="Approve")
    bed.run()
    assert "other Pipeline" not in bed.message(C.APPROVED)
    bed.pipeline("nightly", refers())
    bed.run()
    assert "1 other Pipeline (nightly) runs Task compile too" in bed.message(C.APPROVED)
    asked_once_and_done_when_approved(bed)


@pytest.mark.parametrize("mode", ["Approve", "Auto"])
def test_an_approval_from_before_somebody_shared_the_task_is_asked_for_again(mode: str) -> None:
    bed = TaskBed(mode=mode)
    if mode == "Auto":
        bed.pipeline("nightly", refers())
    bed.run()
    first = bed.one().name
    bed.decide("Approve")
    bed.pipeline("weekly", refers())
    bed.run()
    assert bed.cpu() == "2"
    old, new = sorted(bed.all(), key=lambda c: c.name != first)
    assert (old.phase, new.phase, new.decision) == ("Superseded", "Proposed", None)
    assert "it was approved before this was known" in str(old.condition(C.APPROVED)["message"])
    assert "weekly" in str(new.condition(C.APPROVED)["message"])
    bed.decide("Approve", new.name)
    bed.run()
    assert bed.cpu() == "1500m"


def test_a_question_with_very_long_names_is_asked_once_and_says_how_to_answer() -> None:
    bed = TaskBed(mode="Approve")
    for i in range(6):
        bed.pipeline(f"{i}-{'x' * 240}", refers())
    bed.run()
    reported = bed.message(C.APPROVED)
    assert "6 other Pipelines" in reported
    assert reported.endswith(f"to approve it: kubectl concertmaster approve -n demo {bed.one().name}")
    asked_once_and_done_when_approved(bed)


@pytest.mark.parametrize("mode", ["Approve", "Auto"])
def test_nothing_is_proposed_while_the_pipelines_cannot_be_read(mode: str) -> None:
    bed = TaskBed(mode=mode)
    bed.client.lists[PIPELINE.path("demo")] = errors.Forbidden("no", status=403)
    bed.run()
    assert (bed.all(), bed.cpu()) == ([], "2")
    assert bed.counted("refused", check="shared-task") == 1.0
    bed.client.lists.clear()
    bed.run()
    assert len(bed.all()) == 1


def test_two_changes_of_one_task_are_never_in_flight_together() -> None:
    bed = TaskBed(mode="Approve")
    bed.pipeline("cd", refers())
    bed.recommended[bed.profile("cd")] = [lower("1Gi", "768Mi", what="memory")]
    bed.run()
    assert [(c.profile, c.phase) for c in bed.all()] == [("cd", "Proposed"), ("ci", "Proposed")]
    for change in bed.all():
        bed.decide("Approve", change.name)
    bed.run()
    flying = [c for c in bed.all() if c.phase == "Verifying"]
    (held,) = (c for c in bed.all() if c.phase == "Proposed")
    assert len(flying) == 1
    assert len(bed.client.target_writes) == 1
    reported = str(held.condition(C.APPLIED)["message"])
    assert f"waits for in-flight: another change of Task compile is under verification ({flying[0].name} of" in reported
    bed.run()
    assert len(bed.client.target_writes) == 1
    bed.decide("Reject", flying[0].name)  # it is rolled back; the other one may go
    bed.run()
    bed.run()
    assert [c.phase for c in bed.all() if c.name == held.name] == ["Verifying"]


def test_what_an_orphaned_change_set_does_not_block_the_task_for_ever() -> None:
    bed = TaskBed()
    bed.run()
    bed.delete(PROFILES, "ci")
    bed.run()
    assert bed.one().is_(C.ORPHANED)
    bed.pipeline("cd", refers())
    bed.client.objects.pop(PIPELINE.path("demo", "ci"))
    bed.recommended[bed.profile("cd")] = [lower("1Gi", "768Mi", what="memory")]
    bed.run()
    assert len(bed.client.target_writes) == 2


def aimed(bed: TaskBed, name: str, phase: str, decision: str) -> WorkflowChangeView:
    """A WorkflowChange as a person could make it by hand, in itself consistent, for the Task ``name``."""
    victim = bed.client.objects[TASK.path("demo", name)]
    raw = copy.deepcopy(dict(bed.one().raw))
    target = raw["status"]["plan"]["target"] | {"name": name, "uid": victim["metadata"]["uid"]}
    raw["status"] |= {"phase": phase, "plan": {**raw["status"]["plan"], "target": target}}
    forged = WorkflowChangeView(raw)
    assert forged.target is not None
    digest = digest_of("demo", "ci", forged.recommendation, forged.target, forged.operations("patch") or ())
    raw["spec"] |= {"planDigest": digest, "decision": decision, "decidedBy": "eve"}
    raw["metadata"] |= {"name": "forged", "uid": "uid-forged"}
    bed.client.objects[CHANGES.path("demo", "forged")] = raw
    assert WorkflowChangeView(raw).forged() is None
    return WorkflowChangeView(raw)


@pytest.mark.parametrize(
    ("name", "phase", "decision", "end"),
    [
        ("victim", "Proposed", "Approve", "Failed"),
        ("victim", "Verifying", "Reject", "Conflict"),
        ("victim", "Applied", "Approve", "Conflict"),
        ("other", "Proposed", "Approve", "Superseded"),
        ("other", "Applied", "Approve", "Superseded"),
    ],
)
def test_no_task_is_written_that_the_pipeline_does_not_run_or_the_recommendation_is_not_about(
    name: str, phase: str, decision: str, end: str
) -> None:
    """``victim`` is nobody's of this workflow; ``other`` is run by it, but the recommendations are about another Task."""
    bed = TaskBed(mode="Approve")
    bed.pipeline("ci", refers(), {**refers("other"), "name": "second"})
    for task in ("victim", "other"):
        bed.task(task, cpu="1500m" if phase == "Verifying" else "2")
    bed.run()
    aimed(bed, name, phase, decision)
    bed.delete(CHANGES, next(c.name for c in bed.all() if c.name != "forged"))
    bed.run()
    bed.run()
    assert bed.client.target_writes == []
    forged = next(c for c in bed.all() if c.name == "forged")
    assert forged.phase == end
    reported = " ".join(str(c["message"]) for c in forged.status["conditions"])
    words = {
        "victim": "its plan is for Task victim, which is not the workflow of its profile (Pipeline ci) and no Task that",
        "other": "the recommendation has changed",  # what it is about gives another plan
    }
    assert words[name] in reported


@pytest.mark.parametrize("mode", ["Approve", "Auto"])
def test_a_recommendation_about_a_task_that_the_pipeline_has_left_is_not_applied(mode: str) -> None:
    """The next analysis gives other recommendations; until then the Task is somebody else's."""
    bed = TaskBed(mode=mode)
    bed.task("compile-v2")
    bed.pipeline("ci", refers("compile-v2"))
    bed.run()
    assert (bed.all(), bed.cpu()) == ([], "2")


def test_a_pipeline_that_leaves_the_task_while_the_cycle_runs_is_seen_before_the_write() -> None:
    bed = TaskBed()
    bed.task("compile-v2")

    def leave(path: str) -> None:
        if path.endswith(CHANGES.plural):  # the plan is being proposed: the Pipelines were listed before
            bed.pipeline("ci", refers("compile-v2"))

    bed.client.before_write = leave
    bed.run()
    assert (bed.one().phase, bed.cpu(), bed.client.target_writes) == ("Failed", "2", [])
    assert "no Task that it refers to" in bed.message(C.APPROVED)


def test_pipelines_whose_task_was_edited_meanwhile_are_no_control() -> None:
    for edited in (False, True):
        bed = TaskBed()
        bed.run()
        bed.now += 8 * HOUR + 60.0
        bed.runs(8, seconds=800.0, seed=7)
        written = "2025-10-09T09:00:00Z" if edited else "2025-09-01T09:00:00Z"
        entry = {"manager": "ana", "operation": "Update", "fieldsV1": {"f:spec": {}}, "time": written}
        bed.task("common")["metadata"]["managedFields"] = [entry]
        own = bed.history.runs_of["etl"]
        for i in range(8):
            bed.pipeline(f"other-{i}", refers("common"))
            bed.recommended[bed.profile(f"other-{i}")] = []
            rows = bed.history.runs_of["etl"] = []
            bed.runs(30, 300.0, seed=100 + i, end=NOW)
            bed.runs(8, 400.0, seed=200 + i)
            bed.history.runs_of[f"other-{i}"] = rows
        bed.history.runs_of["etl"] = own
        bed.run()
        assert (bed.one().verdict is Verdict.WORSE) is edited


def test_a_pipeline_that_leaves_the_task_ends_the_verification_and_says_how_to_undo() -> None:
    bed = TaskBed()
    bed.run()
    bed.task("compile-v2")
    bed.pipeline("ci", refers("compile-v2"))
    bed.items = []
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Conflict", "1500m")
    assert "as the journal has it: kubectl -n demo patch task compile --type=json" in bed.message(C.RESTORED)


def test_while_the_pipeline_cannot_be_read_its_changes_wait() -> None:
    bed = TaskBed()
    bed.run()
    bed.decide("Reject")
    bed.start()  # a new process, which has not listed anything yet
    bed.client.lists[PIPELINE.path()] = errors.Forbidden("no", status=403)
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    name = bed.one().name
    kept = bed.client.objects.pop(CHANGES.path("demo", name))
    bed.run()
    assert (bed.all(), bed.cpu()) == ([], "1500m")
    bed.client.objects[CHANGES.path("demo", name)] = kept
    bed.client.lists.clear()
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Completed", "2")


def test_tasks_that_may_not_be_read_any_more_are_no_change_of_the_workflow() -> None:
    """The change is of a step that stands in the Pipeline itself; what else it runs is hidden for a while."""
    inside = "/spec/tasks/1/taskSpec/steps/0/computeResources/requests/cpu"
    step = {"name": "run", "image": "x", "computeResources": {"requests": {"cpu": "2"}}}
    for hidden in (errors.Forbidden("no", status=403), errors.Busy("overloaded", status=503), None):
        bed = TaskBed()
        bed.pipeline("ci", refers(), {"name": "own", "taskSpec": {"steps": [step]}})
        bed.items = [recommended(Edit(inside, "2", "1500m"), id="cpu-request.own", step="own")]
        bed.run()
        assert bed.one().phase == "Verifying" and bed.one().fingerprint is not None
        if hidden is not None:
            bed.client.lists[TASK.path()] = hidden
        else:
            bed.task("compile", cpu="3")
        bed.run()
        assert bed.one().phase == ("Verifying" if hidden else "Completed")
        bed.client.lists.clear()
        bed.run()
        assert ("changed otherwise meanwhile" in bed.message(C.VERIFIED)) is (hidden is None)


def test_a_task_that_was_deleted_or_made_anew_is_a_conflict() -> None:
    for anew in (False, True):
        bed = TaskBed()
        bed.run()
        bed.delete(TASK, "compile")
        if anew:
            bed.task("compile", cpu="1500m")
        bed.run()
        assert bed.one().phase == "Conflict", anew
        assert "the target was deleted" in bed.message(C.RESTORED)


def test_a_recommendation_about_a_task_that_has_just_gone_is_left_alone() -> None:
    bed = TaskBed(mode="Approve")
    bed.run()
    bed.delete(TASK, "compile")
    bed.run()
    assert bed.one().phase == "Proposed"

"""Workflows that a person edits otherwise while a change of them is verified, and whose runs then take another time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.core.changes import json_patch
from concertmaster.core.model import ContainerFact, RunRecord
from concertmaster.core.model.enums import Verdict
from concertmaster.core.times import format_time
from tests.support.controller.change_steps import HOUR, applied, later, with_image
from tests.support.controller.changes_bed import CPU, DAY, MEMORY, Bed

PARALLELISM = "/spec/jobTemplate/spec/parallelism"


def dated(bed: Bed, manager: str) -> None:
    """The API server dates a write of the CronJob's spec."""
    entry = {"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {"f:jobTemplate": {}}}}
    bed.target["metadata"]["managedFields"] = [{**entry, "time": format_time(bed.now)}]


def scaled(bed: Bed) -> None:
    """A person sets the CronJob's parallelism."""
    bed.edit(PARALLELISM, 1)
    dated(bed, "kubectl-edit")


@pytest.mark.parametrize("runs", [0, 3])
def test_runs_after_an_edit_of_another_field_are_not_blamed_on_the_change(runs: int) -> None:
    """The operator was away when the person edited and the slow runs ended."""
    bed = applied()
    later(bed, runs)
    bed.start()
    scaled(bed)
    bed.now += 4 * HOUR
    bed.runs(4, 1500.0, seed=9)
    bed.run(60.0)
    done = bed.one()
    assert (done.phase, done.verdict, bed.cpu()) == ("Completed", Verdict.INCONCLUSIVE, "1500m")
    assert done.status["verifiedRuns"] == runs


def test_runs_after_an_edit_are_not_blamed_while_a_long_absence_is_read() -> None:
    bed = applied()
    later(bed, 3)
    bed.start()
    scaled(bed)
    bed.now += DAY
    bed.runs(20, 1500.0, seed=9)
    bed.data_until = bed.now - 15 * HOUR
    bed.run(60.0)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")


def test_slow_runs_before_the_edit_are_harm_all_the_same() -> None:
    bed = applied()
    bed.start()
    bed.now += 3 * HOUR
    bed.runs(3, 1500.0, seed=9)
    bed.now += 60.0
    scaled(bed)
    bed.run(60.0)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


@pytest.mark.parametrize("every", [1, 6])
@pytest.mark.parametrize(("seconds", "verdict", "cpu"), [(600.0, Verdict.SAME, "1500m"), (800.0, Verdict.WORSE, "2")])
def test_an_image_written_for_every_few_runs_ends_no_verification(
    every: int, seconds: float, verdict: Verdict, cpu: str
) -> None:
    """Without a verdict the change would be kept, whatever it did: no workflow that is built so could be verified."""
    bed = Bed(verify={"onSame": "Keep", "minRuns": 8})
    runs = bed.history.runs_of["etl"]
    runs[:] = [with_image(replace(r, fingerprint=f"f{i // every}"), f"ci:{i // every}") for i, r in enumerate(runs)]
    applied(bed)
    for number in range(40):
        bed.now += HOUR
        image = f"ci:{100 + number // every}"
        bed.edit("/spec/jobTemplate/spec/template/spec/containers/0/image", image)
        bed.runs(1, seconds, seed=50 + number)
        runs[-1] = with_image(replace(runs[-1], fingerprint=image), image)
        bed.run(60.0)
        if bed.one().phase != "Verifying":
            break
    done = bed.one()
    assert (done.phase, done.verdict, bed.cpu()) == ("Completed", verdict, cpu)


@pytest.mark.parametrize("written", [True, False])
def test_an_edit_is_told_from_releases_that_come_without_one(written: bool) -> None:
    """Where the image is a parameter, say, somebody who edits the workflow has changed something else."""
    bed = Bed()
    runs = bed.history.runs_of["etl"]
    runs[:] = [
        with_image(replace(r, fingerprint=f"f{i // 6}" if written else "f"), f"ci:{i // 6}") for i, r in enumerate(runs)
    ]
    applied(bed)
    later(bed, 0)
    scaled(bed)
    bed.now += 4 * HOUR
    bed.runs(4, 1500.0, seed=9)
    bed.run(60.0)
    assert (bed.one().verdict, bed.cpu()) == ((Verdict.WORSE, "2") if written else (Verdict.INCONCLUSIVE, "1500m"))


@pytest.mark.parametrize("after", [0.0, DAY])
def test_runs_since_fields_were_removed_unseen_are_not_blamed_on_the_change(after: float) -> None:
    """The API server does not date a patch that only removes fields. The metrics may be read long after the operator is
    back."""
    bed = applied()
    dated(bed, "concertmaster")
    later(bed, 3)
    bed.start()
    changed = json_patch.apply(bed.target, [{"op": "remove", "path": MEMORY}])
    changed["metadata"] |= {"resourceVersion": "removed", "generation": changed["metadata"]["generation"] + 1}
    bed.target.clear()
    bed.target.update(changed)
    bed.now += 4 * HOUR
    bed.runs(4, 1500.0, seed=9)
    if after:
        bed.data_until = bed.now
        bed.run(after)
        bed.now -= 60.0
        bed.data_until = None
    bed.run(60.0)
    done = bed.one()
    assert (done.phase, done.verdict, bed.cpu()) == ("Completed", Verdict.INCONCLUSIVE, "1500m")
    assert done.status["verifiedRuns"] == 3


def edited_back_unseen() -> Bed:
    """A change with three runs since, and four of another definition that was edited back before anybody looked."""
    bed = applied()
    dated(bed, "concertmaster")
    later(bed, 3)
    bed.start()
    bed.edit(CPU, "100m")
    bed.now += 4 * HOUR
    bed.runs(4, 1500.0, seed=9)
    bed.edit(CPU, "1500m")
    return bed


@pytest.mark.parametrize("undated", [False, True])
def test_runs_between_an_edit_and_one_back_are_not_counted_where_nobody_looked(undated: bool) -> None:
    bed = edited_back_unseen()
    if not undated:
        dated(bed, "kubectl-edit")
    bed.run(60.0)
    assert bed.one().status["verifiedRuns"] == 3
    unseen = "; 4 more of a time in which the workflow was edited and no cycle ran"
    assert bed.message(C.VERIFIED).endswith(f"30 before it{unseen}")
    later(bed, 9, cpu=0.75)
    assert (bed.one().verdict, bed.one().status["verifiedRuns"]) == (Verdict.IMPROVED, 12), bed.message(C.VERIFIED)


def test_a_later_edit_does_not_bring_back_runs_of_a_time_when_nobody_looked() -> None:
    bed = edited_back_unseen()
    dated(bed, "kubectl-edit")
    bed.run(60.0)
    bed.now += HOUR
    scaled(bed)
    bed.run(60.0)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.INCONCLUSIVE, "1500m")
    assert bed.one().status["verifiedRuns"] == 3
    assert "30 runs before and 3 after it: too few to tell" in bed.message(C.VERIFIED)


def test_runs_before_a_dated_edit_are_counted_where_nobody_looked() -> None:
    bed = applied()
    dated(bed, "concertmaster")
    later(bed, 1)
    bed.start()
    bed.now += 3 * HOUR
    bed.runs(3, 1500.0, seed=9)
    bed.now += 60.0
    scaled(bed)
    bed.run(HOUR)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


@pytest.mark.parametrize("own", [0, 3])
def test_runs_of_an_image_that_a_parameter_names_are_not_blamed_on_the_change(own: int) -> None:
    """No object was edited: whoever starts the runs passes another tag to them since."""
    bed = Bed()
    runs = bed.history.runs_of["etl"]
    runs[:] = [with_image(r, "etl:1") for r in runs]
    applied(bed)
    bed.now += 4 * HOUR
    bed.runs(own, 600.0, seed=7, end=bed.now)
    bed.now += 6 * HOUR
    bed.runs(6, 1500.0, seed=9)
    first = len(runs) - 6
    runs[30:] = [with_image(r, f"etl:{1 + (i >= first)}") for i, r in enumerate(runs[30:], 30)]
    bed.run(60.0)
    done = bed.one()
    assert (done.phase, done.verdict, bed.cpu()) == ("Completed", Verdict.INCONCLUSIVE, "1500m")
    assert done.status["verifiedRuns"] == own
    assert "the image was changed meanwhile" in bed.message(C.VERIFIED)


@pytest.mark.parametrize(
    ("before", "since", "verdict"),
    [
        ("etl:1", "etl:1@sha256:a", Verdict.IMPROVED),
        ("etl:1@sha256:a", "etl:1", Verdict.IMPROVED),
        ("etl:1@sha256:a", "etl:1@sha256:b", Verdict.INCONCLUSIVE),
        ("etl:1", "etl:2@sha256:a", Verdict.INCONCLUSIVE),
    ],
)
def test_a_webhook_that_adds_digests_to_images_ends_no_verification(before: str, since: str, verdict: Verdict) -> None:
    bed = Bed()
    runs = bed.history.runs_of["etl"]
    runs[:] = [with_image(r, before) for r in runs]
    applied(bed)
    bed.now += 9 * HOUR
    bed.runs(9, 600.0, seed=7, cpu=0.75)
    runs[30:] = [with_image(r, since) for r in runs[30:]]
    bed.run(60.0)
    assert bed.one().verdict is verdict, bed.message(C.VERIFIED)


def test_one_run_of_another_image_is_left_out_and_ends_nothing() -> None:
    """Somebody tries an image in a run that they start."""
    bed = applied()
    later(bed, 2, cpu=0.75)
    later(bed, 1, 1500.0)
    runs = bed.history.runs_of["etl"]
    runs[-1] = with_image(runs[-1], "etl:trial")
    bed.run(60.0)
    assert (bed.one().phase, bed.one().status["verifiedRuns"]) == ("Verifying", 2)
    assert bed.message(C.VERIFIED).endswith("30 before it; 1 more with another image")
    later(bed, 9, cpu=0.75)
    assert (bed.one().verdict, bed.one().status["verifiedRuns"]) == (Verdict.IMPROVED, 11)
    assert bed.message(C.VERIFIED).endswith("; 1 more with another image")


@pytest.mark.parametrize("name", ["istio-proxy", "wait"])
def test_a_release_of_what_is_injected_into_all_pods_ends_no_verification(name: str) -> None:
    bed = Bed()
    runs = bed.history.runs_of["etl"]
    runs[:] = [beside(r, ContainerFact(name, image="1")) for r in runs]
    applied(bed)
    bed.now += 9 * HOUR
    bed.runs(9, 600.0, seed=7, cpu=0.75)
    runs[30:] = [beside(r, ContainerFact(name, image="2")) for r in runs[30:]]
    bed.run(60.0)
    assert (bed.one().verdict, bed.one().status["verifiedRuns"]) == (Verdict.IMPROVED, 8), bed.message(C.VERIFIED)


def beside(run: RunRecord, container: ContainerFact) -> RunRecord:
    """The run with one more container in each pod."""
    return replace(run, steps=tuple(replace(e, containers=(*e.containers, container)) for e in run.steps))

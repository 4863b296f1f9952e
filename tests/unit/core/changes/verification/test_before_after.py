"""No run although one was due: when silence after a change is a harm of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.changes.plan import Aim
from concertmaster.core.changes.verification.before_after import requested, split_runs
from concertmaster.core.changes.verification.harm import silent
from concertmaster.core.changes.verification.one_image import of_one_image, released
from concertmaster.core.changes.verification.surroundings import Surroundings
from concertmaster.core.changes.verification.verify import verify
from concertmaster.core.model import Outcome, WorkflowDefinition
from concertmaster.core.model.engines import QUEUE_LABEL
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import VerifySettings
from concertmaster.engines.define import define
from tests.support.controller.change_steps import with_image
from tests.support.core.change_samples import cron_job
from tests.support.core.verification_runs import run

HOUR = 3600.0
RESOURCES = "/spec/jobTemplate/spec/template/spec/containers/0/resources"
APPLIED = 1_760_000_400.0  # nine o'clock UTC
RUNS = [run(i, APPLIED - (30 - i) * HOUR, 600.0) for i in range(30)]


def hourly(**more: object) -> WorkflowDefinition:
    found = define(cron_job(), None, namespace="demo")
    assert found is not None and found.schedule == "0 * * * *"
    return replace(found, **more)  # type: ignore[arg-type]


def said(hours: float, definition: WorkflowDefinition | None, runs: int = 30, *after: float) -> str | None:
    until = APPLIED + hours * HOUR
    late = [run(100 + i, APPLIED + at * HOUR, 600.0) for i, at in enumerate(after)]
    found = split_runs([*RUNS[30 - runs :], *late], applied=APPLIED, since=None, now=until)
    return silent(found, definition, applied=APPLIED, until=until)


@pytest.mark.parametrize(("every", "ended"), [(7, False), (12, True)])
def test_a_release_every_few_runs_is_no_other_definition_however_few_runs_are_compared(every: int, ended: bool) -> None:
    """The runs before another change that was kept tell how often the image changes; they are no baseline."""
    runs = [run(i, APPLIED - (40 - i) * HOUR, 600.0) for i in range(50)]
    runs = [replace(r, steps=tuple(replace(e, step="job") for e in r.steps)) for r in runs]
    runs = [with_image(r, f"etl:{i // every}") for i, r in enumerate(runs)]
    sides = split_runs(runs, applied=APPLIED, since=APPLIED - 4 * HOUR, now=APPLIED + 10 * HOUR)
    graph = hourly().graph
    assert (len(sides.before), released(sides, graph)) == (4, ended)
    assert (len(of_one_image(sides, graph).after) == len(sides.after)) is not ended


@pytest.mark.parametrize(("image", "reason", "left"), [("etl:9", None, 2), ("etl:9", "OOMKilled", 4), (None, None, 4)])
def test_a_release_that_fails_where_there_are_many_is_no_harm_of_a_change(
    image: str | None, reason: str | None, left: int
) -> None:
    """A release is broken now and then, and none of its runs succeeds. Failures of a known image count."""
    runs = [with_image(r, f"etl:{i // 6}") for i, r in enumerate(RUNS)]
    failed = [run(30 + i, APPLIED + (1 + i) * HOUR, 600.0, outcome=Outcome.FAILED, reason=reason) for i in range(2)]
    fine = [run(32 + i, APPLIED + (3 + i) * HOUR, 600.0) for i in range(2)]
    runs += [with_image(r, image or "etl:4") for r in (*failed, *fine)]
    runs = [replace(r, steps=tuple(replace(e, step="job") for e in r.steps)) for r in runs]
    found = of_one_image(split_runs(runs, applied=APPLIED, since=None, now=APPLIED + 10 * HOUR), hourly().graph)
    assert len(found.after) == left
    assert found.left_out == (("2 more failed with another image",) if left == 2 else ())


@pytest.mark.parametrize(("hours", "harm"), [(1.9, False), (2.2, False), (2.4, True), (30.0, True)])
def test_two_starts_of_a_schedule_without_a_run_are_a_harm(hours: float, harm: bool) -> None:
    text = said(hours, hourly())
    assert (text is not None) is harm
    assert not harm or "although the schedule had 2 due: are its pods refused?" in str(text)
    queued = said(hours, hourly(declared={QUEUE_LABEL: "team"}))
    assert not harm or str(queued).endswith("are its pods refused, or its runs not admitted by LocalQueue team?")


@pytest.mark.parametrize("scheduled", [True, False])
def test_starts_while_no_pods_were_seen_are_not_missed(scheduled: bool) -> None:
    blind = [(APPLIED - HOUR, APPLIED + 10.0), (APPLIED + 0.5 * HOUR, APPLIED + 4.5 * HOUR)]
    found = split_runs(RUNS, applied=APPLIED, since=None, now=APPLIED + 30 * HOUR)
    quiet = [
        silent(found, hourly() if scheduled else None, applied=APPLIED, until=APPLIED + h * HOUR, blind=blind) is None
        for h in (4.9, 6.0, 8.0)
    ]
    assert quiet == [True, True, False]


@pytest.mark.parametrize(("hours", "harm"), [(2.0, False), (3.2, False), (3.4, True)])
def test_without_a_schedule_three_times_the_longest_pause_is(hours: float, harm: bool) -> None:
    text = said(hours, hourly(schedule=None))
    assert (text is not None) is harm
    assert not harm or "never more than 1h00m before it" in str(text)


def test_a_pause_that_the_change_ended_is_one_of_those_before_it() -> None:
    """The last run began eleven hours before the change: as long again and again without one is nothing new."""
    found = split_runs(RUNS[:20], applied=APPLIED, since=None, now=APPLIED + 60 * HOUR)
    quiet = [silent(found, None, applied=APPLIED, until=APPLIED + h * HOUR) is None for h in (33.0, 34.0)]
    assert quiet == [True, False]


def test_a_run_that_only_started_or_too_few_before_or_a_suspended_workflow_is_no_silence() -> None:
    assert said(30.0, hourly(), 30, 5.0) is None
    assert said(30.0, hourly(), 11) is None
    assert said(30.0, hourly(suspended=True)) is None
    assert said(30.0, hourly(suspended=True, schedule=None)) is None
    going_on = replace(run(100, APPLIED + HOUR, 1.0), end=None, outcome=Outcome.RUNNING)
    found = split_runs([*RUNS, going_on], applied=APPLIED, since=None, now=APPLIED + 1.1 * HOUR)
    assert (found.after, found.begun) == ((), 1)


@pytest.mark.parametrize(
    ("schedule", "zone", "harm_after"),
    [
        ("@hourly", None, 2.4),
        ("0 ? * * ?", None, 2.4),
        ("@every 1h", None, 3.4),
        ("CRON_TZ=Asia/Tokyo 0 * * * *", None, 2.4),
        ("0 * * * *", "Mars/Olympus", 3.4),
    ],
)
def test_every_form_of_a_schedule_that_an_engine_takes_shows_that_runs_are_missing(
    schedule: str, zone: str | None, harm_after: float
) -> None:
    definition = hourly(schedule=schedule, schedule_time_zone=zone)
    assert said(harm_after - 0.2, definition) is None
    assert said(harm_after, definition) is not None


def test_a_schedule_of_a_day_that_never_comes_misses_no_run() -> None:
    assert said(100.0, hourly(schedule="0 0 30 2 *")) is None


def test_a_schedule_that_never_started_the_runs_says_nothing_about_them() -> None:
    assert said(100.0, hourly(schedule="* * * * *")) is None or "schedule" not in str(said(100.0, hourly()))
    rare = hourly(schedule="*/5 * * * *")
    assert said(2.0, rare) is None  # the workflow ran every hour before, whatever that schedule says


def test_silence_is_worse_and_restored_whatever_the_aim() -> None:
    found = split_runs(RUNS, applied=APPLIED, since=None, now=APPLIED + 9 * HOUR)
    for aim in Aim:
        result = verify(
            aim, found, VerifySettings(), age=9 * HOUR, around=Surroundings(silence="no run since the change")
        )
        assert (result.verdict, result.restore, result.reason) == (Verdict.WORSE, True, "no run since the change")


CPU_PATCH = [
    {"op": "test", "path": f"{RESOURCES}/requests/cpu", "value": "2"},
    {"op": "replace", "path": f"{RESOURCES}/requests/cpu", "value": "500m"},
]


def counted(start: float, cpu: float, seconds: float = 600.0) -> tuple[bool, bool]:
    """Whether a run that starts ``start`` seconds after the second of the write is before the change, or after it."""
    definition = hourly()
    own = run(100, APPLIED + start, seconds, cpu=cpu)
    own = replace(own, steps=tuple(replace(e, step=definition.graph.steps[0].name) for e in own.steps))
    shown = requested(definition, None, CPU_PATCH)
    found = split_runs([*RUNS, own], applied=APPLIED, since=None, now=APPLIED + HOUR, changed=shown)
    return own in found.before, own in found.after


@pytest.mark.parametrize(
    ("start", "cpu", "after"),
    [
        (0.0, 0.5, True),  # in the second of the write, with what it set
        (0.0, 2.0, False),  # with what it replaced
        (0.0, 1.0, False),  # nothing shows which
        (1.0, 0.5, True),
        (1.0, 2.0, False),  # the controller did not have the change yet
        (1.0, 1.0, True),
        (61.0, 2.0, True),  # something else sets what its pods request
        (-1.0, 0.5, False),
    ],
)
def test_a_run_of_the_second_of_the_write_counts_by_what_its_pods_request(
    start: float, cpu: float, after: bool
) -> None:
    assert counted(start, cpu) == (False, after)


def test_a_run_of_the_second_of_the_write_that_ended_in_it_is_no_baseline() -> None:
    assert counted(0.0, 0.5, seconds=0.0) == (False, True)
    assert counted(0.0, 1.0, seconds=0.0) == (False, False)
    assert counted(-3.0, 2.0, seconds=3.0) == (True, False)


def test_runs_of_the_second_of_a_rollback_are_no_baseline() -> None:
    applied, restored = RUNS[20].start, RUNS[22].start
    assert applied is not None and restored is not None
    found = split_runs(RUNS, applied=APPLIED, since=None, now=APPLIED, without=[(applied, restored)])
    assert found.before == tuple(RUNS[:20] + RUNS[23:])


def test_what_was_begun_since_and_is_not_compared_is_counted_with_the_reason() -> None:
    """One of seven runs hangs, and two of those begun before it were stopped by somebody."""
    outcomes = [Outcome.SUCCEEDED, Outcome.UNKNOWN, Outcome.SUCCEEDED, Outcome.UNKNOWN, Outcome.RUNNING]
    later = [replace(run(100 + i, APPLIED + 60.0 + i * 60.0, 30.0), outcome=o) for i, o in enumerate(outcomes)]
    later[-1] = replace(later[-1], end=None)
    later += [run(200 + i, APPLIED + 400.0 + i * 60.0, 30.0) for i in range(2)]
    found = split_runs([*RUNS, *later], applied=APPLIED, since=None, now=APPLIED + 600.0)
    assert (found.begun, len(found.after)) == (7, 2)
    assert found.left_out == ("2 more begun after one that is in progress", "2 more with an unknown outcome")
    seen = verify(Aim.CHEAPER, found, VerifySettings(), age=600.0)
    assert seen.reason == f"2 of 5 to 30 runs seen since the change, 30 before it; {'; '.join(found.left_out)}"

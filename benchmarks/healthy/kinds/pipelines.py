"""Pipelines and regular loads: their graphs, their branches, and how often they run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.healthy.law import DAY, GI, HOUR, MI, Flow, Kind, Rng, Run, Starts, Step, in_sequence, light
from benchmarks.healthy.starts import at_random, every, office, paused

_PUSHES = {"variance": "how much each push changes"}
TAILS = "some executions do take many times as long as the others"


def _branch(run: Run) -> None:
    """A change of the documentation, of a feature, or of the main branch, which takes longer and is tested further."""
    drawn = run.rng.random()
    branch, work = ("docs", 0.35) if drawn < 0.2 else ("main", 1.6) if drawn < 0.45 else ("feature", 1.0)
    run.load = work * run.varied(0.25)
    run.marks |= {branch} if branch == "docs" else {branch, "code"}


def pipeline(starts: Starts, engine: str = "tekton") -> Flow:
    """Continuous integration: six steps, of which two take place for some branches only."""
    steps = (
        Step("clone", 14, 0.2, cpu_request=0.4, memory_request=270 * MI),
        Step("lint", 50, 0.15, ("clone",), scales=1),
        Step("unit", 210, 0.15, ("clone",), scales=1, slow=0.03, flaky=0.01, retries=1),
        Step("build", 160, 0.15, ("clone",), scales=1, cpu_request=2),
        Step("integration", 420, 0.2, ("unit", "build"), only="main", slow=0.03, flaky=0.02, retries=1),
        Step("publish", 35, 0.2, ("lint", "build"), only="code"),
    )
    return Flow("ci", steps, starts, engine, prepare=_branch, hidden=_PUSHES, true={"timeout": TAILS})


def pipeline_tekton(rng: Rng) -> Flow:
    """Tests of small and large changes, by office hours; each push takes as long as what it changes."""
    return pipeline(office(18))


def pipeline_argo(rng: Rng) -> Flow:
    """Tests of 30 pushes a day under Argo; each takes as long as what it changes."""
    return pipeline(office(30), "argo")


def pipeline_with_limits(rng: Rng) -> Flow:
    """Tests of small and large changes, with time limits of four to eight times the usual duration of each step."""
    limits = {"clone": 60, "lint": 300, "unit": 1500, "build": 1200, "integration": 1800, "publish": 180}
    made = pipeline(office(18))
    return replace(made, steps=tuple(replace(step, timeout=limits[step.name]) for step in made.steps))


def _etl(starts: Starts, schedule: str) -> Flow:
    def prepare(run: Run) -> None:
        turn_of_month = run.day_of_month >= 30 or run.day_of_month <= 2
        run.load = (2.0 if turn_of_month else 1.0) * (0.6 if run.weekend else 1.0) * run.varied(0.15)

    steps = in_sequence(
        Step("extract", 600, 0.15, scales=1, cpu_request=0.5),
        Step("transform", 1500, 0.15, scales=1, cpu_request=2, memory_request=4 * GI, memory_used=0.55,
             memory_grows=0.125),
        Step("load", 500, 0.2, scales=1, cpu_request=0.5),
        Step("report", 60, 0.2),
    )  # fmt: skip
    return Flow("etl", steps, starts, "cron", schedule, prepare=prepare)


def nightly_on_weekdays(rng: Rng) -> Flow:
    """A load of each working day's data, twice as much at the turn of the month."""
    return _etl(every(DAY, at=2 * HOUR, weekdays=True), "0 2 * * 1-5")


def nightly(rng: Rng) -> Flow:
    """A load of each day's data, less at weekends and twice as much at the turn of the month."""
    return _etl(every(DAY, at=2 * HOUR), "0 2 * * *")


def hourly(rng: Rng) -> Flow:
    """An hourly load whose work follows the day and is less at weekends."""

    def prepare(run: Run) -> None:
        daily = 1.0 + 0.35 * np.sin(2 * np.pi * (run.hour - 8) / 24)
        run.load = float(daily) * (0.55 if run.weekend else 1.0) * run.varied(0.12)

    steps = in_sequence(
        Step("pull", 120, 0.1, scales=1, cpu_request=0.5),
        Step("aggregate", 420, 0.1, scales=1, slow=0.02),
        Step("push", 60, 0.15, flaky=0.01),
    )
    true = {"variance": TAILS}
    return Flow("hourly", steps, every(HOUR), "cron", "0 * * * *", prepare=prepare, true=true)


def sparse_samples(rng: Rng) -> Flow:
    """An hourly load with usage samples of 60% of its pods, which is enough."""
    return replace(hourly(rng), sampled=0.6)


def _training(starts: Starts) -> Flow:
    train = Step("train", 5400, 0.55, rare=(0.05, 2.5), cpu_request=8, memory_request=16 * GI, gpus=1, flaky=0.01,
                 timeout=DAY)  # fmt: skip
    steps = in_sequence(Step("prepare", 400, 0.25), train, Step("evaluate", 500, 0.2), Step("register", 25, 0.1))
    return Flow("training", steps, starts, hidden={"variance": "how many epochs each training needs"})


def training(rng: Rng) -> Flow:
    """Trainings that end when they converge: each takes as long as its model needs, on a busy GPU."""
    return _training(at_random(3.5))


def training_by_day(rng: Rng) -> Flow:
    """Trainings that end when they converge, started by people on working days."""
    return _training(office(4, weekend=0.3))


def diamond(rng: Rng) -> Flow:
    """Four branches of equal size, joined; run times vary with the input."""

    def prepare(run: Run) -> None:
        run.load = run.varied(0.3)

    branches = tuple(Step(f"part-{i}", 120 + 60 * i, 0.25, ("source",), scales=1) for i in range(4))
    join = Step("join", 150, 0.2, tuple(step.name for step in branches), scales=1)
    steps = (Step("source", 60, 0.2), *branches, join, Step("publish", 40, 0.2, ("join",)))
    return Flow("diamond", steps, at_random(12), prepare=prepare)


def conditional(rng: Rng) -> Flow:
    """A rebuild that takes place in a third of the runs, because only then has something changed."""

    def prepare(run: Run) -> None:
        run.marks |= {"full"} if run.chance(0.33) else set()

    steps = in_sequence(
        Step("scan", 150, 0.15),
        Step("rebuild", 900, 0.2, only="full"),
        Step("index", 240, 0.15),
        light(Step("notify", 10)),
    )
    return Flow("conditional", steps, at_random(8), prepare=prepare)


def _checked_deployment(engine: str) -> Flow:
    def prepare(run: Run) -> None:
        run.load = run.varied(0.25)

    steps = (
        Step("build", 200, 0.1, scales=1),
        Step("test", 400, 0.15, ("build",), scales=1),
        Step("deploy", 120, 0.2, ("build", "test"), loose=("test",)),
        Step("smoke", 60, 0.2, ("deploy",)),
    )
    return Flow("deployment", steps, office(14), engine, prepare=prepare)


def rebuilds_more_often(rng: Rng) -> Flow:
    """A rebuild that took place in a fifth of the runs and takes place in most since some days, because more has changed."""
    since = float(rng.uniform(2.0, 6.0))

    def prepare(run: Run) -> None:
        run.marks |= {"full"} if run.chance(0.9 if run.age < since else 0.2) else set()

    steps = in_sequence(Step("check", 60, 0.2), Step("rebuild", 600, 0.2, only="full"), Step("report", 30, 0.2))
    return Flow("rebuilds", steps, at_random(12), prepare=prepare)


def training_from_checkpoints(rng: Rng) -> Flow:
    """Trainings on a busy GPU that fail now and then, and go on from their last checkpoint."""
    train = Step("train", 3600, 0.15, cpu_request=4, gpus=1, flaky=0.3, resumes=True, retries=8)
    return Flow("checkpoints", in_sequence(Step("prepare", 300, 0.1), train), at_random(5), nodes={})


def workflow_of_workflows(rng: Rng) -> Flow:
    """Two steps that each start a Workflow and wait for it, which has recommendations of its own."""
    wait = Step("first", 900, 0.1, cpu_request=0.05, cpu_used=0.2, memory_request=64 * MI, creates=True)
    steps = in_sequence(light(Step("plan", 30, 0.2)), wait, replace(wait, name="second"))
    return Flow("parent", tuple(replace(s, loose=s.after) for s in steps), every(3 * HOUR), "cron", "0 */3 * * *")


def checks_before_deployment_argo(rng: Rng) -> Flow:
    """A deployment that waits for tests whose data it does not read: that is what they are for."""
    return _checked_deployment("argo")


def checks_before_deployment_tekton(rng: Rng) -> Flow:
    """A deployment of Tekton that waits for tests whose data it does not read."""
    return _checked_deployment("tekton")


def constant_inputs(rng: Rng) -> Flow:
    """An extraction and a clean-up that are called alike in each run, for what has changed meanwhile."""
    steps = in_sequence(
        Step("extract", 600, 0.15, inputs=lambda run: "daily"),
        Step("clean", 900, 0.15, inputs=lambda run: f"rows-{run.number}"),
        Step("vacuum", 300, 0.15, inputs=lambda run: "all"),
    )
    return Flow("constant", steps, every(4 * HOUR), "cron", "0 */4 * * *", live=True)


def many_steps(rng: Rng) -> Flow:
    """Ten steps without retries, of which each fails once in 500 executions."""
    steps = [Step("step-0", 60, 0.2, flaky=0.002, retries=0)]
    steps += [Step(f"step-{i}", 100, 0.25, (f"step-{(i - 1) // 2}",), flaky=0.002, retries=0) for i in range(1, 10)]
    true = {"retry-policy": "2% of its runs fail, and retries would save them"}
    return Flow("many", tuple(steps), at_random(20), true=true)


def short_pods(rng: Rng) -> Flow:
    """Two pods of seconds before one of minutes, with few samples of the short ones."""
    steps = in_sequence(light(Step("list", 6, 0.3)), light(Step("select", 9, 0.3)), Step("work", 150, 0.3))
    return Flow("short", steps, every(HOUR), "cron", "0 * * * *")


def tiny_requests(rng: Rng) -> Flow:
    """Requests of 20 and 30 millicores and of 40 and 48 MiB: there is nothing to save."""
    steps = in_sequence(
        Step("collect", 60, 0.2, cpu_request=0.02, memory_request=40 * MI),
        Step("send", 90, 0.2, cpu_request=0.03, memory_request=48 * MI),
    )
    return Flow("tiny", steps, every(HOUR), "cron", "0 * * * *")


def _chain(count: int, seconds: float, pull: float) -> Flow:
    steps = in_sequence(*(light(Step(f"step-{i}", seconds, 0.25, pull=pull)) for i in range(count)))
    return Flow("chain", steps, every(HOUR), "cron", "0 * * * *")


def chain_of_short_steps(rng: Rng) -> Flow:
    """Five steps of 25 seconds, which start in four."""
    made = _chain(5, 25, 4.0)
    return replace(made, true={"queue-time": "20 s of each 2m30s are startup", "batch-small-steps": "the same"})


def chain_of_steps(rng: Rng) -> Flow:
    """Four steps of a minute, which start in six seconds."""
    return _chain(4, 60, 6.0)


def _tick(seconds: float, schedule: str) -> Flow:
    step = light(Step("tick", 20, 0.2, slow=0.02, timeout=300, retries=1, flaky=0.003))
    return Flow("tick", (step,), every(seconds), "cronjob", schedule)


def job_of_seconds(rng: Rng) -> Flow:
    """A CronJob of 20 seconds every ten minutes."""
    return replace(_tick(600, "*/10 * * * *"), true={"queue-time": "3 s of each 25 s are startup"})


def job_of_seconds_hourly(rng: Rng) -> Flow:
    """A CronJob of 20 seconds an hour."""
    return _tick(HOUR, "0 * * * *")


def runs_beside_each_other(rng: Rng) -> Flow:
    """Runs that may overlap by their policy and seldom do, without slowing each other down."""
    return Flow("beside", (Step("work", 500, 0.25),), every(900), "cron", "*/15 * * * *", meets="Allow")


def new_versions(rng: Rng) -> Flow:
    """Four versions in two weeks, of which none is slower."""

    def prepare(run: Run) -> None:
        run.version = 1 + sum(run.age < days for days in (10, 6, 2))

    steps = in_sequence(Step("fetch", 300, 0.2, slow=0.03), Step("build", 600, 0.2, slow=0.03), Step("push", 90, 0.2))
    return Flow("versions", steps, at_random(10), prepare=prepare, version=4)


def suspended_for_days(rng: Rng) -> Flow:
    """A schedule that was suspended for five days on purpose and has been resumed."""
    starts = paused(every(2 * HOUR), before=9.0, after=4.3)
    steps = in_sequence(Step("collect", 300, 0.2), Step("load", 600, 0.2))
    return Flow("suspended", steps, starts, "cron", "0 */2 * * *")


KINDS: tuple[Kind, ...] = (
    pipeline_tekton, pipeline_argo, pipeline_with_limits, nightly_on_weekdays, nightly, hourly, sparse_samples,
    training, training_by_day, diamond, conditional, rebuilds_more_often, training_from_checkpoints,
    workflow_of_workflows, checks_before_deployment_argo, checks_before_deployment_tekton, constant_inputs,
    many_steps, short_pods, tiny_requests, chain_of_short_steps, chain_of_steps, job_of_seconds,
    job_of_seconds_hourly, runs_beside_each_other, new_versions, suspended_for_days,
)  # fmt: skip

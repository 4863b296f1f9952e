"""Failures that are rare, over, retried or meant, and run times with heavy tails."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.healthy.kinds.pipelines import TAILS, pipeline
from benchmarks.healthy.law import HOUR, Flow, Kind, Rng, Run, Step, in_sequence
from benchmarks.healthy.starts import at_random, every, office


def one_in_a_hundred(rng: Rng) -> Flow:
    """One of three steps without retries fails once in a hundred runs."""
    steps = in_sequence(Step("load", 200, 0.15, flaky=0.01), Step("solve", 300, 0.15), Step("store", 100, 0.2))
    made = Flow("one-percent", tuple(replace(step, retries=0) for step in steps), at_random(10))
    return replace(made, true={"retry-policy": "three failed runs a month would be avoided"})


def retried(rng: Rng) -> Flow:
    """Steps that depend on services: up to a tenth of their attempts fails, and retries cover it."""
    steps = in_sequence(
        Step("get", 90, 0.2, flaky=0.1, retries=4),
        Step("work", 600, 0.15, flaky=0.02),
        Step("put", 60, 0.2, flaky=0.05, retries=4),
    )
    return Flow("retried", steps, at_random(10))


def _outage(hours: float, ended: float, interval: int = 1) -> Flow:
    """Runs fail for so many hours, until so many days ago."""

    def fails(run: Run) -> str | None:
        return "Error" if ended < run.age < ended + hours / 24 else None

    steps = in_sequence(Step("load", 300, 0.2, retries=1, fails=fails), Step("store", 400, 0.2))
    schedule = "0 * * * *" if interval == 1 else f"0 */{interval} * * *"
    return Flow("outage", steps, every(interval * HOUR), "cron", schedule)


def outage_of_five_hours(rng: Rng) -> Flow:
    """A database that was down for five hours a week ago."""
    return _outage(5, float(rng.uniform(5, 8)))


def outage_of_a_day(rng: Rng) -> Flow:
    """A database that was down for a day about a week ago."""
    return _outage(24, float(rng.uniform(5, 8)))


def recent_outage(rng: Rng) -> Flow:
    """A database that was down for twelve hours, until some hours ago."""
    return _outage(12, float(rng.uniform(0.4, 1.0)))


def outage_of_three_runs(rng: Rng) -> Flow:
    """Three runs in sequence that failed some days ago."""
    return _outage(12, float(rng.uniform(3, 8)), 4)


def superseded(rng: Rng) -> Flow:
    """A pipeline whose run is cancelled when a newer push arrives, as are 12% of them."""
    made = pipeline(office(18))
    branch = made.prepare
    assert branch is not None

    def prepare(run: Run) -> None:
        branch(run)
        run.marks |= {"superseded"} if run.chance(0.12) else set()

    def fails(run: Run) -> str | None:
        return "TaskRunCancelled" if "superseded" in run.marks else None

    return replace(made, prepare=prepare, live=True).having("unit", fails=fails, retries=0, flaky=0.0)


def heavy_tails(rng: Rng) -> Flow:
    """Calls of services that now and then take several times as long."""
    steps = (
        Step("query", 200, 0.35, slow=0.05, tail=1.5),
        Step("enrich", 300, 0.35, ("query",), slow=0.05, tail=1.5),
        Step("check", 250, 0.35, ("query",), slow=0.05, tail=1.5),
        Step("store", 60, 0.3, ("enrich", "check"), slow=0.03),
    )
    return Flow("heavy-tails", steps, at_random(10), true=dict.fromkeys(("variance", "timeout"), TAILS))


def varied_steps(rng: Rng) -> Flow:
    """Three steps that vary by 30%, one of which fails once in a hundred executions and is retried."""
    steps = in_sequence(
        Step("load", 400, 0.3),
        Step("solve", 900, 0.3, slow=0.08, memory_spread=0.06),
        Step("store", 300, 0.3, flaky=0.01),
    )
    return Flow("varied", steps, at_random(4), true=dict.fromkeys(("variance", "timeout"), TAILS))


KINDS: tuple[Kind, ...] = (
    one_in_a_hundred, retried, outage_of_five_hours, outage_of_a_day, recent_outage, outage_of_three_runs, superseded,
    heavy_tails, varied_steps,
)  # fmt: skip

"""Simulated runs: steps one after the other, their items side by side, attempts until one succeeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.resources.admission import admitted, effective
from benchmarks.resources.law import CPU, GI, GPU, MEMORY, NOW, WEEK, WINDOW, Flow, Role, Step
from benchmarks.resources.usage import RunState, Use, evicted, killed, use_of, varied

_PRICES = {CPU: 0.031, MEMORY: 0.004 / GI, GPU: 0.95}  # per hour
_NODE, _STARTUP, _NEXT, _BACKOFF = 1.0, 4.0, 1.0, 5.0  # seconds
_FAILS = (0.3, 0.95)  # shares of the work between which a pod is killed


@dataclass(frozen=True, slots=True)
class Pod:
    """One attempt with its times (unix seconds). ``reason``: why it failed, and ``by`` which container; None and empty where
    it did not."""

    step: Step
    item: int
    attempt: int
    created: float
    scheduled: float
    started: float
    finished: float
    uses: tuple[Use, ...]
    reason: str | None
    by: str

    @property
    def cost(self) -> float:
        """What it reserves."""
        hours = (self.finished - self.scheduled) / 3600.0
        gpus = sum(c.limits.get(GPU, 0.0) for c in self.step.containers)
        return hours * (sum(effective(self.step, r) * _PRICES[r] for r in (CPU, MEMORY)) + gpus * _PRICES[GPU])


@dataclass(slots=True)
class Run:
    """One run with its pods, its end (unix seconds), and whether it failed."""

    state: RunState
    end: float
    pods: list[Pod] = field(default_factory=list)
    failed: bool = False

    @property
    def makespan(self) -> float:
        """Seconds from start to end."""
        return self.end - self.state.start

    @property
    def cost(self) -> float:
        """What its pods reserve."""
        return sum(pod.cost for pod in self.pods)


def history(flow: Flow) -> list[Run]:
    """The runs of the window that are over."""
    times = (NOW - WINDOW + (n + 0.5) * flow.every for n in range(int(WINDOW / flow.every)))
    runs = (play(flow, number, time, 0) for number, time in enumerate(times))
    return [run for run in runs if run.end < NOW]


def later(flow: Flow, count: int) -> list[Run]:
    """So many runs of the next seven days, with random events of their own."""
    return [play(flow, number, NOW + (number + 0.5) / count * WEEK, 1) for number in range(count)]


def play(flow: Flow, number: int, start: float, sample: int) -> Run:
    """Simulate one run."""
    state = RunState(flow, sample, number, start, 1.0)
    events = state.events("run")
    run = Run(RunState(flow, sample, number, start, varied(events, flow.input_spread)), start)
    other = flow.elsewhere is not None and float(state.events("elsewhere").random()) < flow.elsewhere.often
    for step in flow.at(run.state.days_ago):
        chance = float(events.random())
        if chance < step.in_runs and not run.failed:
            _play(run, admitted(step, flow, other))
    return run


def _play(run: Run, step: Step) -> None:
    begun = run.end + _NEXT
    for item in range(step.items):
        ready = begun
        for attempt in range(step.retries + 1):
            pod = _pod(run.state, step, item, attempt, ready)
            run.pods.append(pod)
            run.end = max(run.end, pod.finished)
            ready = pod.finished + _BACKOFF
            if pod.reason is None:
                break
        else:
            run.failed = True


def _pod(run: RunState, step: Step, item: int, attempt: int, created: float) -> Pod:
    events = run.events(step.name, item, attempt)
    uses = [use_of(run, step, container, item, attempt) for container in step.containers]
    seconds = step.seconds * varied(events, step.spread) * run.size**step.elasticity
    fails = _FAILS[0] + (_FAILS[1] - _FAILS[0]) * float(events.random())
    scheduled = created + _NODE * float(events.exponential())
    started = scheduled + _STARTUP + sum(before_work(uses))
    work = seconds * max(u.factor for u in uses if u.container.role is Role.MAIN)
    reason, by = _failure(run, step, uses)
    if reason is not None:
        work *= fails
    return Pod(step, item, attempt, created, scheduled, started, started + work, tuple(uses), reason, by)


def before_work(uses: list[Use]) -> Iterator[float]:
    """Seconds that each init container takes."""
    return (u.container.seconds * u.factor for u in uses if u.container.role is Role.INIT)


def _failure(run: RunState, step: Step, uses: list[Use]) -> tuple[str | None, str]:
    use = killed(uses, step)
    if use is not None:
        return "OOMKilled", use.container.name
    use = evicted(uses)
    if use is not None:
        return "Evicted", use.container.name
    if step.volume is not None and used_of(run, step) >= step.volume.capacity:
        return "Error", "main"
    return None, ""


def used_of(run: RunState, step: Step) -> float:
    """Bytes on the step's volume."""
    own = step.volume
    assert own is not None
    days = -run.days_ago
    if own.emptied is not None:
        days = (days % own.emptied) - own.emptied
    noise = own.noise * float(run.events(step.name, "volume").standard_normal())
    return min(own.capacity, max(0.0, own.used + own.growth * days + noise))

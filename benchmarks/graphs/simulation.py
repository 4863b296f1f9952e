"""Simulated runs: pods of any graph in the order in which they become ready, one created after the other."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from benchmarks.graphs.caches import Caches
from benchmarks.graphs.draws import stream
from benchmarks.graphs.execution import Course, Events, RunState
from benchmarks.graphs.law import GI, NOW, WINDOW, Flow, Step

_CORE_HOUR, _GIB_HOUR, _GPU_HOUR = 0.031, 0.004, 0.95
_FIRST_POD, _NEXT_STEP, _NEXT_POD = 1.0, 0.6, 0.03  # seconds the controller takes
_FROM_CACHE = 0.3  # seconds until a cached result is read
_FULL = 1.5 * 3600.0  # runs that begin later than this before the end are not over yet


class Place(NamedTuple):
    """A step in one item of its group (0 outside of groups)."""

    step: str
    group: int


@dataclass(frozen=True, slots=True)
class Execution:
    """One attempt with its times (unix seconds); ``gone``: when its last container has ended."""

    step: Step
    group: int
    item: int
    attempt: int
    ready: float
    created: float
    scheduled: float
    started: float
    finished: float
    gone: float
    course: Course


@dataclass(slots=True)
class Played:
    """One run: what was executed, in no order, its end (unix seconds), and whether it failed."""

    state: RunState
    executions: list[Execution] = field(default_factory=list)
    end: float = 0.0
    failed: bool = False

    @property
    def makespan(self) -> float:
        """Seconds from start to end."""
        return self.end - self.state.start

    @property
    def cost(self) -> float:
        """What its pods reserve, at the default prices."""
        return sum((e.gone - e.scheduled) / 3600.0 * _price(e.step) for e in self.executions)


def _stopped(execution: Execution, at: float) -> Execution:
    if execution.finished <= at:
        return replace(execution, gone=at)
    course = replace(execution.course, work=at - execution.started, reason="DeadlineExceeded")
    return replace(execution, finished=at, gone=at, course=course)


def _price(step: Step) -> float:
    """Of one hour of the step's pod."""
    return sum(
        c.cpu_request * _CORE_HOUR + c.memory_request / GI * _GIB_HOUR + c.gpus * _GPU_HOUR for c in step.containers
    )


def starts(flow: Flow) -> list[tuple[int, float]]:
    """Number and time of the runs of the window (unix seconds)."""
    times = (NOW - WINDOW + (n + 0.5) * flow.every for n in range(int(WINDOW / flow.every)))
    return [(number, time) for number, time in enumerate(times) if time < NOW - _FULL]


def history(flow: Flow) -> list[Played]:
    """The runs of the window."""
    return [play(flow, number, time) for number, time in starts(flow)]


def fresh(flow: Flow, count: int) -> list[Played]:
    """So many runs as they are at the end of the window, with other random events."""
    return [play(flow, number, NOW - 60.0, sample=1) for number in range(count)]


def play(flow: Flow, number: int, start: float, sample: int = 0) -> Played:
    """Simulate one run."""
    events = stream(flow.seed, sample, number, "run")
    size = math.exp(flow.input_spread * float(events.standard_normal()))
    pace = math.exp(flow.run_spread * float(events.standard_normal()))
    if flow.others and stream(flow.seed, sample, number, "others").random() < flow.others:
        pace *= flow.others_factor
    run = _Run(RunState(flow, sample, number, start, size, pace), float(events.random()))
    return run.play()


class _Run:
    """The state of a run in progress. ``mode``: which conditional steps it has (0 to 1, a step runs if it is less)."""

    def __init__(self, state: RunState, mode: float) -> None:
        flow = state.flow
        self._flow, self._state, self._mode = flow, state, mode
        self._played = Played(state, end=state.start)
        self._steps = {step.name: step for step in flow.steps}
        self._order = {step.name: index for index, step in enumerate(flow.steps)}
        self._places = [Place(s.name, g) for s in flow.steps for g in range(flow.group_items if s.group else 1)]
        self._missing = {place: set(self._needs(place)) for place in self._places}
        self._users: dict[Place, list[Place]] = defaultdict(list)
        for place in self._places:
            for needed in self._missing[place]:
                self._users[needed].append(place)
        self._ready = dict.fromkeys(self._places, state.start + _FIRST_POD)
        self._left = {place: self._steps[place.step].items for place in self._places}
        self._ended_at = dict.fromkeys(self._places, state.start)
        self._events: dict[Place, Events] = {}
        self._caches = Caches(state)
        self._queue: list[tuple[float, int, int, Place, int, int]] = []
        self._pushed = 0
        self._slots = [state.start] * flow.parallelism if flow.parallelism else None
        self._created = state.start

    def _needs(self, place: Place) -> Iterator[Place]:
        """The places before it: all items of another group, and the same one of its own."""
        own = self._steps[place.step].group
        for name in self._steps[place.step].after:
            other = self._steps[name].group
            if other is None:
                yield Place(name, 0)
            elif other == own:
                yield Place(name, place.group)
            else:
                yield from (Place(name, item) for item in range(self._flow.group_items))

    def play(self) -> Played:
        """The run to its end. After a failure the other branches go on."""
        for place in self._places:
            if not self._missing[place]:
                self._open(place)
        while self._queue:
            ready, _, _, place, item, attempt = heapq.heappop(self._queue)
            self._execute(place, item, attempt, ready)
        if self._flow.limit is not None and self._played.makespan > self._flow.limit:
            self._stop(self._state.start + self._flow.limit)
        return self._played

    def _stop(self, at: float) -> None:
        """The run is stopped at its time limit, with the pods that are in progress then."""
        self._played.executions = [
            e if e.gone <= at else _stopped(e, at) for e in self._played.executions if e.started < at
        ]
        self._played.end, self._played.failed = at, True

    def _push(self, ready: float, place: Place, item: int, attempt: int = 0) -> None:
        self._pushed += 1
        heapq.heappush(self._queue, (ready, self._order[place.step], self._pushed, place, item, attempt))

    def _open(self, place: Place) -> None:
        """Its items become ready, unless the step is left out or each waits for an item before it."""
        step = self._steps[place.step]
        if self._mode > step.in_runs:
            self._close(place, self._ready[place])
        elif not step.pipelined:
            for item in range(step.items):
                self._push(self._ready[place], place, item)

    def _close(self, place: Place, when: float) -> None:
        for user in self._users[place]:
            self._missing[user].discard(place)
            self._ready[user] = max(self._ready[user], when + _NEXT_STEP)
            if not self._missing[user]:
                self._open(user)

    def _ended(self, place: Place, item: int, when: float) -> None:
        """One item has succeeded."""
        self._left[place] -= 1
        self._played.end = max(self._played.end, when)
        self._ended_at[place] = max(self._ended_at[place], when)
        for user in self._users[place]:
            if self._steps[user.step].pipelined:
                self._push(when + _NEXT_STEP, user, item)
        if self._left[place] == 0:
            self._close(place, self._ended_at[place])

    def _execute(self, place: Place, item: int, attempt: int, ready: float) -> None:
        step = self._steps[place.step]
        if self._caches.holds(step, item):
            self._ended(place, item, ready + _FROM_CACHE)
            return
        done = self._pod(place, item, attempt, ready)
        self._played.executions.append(done)
        self._played.end = max(self._played.end, done.gone)
        if self._slots is not None:
            heapq.heappush(self._slots, done.gone)
        if done.course.reason is None:
            self._ended(place, item, done.gone)
        elif attempt < step.retries:
            self._push(done.finished + step.backoff, place, item, attempt + 1)
        else:
            self._played.failed = True

    def _pod(self, place: Place, item: int, attempt: int, ready: float) -> Execution:
        """One attempt, as soon as a slot is free and the pods before it are created."""
        step = self._steps[place.step]
        if place not in self._events:
            self._events[place] = Events(self._state, step, place.group)
        course = self._events[place].course(item, attempt)
        free = heapq.heappop(self._slots) if self._slots is not None else ready
        created = max(ready, free, self._created)
        self._created = created + _NEXT_POD
        scheduled = created + course.queued
        started = scheduled + course.startup
        finished = started + course.work
        gone = finished + step.outlives
        return Execution(step, place.group, item, attempt, ready, created, scheduled, started, finished, gone, course)

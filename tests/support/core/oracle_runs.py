"""A minimal engine that produces run records with known truth, second by second and independent of the replay.

A pod takes a slot as soon as one is free and the controller has time for it, ``pace`` seconds after the pod before. It is
created ``lag`` seconds later, bound after ``pending``, started after ``starting``, and works for the given seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution, WorkflowGraph, WorkflowKey
from tests.support.builders import run_record

KEY = WorkflowKey("demo", "WorkflowTemplate", "etl")
BEGIN = 1_700_000_000.0


@dataclass
class Pod:
    step: str
    item: int
    attempt: int = 0
    due: int | None = None
    slot: int | None = None
    end: int | None = None


@dataclass
class Engine:
    """``work[step]``: seconds of each fan-out item. ``fails[step]``: failed attempts of each item before the successful
    one. ``limit``: parallel pods of the run; ``own[step]``: parallel pods of that step."""

    graph: WorkflowGraph
    work: Mapping[str, Sequence[int]]
    limit: int | None = None
    own: Mapping[str, int] = field(default_factory=dict)
    fails: Mapping[str, int] = field(default_factory=dict)
    lag: int = 1
    pace: int = 0
    pending: int = 2
    starting: int = 4
    back_off: int = 10
    tail: int = 0

    def run(self, name: str = "run-1") -> RunRecord:
        pods: list[Pod] = []
        over: dict[str, int] = {}
        opened: set[str] = set()
        now = next_turn = 0
        while len(over) < len(self.graph.steps):
            lost = [p for p in pods if p.end == now and p.attempt < self.fails.get(p.step, 0)]
            pods += [Pod(p.step, p.item, p.attempt + 1, now + self.back_off) for p in lost]
            moved = True
            while moved:
                moved = False
                for spec in self.graph.steps:
                    if spec.name not in opened and all(d in over for d in spec.depends_on):
                        opened.add(spec.name)
                        moved = True
                        pods += [Pod(spec.name, k, 0, now) for k in range(len(self.work.get(spec.name, ())))]
                    mine = [p for p in pods if p.step == spec.name]
                    idle = all(p.end is not None and p.end <= now for p in mine)
                    if spec.name in opened and spec.name not in over and idle:
                        over[spec.name] = now
                        moved = True
            for pod in sorted((p for p in pods if p.slot is None), key=lambda p: p.due or 0):
                if pod.due is not None and pod.due <= now and next_turn <= now and self._room(pods, pod, now):
                    pod.slot, next_turn = now, now + self.pace
                    pod.end = now + self._lag(pod) + self.pending + self.starting + self.work[pod.step][pod.item]
            now += 1
        return self._record(name, pods, max(over.values()))

    def _room(self, pods: Sequence[Pod], pod: Pod, now: int) -> bool:
        held = [p for p in pods if p.slot is not None and p.slot <= now < (p.end or 0)]
        same = [p for p in held if p.step == pod.step]
        return (self.limit is None or len(held) < self.limit) and len(same) < self.own.get(pod.step, len(same) + 1)

    def _lag(self, pod: Pod) -> int:
        return self.lag if pod.attempt == 0 else 0

    def _record(self, name: str, pods: Sequence[Pod], last: int) -> RunRecord:
        rows = []
        for pod in pods:
            assert pod.slot is not None and pod.end is not None
            created = BEGIN + pod.slot + self._lag(pod)
            good = pod.attempt >= self.fails.get(pod.step, 0)
            rows.append(
                StepExecution(
                    pod.step,
                    str(pod.item),
                    pod.attempt,
                    created=created,
                    scheduled=created + self.pending,
                    started=created + self.pending + self.starting,
                    finished=BEGIN + pod.end,
                    outcome=Outcome.SUCCEEDED if good else Outcome.FAILED,
                )
            )
        return run_record(rows, workflow=KEY, run=name, start=BEGIN, end=BEGIN + last + self.tail, source=Source.LIVE)

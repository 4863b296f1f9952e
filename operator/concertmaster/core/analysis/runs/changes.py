"""What people changed between runs, and with which of it, and with which step, a change point of the duration coincides."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from concertmaster.core import text
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.runs.injected import own_containers
from concertmaster.core.changepoint import ChangePoint, Direction
from concertmaster.core.model import RunRecord, StepExecution, WorkflowGraph
from concertmaster.core.stats.comparison import compare

POINTS = 5
"""The newest change points whose causes are worked out."""
_OFFSETS = (0, -1, 1, -2, 2)  # runs by which a change point may miss the first run with the change
_MIN_STEP_SHARE = 0.2  # least part of the change of the run that a step which is named makes up
# Least share and number of runs with another image (or template) than the run before, from which it is an input of theirs.
INPUT_SHARE, _INPUT_RUNS = 1 / 3, 4

ContainerSettings = tuple[str | None, float | None, float | None]
"""Image, and requests of CPU (cores) and memory (bytes), of a container; None where unknown."""
Signature = tuple[str | None, frozenset[tuple[str, str, ContainerSettings]]]
"""The fingerprint of a run's template, and what was set for its containers, by step and name."""
GivenImages = Mapping[tuple[str, str], list[set[str]]]
"""By step and name of a container whose image is an input: its images in each of some consecutive runs."""


@dataclass(frozen=True, slots=True)
class PointCause:
    """What is known of the cause of the change point at ``time`` (unix seconds). ``step``: the one that changed most in its
    direction, with its median ``seconds`` before and after; ``what``: what was changed then, empty when nothing is known.
    ``build``: where images are inputs (``released``), that of the first run since."""

    time: float
    step: str | None = None
    seconds: tuple[float, float] | None = None
    what: str = ""
    build: str = ""

    @property
    def clause(self) -> str:
        """``; changed at the same time: image of train from etl:1 to etl:2``; empty when nothing is known."""
        changed = f"; changed at the same time: {self.what}" if self.what else ""
        first = f"; images differ from run to run, the first of these runs had {text.plain(self.build)}"
        return changed + (first if self.build else "")


def signature(run: RunRecord) -> Signature:
    """The parts of a run that people change: its template, and image and requests of its containers."""
    return run.fingerprint, frozenset(
        (e.step, c.name, (c.image, c.cpu_request, c.memory_request))
        for e in run.steps
        for c in e.containers
        if not c.init
    )


def differences(old: RunRecord, new: RunRecord, graph: WorkflowGraph) -> str:
    """What was changed between two runs, as text; empty when no difference is known."""
    return between(*_own(completed([signature(old), signature(new)]), graph))


def signatures_of(runs: Sequence[RunRecord], figures: RunFigures, graph: WorkflowGraph) -> list[Signature]:
    """The signatures of consecutive runs, of the workflow's own containers, completed."""
    return _own(completed(figures.of_each(signature, runs)), graph)


def _own(signatures: Sequence[Signature], graph: WorkflowGraph) -> list[Signature]:
    """``signatures`` without what others put into the pods."""
    own_names, found = own_containers(graph), list[Signature]()
    for place, (mark, containers) in enumerate(signatures):
        if place and signatures[place - 1] == (mark, containers):
            found.append(found[-1])
            continue
        names: dict[str, set[str]] = defaultdict(set)
        for step, name, _ in containers:
            names[step].add(name)
        own = {step: own_names(step, frozenset(of)) for step, of in names.items()}
        found.append((mark, frozenset(row for row in containers if row[1] in own[row[0]])))
    return found


def completed(signatures: Sequence[Signature]) -> list[Signature]:
    """The signatures of consecutive runs. What is not known of a container in one of them is what it was in the run before:
    a gap in the metrics is no change, neither where it begins nor where it ends."""
    found: list[Signature] = []
    for place, own in enumerate(signatures):
        if place == 0:
            found.append(own)
        else:
            found.append(found[-1] if own == signatures[place - 1] else _completed(own, found[-1]))
    return found


def _completed(signature: Signature, before: Signature) -> Signature:
    if not any(None in settings for *_, settings in signature[1]):
        return signature
    earlier: dict[tuple[str, str], list[ContainerSettings]] = {}
    for step, name, settings in before[1]:
        earlier.setdefault((step, name), []).append(settings)
    return signature[0], frozenset(
        (step, name, settings)
        for step, name, own in signature[1]
        for settings in _possible(own, earlier.get((step, name), []))
    )


def _possible(own: ContainerSettings, earlier: Sequence[ContainerSettings]) -> Sequence[ContainerSettings]:
    """``own`` where all of it is known, else those ``earlier`` ones that it may be, else itself completed from one."""
    if None not in own or not earlier:
        return [own]
    alike = [e for e in earlier if all(a is None or a == b for a, b in zip(own, e, strict=True))]
    if alike:
        return alike
    image, cpu, memory = min(earlier, key=repr)
    return [(own[0] or image, cpu if own[1] is None else own[1], memory if own[2] is None else own[2])]


def between(before: Signature, after: Signature) -> str:
    """``differences`` of signatures. Where the executions of a step differ among themselves, only what none of them had
    before is a change: items may be given what they need, and a run may begin before a change and end after it."""
    if before == after:
        return ""
    known = {(s, c) for s, c, _ in before[1]} & {(s, c) for s, c, _ in after[1]}
    parts = []
    for place in sorted(known):
        was, now = ([settings for *at, settings in side[1] if tuple(at) == place] for side in (before, after))
        old, new = ({image for image, *_ in side if image} for side in (was, now))
        if old and new - old:
            replaced = sorted(old - new or old)
            parts.append(f"image of {place[0]} from {text.listing(replaced)} to {text.listing(sorted(new - old))}")
        if {(cpu, memory) for _, cpu, memory in now} - {(cpu, memory) for _, cpu, memory in was}:
            parts.append(f"requests of {place[0]}")
    if not parts and before[0] is not None and after[0] is not None and before[0] != after[0]:
        parts.append("template")
    return ", ".join(dict.fromkeys(parts))


def released(signatures: Sequence[Signature], given: GivenImages | None = None) -> list[Signature]:
    """The signatures of consecutive runs without images and templates that are inputs of the runs rather than releases:
    where a third of the runs has another one than the run before (an image is built for each, say, and the definition
    names it), every change of the run time coincides with one. ``given``: their ``given_images``, if known."""
    given = given_images(signatures) if given is None else given
    templated = is_input([{mark} for mark, _ in signatures if mark is not None])
    if not given and not templated:
        return list(signatures)
    return [
        (
            None if templated else mark,
            frozenset([(s, c, (None if (s, c) in given else i, cpu, memory)) for s, c, (i, cpu, memory) in containers]),
        )
        for mark, containers in signatures
    ]


def edited_for_each_run(runs: Sequence[RunRecord]) -> bool:
    """Whether the definition differs from run to run (oldest first) so often that it is an input of theirs, as where the tag
    of each build is written into it. That it was edited then distinguishes no run from another."""
    return is_input([{run.fingerprint} for run in runs if run.fingerprint is not None])


def given_images(signatures: Sequence[Signature]) -> GivenImages:
    """The images that are inputs of consecutive runs (oldest first)."""
    if sum(old is not new and old != new for old, new in pairwise(signatures)) < _INPUT_RUNS:
        return {}  # as in most workflows
    images: dict[tuple[str, str], list[set[str]]] = defaultdict(lambda: [set() for _ in signatures])
    for at, (_, containers) in enumerate(signatures):
        for step, name, (image, *_) in containers:
            if image is not None:
                images[step, name][at].add(image)
    return {place: rows for place, rows in images.items() if is_input([of_run for of_run in rows if of_run])}


def build(given: GivenImages, at: int, step: str | None = None) -> str:
    """The image of the run at that position, of the ``step`` (None: any), where such images are inputs; empty where they
    are not, or where the run has several."""
    images = set().union(*(rows[at] for place, rows in given.items() if step in (None, place[0])))
    return images.pop() if len(images) == 1 else ""


def is_input(values: Sequence[Collection[str]], share: float = INPUT_SHARE) -> bool:
    """Whether consecutive ``values`` differ so often (in this ``share`` of them or more, 0 to 1) that they are given to each
    run, as its input is."""
    changes = sum(old != new and not set(new) <= set(old) for old, new in pairwise(values))
    return changes >= max(_INPUT_RUNS, share * len(values))


def longest(run: RunRecord, lost: Callable[[StepExecution], float] | None = None) -> dict[str, float]:
    """Seconds of the longest execution of each step, each without what it ``lost`` (s)."""
    seconds_by_step: dict[str, float] = {}
    for e in run.steps:
        span = e.span
        if span is not None and lost is not None:
            span -= lost(e)
        if span is not None and span >= seconds_by_step.get(e.step, span):
            seconds_by_step[e.step] = span
    return seconds_by_step


def inputs(run: RunRecord) -> dict[str, float]:
    """What each step was given: the sum over its items, where that is known."""
    sizes = {(e.step, e.item): e.input_size for e in run.steps if e.input_size is not None}
    by_step: dict[str, float] = {}
    for (step, _), size in sizes.items():
        by_step[step] = by_step.get(step, 0.0) + size
    return by_step


def point_causes(
    runs: Sequence[RunRecord], points: Sequence[ChangePoint], figures: RunFigures, graph: WorkflowGraph
) -> tuple[PointCause, ...]:
    """The causes of the newest change points, oldest first, at equal input where it is known. ``runs``: oldest first. A
    point is judged on the runs since the one before it and until the one after it."""
    ends = [r.end if r.end is not None else -math.inf for r in runs]
    places = [next((i for i, end in enumerate(ends) if end >= p.time), len(runs)) for p in points]
    bounds = [0, *places, len(runs)]
    signatures = signatures_of(runs, figures, graph) if points else []
    given, causes = given_images(signatures), []
    fixed = released(signatures, given)
    for number, (point, at) in enumerate(zip(points, places, strict=True), 1):
        if number > len(points) - POINTS:
            step = _step(runs[bounds[number - 1] : at], runs[at : bounds[number + 1]], point, figures)
            own = build(given, at, step[0]) if at < len(runs) else ""
            causes.append(PointCause(point.time, *step, _changed(fixed, at), own))
    return tuple(causes)


def cause_between(
    runs: Sequence[RunRecord], old: int, new: int, step: str, figures: RunFigures, graph: WorkflowGraph
) -> PointCause:
    """What was changed between the runs (oldest first) at two positions, where a ``step`` behaves differently since the
    second."""
    signatures = signatures_of(runs, figures, graph)
    given = given_images(signatures)
    fixed = released(signatures, given)
    what, own = between(fixed[old], fixed[new]), build(given, new, step)
    return PointCause(runs[new].end or math.nan, step, None, what, own)


def _step(
    before: Sequence[RunRecord], after: Sequence[RunRecord], point: ChangePoint, figures: RunFigures
) -> tuple[str | None, tuple[float, float] | None]:
    if not before or not after:
        return None, None
    sides = [figures.of_each(longest, side) for side in (before, after)]
    given = [figures.of_each(inputs, side) for side in (before, after)]
    totals = [median(r.makespan or 0.0 for r in side) for side in (before, after)]
    way = 1.0 if point.direction is Direction.UP else -1.0
    best, least = None, _MIN_STEP_SHARE * abs(totals[1] - totals[0])
    for step in sorted({name for side in sides for run in side for name in run}):
        seconds = [[run[step] for run in side if step in run] for side in sides]
        if all(seconds):
            was, now = median(seconds[0]), median(seconds[1])
            if way * (now - was) > least:
                ratio = _at_equal_input(step, sides, given)
                own = way * (now - (was if ratio is None else now / ratio))  # the input accounts for the rest
                if own > least:
                    best, least = (step, (was, now)), own
    return best or (None, None)


def _at_equal_input(
    step: str, sides: Sequence[Sequence[Mapping[str, float]]], given: Sequence[Sequence[Mapping[str, float]]]
) -> float | None:
    """By which factor the step takes longer after than before for the same input; None where too few inputs are known."""
    seconds = [[run[step] for run in side if step in run] for side in sides]
    sizes = [
        [size.get(step) for run, size in zip(*pair, strict=True) if step in run]
        for pair in zip(sides, given, strict=True)
    ]
    if not all(any(size is not None for size in side) for side in sizes):
        return None
    alike = compare(*seconds, inputs_before=sizes[0], inputs_after=sizes[1])
    return alike.ratio if alike.adjusted else None


def _changed(signatures: Sequence[Signature], at: int) -> str:
    """What was changed between the two runs nearest to that position."""
    for place in (at + off for off in _OFFSETS):
        if 0 < place < len(signatures) and (what := between(*signatures[place - 1 : place + 1])):
            return what
    return ""

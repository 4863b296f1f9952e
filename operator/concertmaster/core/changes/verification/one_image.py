"""Releases while a change is verified: runs with another image show the effect of both. Where the image changes every few
runs, it is a part of how they vary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from concertmaster.core.analysis.runs.changes import INPUT_SHARE, edited_for_each_run, is_input
from concertmaster.core.analysis.runs.injected import own_containers
from concertmaster.core.changes.verification.before_after import BASELINE, BeforeAfter, out_of_memory
from concertmaster.core.model import Outcome, RunRecord, WorkflowGraph

_OFTEN = 1 / 15  # share of runs with another image than the one before: two and more releases in a verification of 30
_LASTING = 2  # runs in a row with another image from which on it is a release

StepContainer = tuple[str, str]  # names of step and container


def of_one_image(sides: BeforeAfter, graph: WorkflowGraph) -> BeforeAfter:
    """``sides`` without those runs after the change in which a container has another image than in any run before: what
    they show is the effect of both. Where images differ every few runs, they are noise to both sides, but for failures:
    those of a release that is broken come together. A container that is killed for lack of memory counts."""
    other, new = (
        {id(r) for r, is_other in zip(sides.after, _released(sides, graph, share), strict=True) if is_other}
        for share in (_OFTEN, INPUT_SHARE)
    )
    found = sides.without(lambda r: id(r) in other, "with another image")
    return found.without(
        lambda r: id(r) in new and r.outcome is Outcome.FAILED and not out_of_memory(r), "failed with another image"
    )


def released(sides: BeforeAfter, graph: WorkflowGraph) -> bool:
    """Whether the newest runs after the change are those that ``of_one_image`` leaves out. One alone may be a trial."""
    newest = _released(sides, graph)[-_LASTING:]
    return len(newest) == _LASTING and all(newest)


def edited_often(runs: Sequence[RunRecord], graph: WorkflowGraph) -> bool:
    """Whether the definition is edited for each of the ``runs`` (oldest first), or for every few of them with a release that
    is written into it: an edit after a change then distinguishes no run from those before. Releases in a parameter, say,
    come without edits."""
    if edited_for_each_run(runs):
        return True
    often, images = _released_often(runs, graph), _images(graph)
    known = [(images(r), r.fingerprint) for r in runs[-BASELINE:] if often and r.fingerprint is not None]
    released = [
        old != new
        for (before, old), (after, new) in pairwise(known)
        if any(before[place] != after[place] for place in often & before.keys() & after.keys())
    ]
    return bool(often) and 2 * sum(released) >= len(released)


def _released_often(runs: Sequence[RunRecord], graph: WorkflowGraph, share: float = _OFTEN) -> frozenset[StepContainer]:
    """The containers whose image changes every few of the ``runs`` (oldest first), in this ``share`` of them or more: it
    distinguishes none of those after a change from those before it."""
    by_place = _by_place(map(_images(graph), runs[-BASELINE:]))
    return frozenset(place for place, each in by_place.items() if is_input(each, share))


def _released(sides: BeforeAfter, graph: WorkflowGraph, share: float = _OFTEN) -> list[bool]:
    """Whether each run after the change has another image than all before it, of a container that is not released often."""
    images = _images(graph)
    often, before = _released_often(sides.earlier, graph, share), _by_place(map(images, sides.before[-BASELINE:]))
    known = {place: set[str]().union(*each) for place, each in before.items() if place not in often}
    return [any(_others(own, known.get(place, own)) for place, own in images(run).items()) for run in sides.after]


def _by_place(runs: Iterable[Mapping[StepContainer, set[str]]]) -> dict[StepContainer, list[set[str]]]:
    """The images of each of some runs, by place."""
    found: dict[StepContainer, list[set[str]]] = {}
    for run in runs:
        for place, own in run.items():
            found.setdefault(place, []).append(own)
    return found


def _others(images: set[str], known: set[str]) -> set[str]:
    """Those ``images`` that are none of the ``known``. One with a digest and one without are the same if their tags are: a
    webhook that adds digests to the images of all pods is no release of a workflow."""
    tags = {image.partition("@")[0] for image in known}
    return {i for i in images - known - tags if i.partition("@")[0] not in known}


def _images(graph: WorkflowGraph) -> Callable[[RunRecord], dict[StepContainer, set[str]]]:
    """The images of a run, by step and name of the container, without those that are injected into pods."""
    own = own_containers(graph)

    def of(run: RunRecord) -> dict[StepContainer, set[str]]:
        images: dict[StepContainer, set[str]] = {}
        for e in run.steps:
            working = [c for c in e.containers if not (c.init or c.sidecar)]
            names = own(e.step, frozenset(c.name for c in working))
            for c in working:
                if c.image and c.name in names:
                    images.setdefault((e.step, c.name), set()).add(c.image)
        return images

    return of

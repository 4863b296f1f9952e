"""Long readings by moments: when to ask for what a pod was after its end, and what such answers leave open. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from concertmaster.core.model import JobFact
from concertmaster.engines.jobs.traits import RUN
from concertmaster.prometheus.facts.drafts import PodDraft
from concertmaster.prometheus.queries.scope import SPARSE, TimeRange

_REPORTED = 120.0  # seconds after an end at which kube-state-metrics was scraped with it


def moments(finished: Mapping[str, str], ends: Mapping[str, float], end: float, window: TimeRange) -> Mapping[str, int]:
    """How many seconds before ``end`` each pod that ended was at rest, by its name: soon after the end that is known (unix
    seconds, by uid), else at ``end``. None in a short window, nor of names that several pods bore. ``finished``: names by
    uid."""
    if not window.long:
        return {}
    bearers = Counter(finished.values())
    return {
        name: max(0, int((end - ends.get(uid, end) - _REPORTED) // SPARSE)) * SPARSE
        for uid, name in finished.items()
        if bearers[name] == 1
    }


def at_moments(names: Sequence[str], moments: Mapping[str, int]) -> Mapping[int, Sequence[str]]:
    """The names by the moment at which to ask for each."""
    by_moment: dict[int, list[str]] = {}
    for name in names:
        by_moment.setdefault(moments[name], []).append(name)
    return by_moment


def whole(drafts: Mapping[str, PodDraft]) -> Mapping[str, PodDraft]:
    """Those of drafts made of single moments which hold all there is to know: the pod had succeeded by then, and nothing is
    missing that the others have, as it may next to a gap in the series. Of a failed pod there may have been more before:
    what evicts a pod may empty its status."""
    times = {name for draft in drafts.values() for name in draft.times}
    return {
        uid: draft
        for uid, draft in drafts.items()
        if draft.phases == {"Succeeded"} and draft.nodes and draft.containers and draft.times.keys() == times
    }


def open_jobs(jobs: Iterable[JobFact], drafts: Iterable[PodDraft]) -> set[str]:
    """Names of the Jobs to ask for over the whole window, after all were read at moments of it: owners of pods that have
    ended whose own end is not known, and failed ones of which nothing else is known."""
    ended = {(job.namespace, job.name) for job in jobs if job.succeeded is not None}
    bare = {job.name for job in jobs if job.succeeded is False and job.owner_kind is None and job.parallelism is None}
    owned = {
        (draft.namespace, draft.owner[1]) for draft in drafts if draft.owner is not None and draft.owner[0] == RUN.kind
    }
    return bare | {name for _, name in owned - ended}

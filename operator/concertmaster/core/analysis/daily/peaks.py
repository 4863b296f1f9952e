"""The largest amounts of a day and its OOM kills, by step: what rare large runs need is known from them once these runs are
gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from concertmaster.core.analysis.pod_level import with_pods
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.runs.usage import RunUsage, usage_of
from concertmaster.core.analysis.shared.volumes import claim_name
from concertmaster.core.known import largest
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.core.model.daily import (
    EXCEPTIONAL,
    KILLED,
    KILLED_AT,
    KILLED_FOR_GOOD,
    KILLS_OVER,
    RUN,
    DailyPeaks,
)
from concertmaster.core.units import DAY

Largest = dict[tuple[str, str], float]
"""By step and name, see ``DailyPeaks``."""
_COUNTS = KILLED, KILLED_FOR_GOOD


def largest_by_day(runs: Sequence[RunRecord], figures: RunFigures) -> dict[int, Largest]:
    """By the UTC day on which the ``runs`` ended, as far as they did."""
    by_day: dict[int, list[RunRecord]] = {}
    for run in runs:
        if run.end is not None and run.outcome is not Outcome.RUNNING:
            by_day.setdefault(int(run.end // DAY), []).append(run)
    return {
        day: figures.of_all(("largest", day), ended, partial(_largest, ended, figures)) for day, ended in by_day.items()
    }


def exceptional(by_day: Mapping[int, Largest], last: float) -> dict[int, Largest]:
    """Of the days up to ``last``, the amounts that no later one comes near. Kills are counted in the window only."""
    found: dict[int, Largest] = {}
    later: Largest = {}
    for day, amounts in sorted(by_day.items(), reverse=True):
        if later and day <= last:
            large = {place: n for place, n in amounts.items() if n > EXCEPTIONAL * later.get(place, 0.0)}
            found[day] = {place: n for place, n in large.items() if place[1].partition("/")[0] not in _COUNTS}
        later |= {place: n for place, n in amounts.items() if n > later.get(place, 0.0)}
    return found


def with_kills_before(amounts: Largest, before: Mapping[tuple[str, str], float], fresh: Sequence[RunRecord]) -> Largest:
    """The ``amounts`` of a day of which some runs are gone: its kills are those counted ``before`` and those of the
    ``fresh`` runs, which were not, and at least those at hand."""
    added = _kills(fresh, RunFigures())
    counts = {place: n for place, n in amounts.items() if place[1].partition("/")[0] in _COUNTS}
    return amounts | {place: max(n, before.get(place, 0.0) + added[place]) for place, n in counts.items()}


def still_over(before: Mapping[tuple[str, str], float], fresh: Sequence[RunRecord]) -> Largest:
    """What was noted ``before`` of kills that had ended by a day: the runs that showed it may be gone, although all of the
    day are at hand. A kill among the ``fresh`` runs, which ended since, ends that."""
    ends = {place: n for place, n in before.items() if place[1].partition("/")[0] == KILLS_OVER}
    if not ends:
        return {}  # almost always
    killed = {(step, name.partition("/")[2]) for step, name in _kills(fresh, RunFigures())}
    return {(step, name): n for (step, name), n in ends.items() if (step, name.partition("/")[2]) not in killed}


def daily_peaks(definition: WorkflowDefinition, runs: Sequence[RunRecord]) -> DailyPeaks:
    """The same of runs that are all at hand, some of which are not analysed."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for day, amounts in largest_by_day(with_pods(definition, runs)[1], RunFigures()).items():
        for place, amount in amounts.items():
            found.setdefault(place, {})[day] = amount
    return DailyPeaks(found)


def _largest(runs: Sequence[RunRecord], figures: RunFigures) -> Largest:
    by_place: dict[tuple[str, str], list[RunUsage]] = {}
    for of_run in figures.of_each(usage_of, runs):
        for place, *_, usage in of_run:
            by_place.setdefault(place, []).append(usage)
    found: Largest = {**_kills(runs, figures)}
    for (step, container), of_place in by_place.items():
        killed = [u.memory_floor for u in of_place if u.oom_killed]  # it needed more than it had
        for name, amounts in (
            ("memory", [*(u.memory_peak for u in of_place), *killed]),
            (KILLED_AT, killed),
            ("cpu", [u.mean_cores for u in of_place]),
            ("storage", [u.storage_peak for u in of_place]),
            ("gpu", [u.gpus_active for u in of_place]),
        ):
            if most := largest(amounts):
                found[step, f"{name}/{container}"] = most
    for run in runs:
        if run.outcome is Outcome.SUCCEEDED and (run.run_time or 0.0) > found.get((RUN, "seconds"), 0.0):
            found[RUN, "seconds"] = run.run_time or 0.0
        for e in run.steps:
            seconds = e.duration if e.outcome.timed else None
            if seconds is not None and seconds > found.get((e.step, "seconds"), 0.0):
                found[e.step, "seconds"] = seconds
            for volume in e.volumes:
                claim = e.step, f"volume/{claim_name(run, volume.claim)[0]}"
                found[claim] = max(volume.used, found.get(claim, 0.0))
    return found


def _kills(runs: Sequence[RunRecord], figures: RunFigures) -> Counter[tuple[str, str]]:
    """How many of the ``runs`` had a kill, and how many of these failed."""
    found: Counter[tuple[str, str]] = Counter()
    for run, of_run in zip(runs, figures.of_each(usage_of, runs), strict=True):
        for (step, container), *_, usage in of_run:
            if usage.oom_killed:
                found[step, f"{KILLED}/{container}"] += 1
                if run.outcome is Outcome.FAILED:
                    found[step, f"{KILLED_FOR_GOOD}/{container}"] += 1
    return found

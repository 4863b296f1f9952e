"""A step at which many runs fail, though not all: since a day, or all along while trying again does not help."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from concertmaster.core.model import Outcome, RunRecord, StepExecution

_LEAST = 4  # failed runs
_RATIO = 6.0  # log-likelihood ratio: a rise this clear comes by accident less than once in a hundred windows
_RISE = 0.1  # of the runs more that fail
_TRIED = 3  # retries seen before they count as useless
_HELPED = 0.1  # share of retries that helped


@dataclass(frozen=True, slots=True)
class Repeated:
    """``failed`` of ``of`` runs failed at the step since ``since`` (unix seconds; None: all along), ``earlier`` of
    ``before`` until then. ``retries`` were tried on them, of which ``helped`` helped."""

    step: str
    failures: tuple[StepExecution, ...]
    failed: int
    of: int
    since: float | None
    earlier: int
    before: int
    retries: int
    helped: int


def rise(flags: Sequence[bool]) -> int | None:
    """The position from which failures (True) are more frequent than before, None when that is not sure or over again."""
    count, total = len(flags), sum(flags)
    best, at = 0.0, None
    whole = _likelihood(total, count)
    early = 0
    for i in range(1, count):
        early += flags[i - 1]
        late = total - early
        if not flags[i] or late / (count - i) - early / i < _RISE:
            continue
        found = _likelihood(early, i) + _likelihood(late, count - i) - whole
        if found > best:
            best, at = found, i
    if at is None or best < _RATIO or total - sum(flags[:at]) < _LEAST:
        return None
    newest = flags[at:][(count - at) // 2 :]
    rate = sum(flags[at:]) / (count - at)
    return at if sum(newest) / len(newest) >= rate / 2 else None


def _likelihood(hits: int, of: int) -> float:
    """Log-likelihood of so many hits at the rate seen."""
    return sum(k * math.log(k / of) for k in (hits, of - hits) if k)


def repeated(
    runs: Sequence[RunRecord],
    culprits: Mapping[str, Mapping[str, StepExecution]],
    counts: Mapping[str, tuple[int, int]],
) -> list[Repeated]:
    """Steps at which runs fail more often since a day, or often though they are tried again; the most failures first.

    ``culprits``: of each failed run, what ended it by step. ``counts``: by step, the retries seen and those that helped.
    """
    known = [r for r in runs if r.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)]
    out = []
    for step in dict.fromkeys(s for own in culprits.values() for s in own):
        flags = [step in culprits.get(r.run, {}) for r in known]
        at = rise(flags)
        retries, helped = counts.get(step, (0, 0))
        useless = retries >= _TRIED and helped <= _HELPED * retries
        if at is None and not (useless and sum(flags) >= _LEAST):
            continue
        begin = at or 0
        failures = tuple(
            culprits[r.run][step] for r, failed in zip(known[begin:], flags[begin:], strict=True) if failed
        )
        since = known[begin].start if at is not None else None
        out.append(
            Repeated(
                step, failures, len(failures), len(known) - begin, since, sum(flags[:begin]), begin, retries, helped
            )
        )
    return sorted(out, key=lambda r: (-r.failed / r.of, r.step))

"""What is recommended for a case by its known days, and what that is to the runs of the days to come."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from benchmarks.days.cases import Case, definition, records
from concertmaster.core.analysis.daily.peaks import daily_peaks
from concertmaster.core.model import Recommendation, RunRecord, WorkflowDefinition
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.policy import Policy, RuleSettings
from concertmaster.core.pipeline import EarlierAnalyses, analyze_workflow
from concertmaster.core.rules import RULES

BOUND = Policy().analysis.max_failure
# Only what sets requests: the other rules say nothing about sizes.
POLICY = Policy(rules={rule.name: RuleSettings(enabled=rule.name == "right-size") for rule in RULES})
_PROMISE = re.compile(r"at most [0-9.]+% of later attempts run out of memory( while growing peaks stay below it)?")
_LASTS = re.compile(r"lasts until about ([0-9-]{10})")
PEER = 1.15  # times the largest known peak


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the memory request: ``lowered``, or it stays. Of the later runs, shares (0 to 1) above the size, above
    PEER times the largest known peak, and, of the ``promised`` share that the text makes a promise for, above the size.
    ``to_largest``, ``to_best``: the size over the largest later peak, and over the smallest that keeps the promise.
    ``longer``: time that CPU below the need adds to later runs, as a share, and ``cores``: the CPU request over what they
    need at the most; None where it stays."""

    lowered: bool
    above: float
    peer: float
    promised: float
    broken: float
    to_largest: float
    to_best: float
    peer_to_best: float
    longer: float | None
    cores: float | None


@dataclass(frozen=True, slots=True)
class Known:
    """What an analysis reads of a case."""

    read: WorkflowDefinition
    runs: Sequence[RunRecord]
    earlier: EarlierAnalyses


def known(case: Case) -> Known:
    """The runs that are analysed: the newest, and by day what all runs of the window needed if there are more."""
    read = definition(case)
    runs = records(case, read)
    newest = POLICY.analysis.max_runs
    earlier = EarlierAnalyses(peaks=daily_peaks(read, runs)) if len(runs) > newest else EarlierAnalyses()
    return Known(read, runs[-newest:], earlier)


def recommended(case: Case, of: Known) -> Recommendation | None:
    """The product's answer."""
    result = analyze_workflow(of.read, of.runs, POLICY, profile="work", now=case.now, earlier=of.earlier)
    return next((item for item in (*result.recommendations, *result.minor) if item.rule == "right-size"), None)


def judge(case: Case, item: Recommendation | None) -> Judged:
    """The later runs with the recommended requests."""
    sizes = {row.field: quantity(row.new.replace(" ", "")) for row in item.items} if item is not None else {}
    memory, cpu = sizes.get("requests.memory"), sizes.get("requests.cpu")
    later, cores = case.peaks[case.known :], case.cores[case.known :]
    size = memory if memory is not None and memory < case.memory else case.memory
    best = float(np.quantile(later, 1.0 - BOUND, method="higher"))
    peer = PEER * float(case.peaks[: case.known].max())
    until = _until(case, item) if size < case.memory else 0.0
    under = case.starts[case.known :] < until
    return Judged(
        size < case.memory,
        float((later > size).mean()),
        float((later > peer).mean()),
        float(under.mean()),
        float((later[under] > size).mean()) if under.any() else 0.0,
        size / float(later.max()),
        size / best,
        peer / best,
        None if cpu is None else float(np.maximum(cores / cpu - 1.0, 0.0) @ case.seconds[case.known :])
        / float(case.seconds[case.known :].sum()),
        None if cpu is None else cpu / float(cores.max()),
    )  # fmt: skip


def _until(case: Case, item: Recommendation | None) -> float:
    """Until when (unix seconds) the text promises that the size is enough; 0 without a promise."""
    said = _PROMISE.search(item.expected) if item is not None else None
    if said is None or item is None:
        return 0.0
    if not said[1]:
        return float("inf")
    lasts = next((found for line in item.evidence if (found := _LASTS.search(line))), None)
    return datetime.fromisoformat(lasts[1]).replace(tzinfo=UTC).timestamp() if lasts is not None else 0.0

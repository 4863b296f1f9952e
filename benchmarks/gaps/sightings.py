"""Laws of what was seen at all: whole runs, single pods, and the ends of pods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.advice.plant import Rng
from benchmarks.gaps.law import ChangeRun, Law, age, between, by_chance, of_pods
from concertmaster.core.model import Outcome, RunRecord, StepExecution
from concertmaster.engines import merge_executions

_BEGUN_EARLIER = frozenset({"degraded", "degraded-in-season", "growth", "objective-passed"})
_BEGUN_LATELY = frozenset({"broken", "failure-rate", "degraded", "degraded-in-season"})
SCRAPE = 30.0  # seconds between two scrapes of kube-state-metrics


def _runs(kept: Callable[[Rng, float], bool]) -> ChangeRun:
    """Only runs for which this is true; given days from their end to the end of the history."""

    def change(rng: Rng, run: RunRecord) -> RunRecord | None:
        return run if kept(rng, age(run.end)) else None

    return change


def _gone(_: Rng, __: StepExecution) -> None:
    return None


def _at_scrapes(rng: Rng, e: StepExecution) -> StepExecution | None:
    """Deleted as soon as they end: a pod is seen if a scrape falls into its life."""
    life = (e.finished or 0.0) - (e.created or 0.0)
    return e if rng.random() < life / (2 * SCRAPE) else None


def vanished(rng: Rng, e: StepExecution) -> StepExecution:
    """Deleted before its end was scraped: it ends at its last sample, or with its start if there was none after it."""
    if e.finished is None:
        return e
    last = max(e.finished - float(rng.uniform(0.0, SCRAPE)), e.started or e.created or e.finished)
    containers = tuple(replace(c, finished=None, reason=None) for c in e.containers)
    return replace(e, finished=last, outcome=Outcome.UNKNOWN, reason="Vanished", containers=containers)


def _success_vanished(rng: Rng, e: StepExecution) -> StepExecution:
    return vanished(rng, e) if e.outcome is Outcome.SUCCEEDED else e


def _read_twice(rng: Rng, e: StepExecution) -> StepExecution:
    """First taken for gone, and its end read later."""
    return merge_executions(vanished(rng, e), e)


def _unjudged(_: Rng, e: StepExecution) -> StepExecution:
    """Neither a phase nor the reason of a container tells how it ended."""
    containers = tuple(replace(c, reason=None) for c in e.containers)
    return replace(e, outcome=Outcome.UNKNOWN, reason=None, containers=containers) if e.outcome.over else e


LAWS: tuple[Law, ...] = (
    Law(
        "runs-3-days-gap",
        "Prometheus was down for three days",
        _runs(lambda _, days: not 4.0 < days <= 7.0),
        outage=(7.0, 4.0),
    ),
    Law(
        "runs-1-day-gap",
        "Prometheus was down for a day",
        _runs(lambda _, days: not 2.0 < days <= 3.0),
        outage=(3.0, 2.0),
    ),
    Law(
        "runs-newest-day",
        "the newest day has not been read yet",
        _runs(lambda _, days: days > 1.0),
        outage=(1.0, 0.0),
    ),
    Law(
        "runs-newest-5-days",
        "nothing has been read for five days",
        _runs(lambda _, days: days > 5.0),
        _BEGUN_LATELY,
        outage=(5.0, 0.0),
    ),
    Law("runs-last-2-days", "metrics are kept for two days", _runs(lambda _, days: days <= 2.0), _BEGUN_EARLIER),
    Law("runs-last-5-days", "metrics are kept for five days", _runs(lambda _, days: days <= 5.0), _BEGUN_EARLIER),
    Law("runs-1-in-3", "pods of most runs are never exposed", _runs(lambda rng, _: rng.random() < 1 / 3)),
    Law("pods-5%-unseen", "deleted before a scrape", of_pods(by_chance(0.05, _gone))),
    Law("pods-unseen-at-60s", "deleted at once, scraped every minute", of_pods(_at_scrapes)),
    Law("ends-5%-unseen", "deleted before the end was scraped", of_pods(by_chance(0.05, vanished))),
    Law("ends-70%-of-successes", "podGC of successful pods", of_pods(by_chance(0.7, _success_vanished))),
    Law("ends-all-unseen", "podGC of completed pods", of_pods(vanished)),
    Law(
        "ends-all-unseen-but-live",
        "podGC, and objects are read",
        of_pods(vanished),
        frozenset({"sidecar-late"}),
        read_live=lambda _: True,
    ),
    Law("live-3-days", "the operator is new", lambda _, run: run, read_live=lambda run: age(run.end) <= 3.0),
    Law("outcomes-7-days-absent", "allow-list that lacked phases and reasons", of_pods(between(99.0, 7.0, _unjudged))),
    Law("outcomes-absent", "allow-list that lacks phases and reasons", of_pods(_unjudged)),
    Law("read-twice", "kube-state-metrics was restarted", of_pods(_read_twice)),
)

"""A recording rule that saves the metrics source the most expensive part of a reading: peaks of short-lived containers
over their lives.

It is optional content of the chart's PrometheusRule, and used when it is there. Records keep the labels of the series
they are made of, so that they answer every question the series do. They must never change a result:

* A record evaluated at t covers (t - 180 s, t - 60 s]: two intervals, so that one missed evaluation leaves no hole, and
  a minute back, so that samples which arrive late are in it.
* Rates are taken at full multiples of 30 s whatever the moment of the evaluation: those of the direct query.
* The last four minutes, which no record may cover yet, are queried directly.
* All figures are one rule, and so is a marker of its evaluations: whatever fails, fails for all of them and is seen.
* Unless the marker shows that at most one evaluation is missing from a span that holds the lives in question, and
  every container with samples has its records (somebody may have narrowed the rule), the direct query is asked.
* Of several evaluators behind one store the one that missed most counts, since which of them keeps a container's records
  is not known. More evaluations than the interval allows (another interval, or copies of a store merged without removing
  duplicates) hide missing ones: nothing is believed then.
* Samples that may take longer than that minute to arrive would be missing in records and not in the direct query: with
  a delay of more than ``LATEST`` records are not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from concertmaster.prometheus.queries.promql import matcher, selector

INTERVAL = 60  # seconds between evaluations
TAIL = 240  # seconds before the pinned time that are queried directly
LATEST = 60  # seconds a sample may take to arrive: the offset in the expressions
SPANS = (3600, 6 * 3600, 24 * 3600)  # seconds; the spans over which the marker is counted

# A change of the expression needs another name, or old records would be taken for new ones.
NAME = "concertmaster:container_usage:max2m"
FIGURE = "figure"  # label of a record: interval (the marker), peak, last, burst
MARKER = "interval"

_INSIDE = '{container!="", container!="POD"}'
_CPU = f"container_cpu_usage_seconds_total{_INSIDE}"
_FIGURES = {
    "peak": f"max_over_time(container_memory_working_set_bytes{_INSIDE}[2m] offset 1m)",
    "last": f"max_over_time(timestamp({_CPU})[2m:5s] offset 1m)",
    "burst": f"max_over_time(rate({_CPU}[2m])[2m:30s] offset 1m)",
    MARKER: f"vector({INTERVAL})",
}
GROUP: dict[str, Any] = {
    "name": "concertmaster.collection",
    "interval": f"{INTERVAL}s",
    "rules": [
        {
            "record": NAME,
            "expr": "\nor ".join(
                f'label_replace({text}, "{FIGURE}", "{figure}", "", "")' for figure, text in _FIGURES.items()
            ),
        }
    ],
}
"""The rule group, as Prometheus and a PrometheusRule spell it."""


def covered(counts: Iterable[tuple[int, float]]) -> int:
    """The longest span (seconds back from the pinned time) that records cover without a hole; 0 when none.

    ``counts``: evaluations seen within each of ``SPANS``. Both ends of a span may meet an evaluation; more than that
    are no longer one per interval, and their number says nothing about holes. A longer span is believed only after the
    shorter ones: three hours of every 30 s are as many as six of every minute.
    """
    levels = 0
    for span, count in sorted(counts):
        if not -1 <= count - span / INTERVAL <= 1:
            break
        levels = span
    return levels


def evaluations(matchers: Sequence[str], span: int) -> str:
    """The query for the evaluations within ``span`` seconds, of the evaluator that has fewest."""
    return f"min(count_over_time({marker(matchers)}[{span}s]))"


def marker(matchers: Sequence[str]) -> str:
    """The selector of a sample for each evaluation; ``matchers`` are those of the source."""
    return selector(NAME, [*matchers, matcher(FIGURE, "=", MARKER)])

"""The query that finds workflows by their pods' labels. Pure text building."""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.prometheus.queries.promql import matcher, selector
from concertmaster.prometheus.queries.scope import QueryScope, TimeRange


def labelled(scope: QueryScope, window: TimeRange, finder: str, keys: Sequence[str]) -> str:
    """The values of ``keys`` that pods with the label ``finder`` had, by namespace: one series for each combination."""
    scheme = scope.state
    names = sorted({scheme.pod_label(key) for key in keys})
    by = ", ".join((scheme.name("namespace"), *names))
    marked = selector("kube_pod_labels", scope.of(scheme, matcher(scheme.pod_label(finder), "!=", "")))
    return f"group by ({by}) (last_over_time({marked}{window.range}))"

"""Numbers per run that users' own queries give: extra metrics and durations of steps without pods.

The query is fenced first, always; nothing here sends text that did not come out of the guard. An answer that is not one
series per run is refused as a whole, because adding up or picking would invent a number.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from concertmaster.core.model.metrics import MODEL
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import BadQuery
from concertmaster.prometheus.guard.fence import fence

MOST_RUNS = 5000  # series one user query may answer with


@dataclass(frozen=True, slots=True)
class ExtraValues:
    """``values``: (run, step) to number, step "" when the query is per run. ``notes``: what was wrong, for people."""

    values: dict[tuple[str, str], float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def run_values(
    client: PrometheusClient,
    query: str,
    *,
    namespace: str,
    at: float,
    window: float,
    run_label: str = "run",
    step_label: str | None = None,
    model_label: str | None = None,
    name: str = "extra metric",
) -> ExtraValues:
    """Evaluate a user's query at ``at`` (unix seconds) over ``window`` seconds, confined to ``namespace``.

    ``run_label`` and ``step_label`` are the labels of the result that tell runs and steps apart; where series have
    ``model_label`` as well, the step is followed by ``MODEL`` and its value. Raises MetricsError:
    QueryRefused before anything is sent, Partial when the metrics source warns, BadQuery when the answer is not one series
    per run.
    """
    source = client.source
    text = fence(
        query,
        namespace=namespace,
        window=window,
        extra_matchers=source.extra_matchers,
        label=source.labels.user_metrics.get("namespace", "namespace"),
        where=name,
    )
    answer = client.instant(text, at, limit=MOST_RUNS, name=name, of_user=True)
    labels = (run_label,) if step_label is None else (run_label, step_label)
    values: dict[tuple[str, str], float] = {}
    nameless = 0
    labelled = (*labels, model_label) if model_label is not None else labels
    for row, value in answer.select(*labelled):
        if not all(row[: len(labels)]):
            nameless += 1
            continue
        model = row[-1] if model_label is not None else ""
        step = row[1] if step_label is not None else ""
        key = (row[0], f"{step}{MODEL}{model}" if model else step)
        if key in values:
            what = " and ".join(f"{label}={part!r}" for label, part in zip(labelled, row, strict=True) if part)
            raise BadQuery(
                f"the query gives several series for {what}",
                where=name,
                remedy=f"Aggregate it: sum by ({', '.join(labels)}) (...) or max by ({', '.join(labels)}) (...)",
            )
        values[key] = value
    notes = []
    if nameless:
        notes.append(f"{name}: {nameless} series lack the label {' or '.join(labels)} and were left out")
    if answer.dropped:
        notes.append(f"{name}: {answer.dropped} series had no usable number (NaN or infinite) and were left out")
    return ExtraValues(values, tuple(notes))

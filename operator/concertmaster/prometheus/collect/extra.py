"""Numbers per run that users' own queries give: extra metrics and durations of steps without pods.

The query is fenced first, always; nothing here sends text that did not come out of the guard. An answer that is not one
series per run is refused as a whole, because adding up or picking would invent a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from concertmaster.core.model import StepSpec, WorkflowDefinition
from concertmaster.core.model.enums import Per, StepQuery
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.metrics import MODEL, model_label
from concertmaster.core.units import DAY
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import BadQuery
from concertmaster.prometheus.guard.fence import fence

MAX_SERIES = 5000  # series one user query may answer with
MAX_LABEL_BYTES = 512  # of a label that names a run, step or model: databases limit what they index
_OVERLAP = 120.0  # seconds examined again, for samples that arrived late
_MAX_SPAN = 31 * DAY  # seconds; the fence allows no longer span
_RUN, _STEP = "run", "step"


@dataclass(frozen=True, slots=True)
class KeyLabels:
    """Labels of a result that tell runs, steps and models apart. None: there is none for it."""

    run: str = _RUN
    step: str | None = None
    model: str | None = None

    @property
    def required(self) -> tuple[str, ...]:
        """Those that every series must have."""
        return (self.run,) if self.step is None else (self.run, self.step)

    @property
    def known(self) -> tuple[str, ...]:
        """All of them, in the order of a row."""
        return self.required if self.model is None else (*self.required, self.model)

    def key(self, row: Sequence[str]) -> tuple[str, str]:
        """Run and step of a row, step "" without a label for it; where series have a model as well, the step is followed by
        ``MODEL`` and its name."""
        step = row[1] if self.step is not None else ""
        model = row[-1] if self.model is not None else ""
        return row[0], f"{step}{MODEL}{model}" if model else step


def step_values(
    client: PrometheusClient,
    definition: WorkflowDefinition,
    step: StepSpec,
    kind: StepQuery,
    since: float,
    until: float,
) -> dict[str, float]:
    """What a step's own query of that kind gives by run, of runs that ended in (since, until], unix seconds. Raises
    MetricsError."""
    values = run_values(
        client,
        step.queries[kind],
        namespace=definition.key.namespace,
        at=until,
        window=until - since + _OVERLAP,
        labels=KeyLabels(definition.series_run_label or _RUN),
        name=f"{kind.value} of step {step.name}",
    )
    return {run: value for (run, _), value in values.items()}


def metric_values(
    client: PrometheusClient, definition: WorkflowDefinition, metric: ExtraMetric, at: float, window: float
) -> dict[tuple[str, str], float]:
    """Values of an extra metric by run and step, step "" when the metric is per run. Raises MetricsError."""
    return run_values(
        client,
        metric.query,
        namespace=definition.key.namespace,
        at=at,
        window=min(window, _MAX_SPAN),
        labels=KeyLabels(
            definition.series_run_label or _RUN, _STEP if metric.per is Per.STEP else None, model_label(metric)
        ),
        name=f"extraMetrics {metric.name}",
    )


def run_values(
    client: PrometheusClient,
    query: str,
    *,
    namespace: str,
    at: float,
    window: float,
    labels: KeyLabels = KeyLabels(),
    name: str = "extra metric",
) -> dict[tuple[str, str], float]:
    """Numbers by (run, step): a user's query at ``at`` (unix seconds) over ``window`` seconds, confined to ``namespace``.
    Series without the ``labels`` of run and step, or without a usable number, are left out. Raises MetricsError:
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
    answer = client.instant(text, at, limit=MAX_SERIES, name=name, of_user=True)
    values: dict[tuple[str, str], float] = {}
    for row, value in answer.select(*labels.known):
        if not all(row[: len(labels.required)]):
            continue
        parts = dict(zip(labels.known, row, strict=True))
        _check_lengths(parts, name)
        key = labels.key(row)
        if key in values:
            what = " and ".join(f"{label}={part!r}" for label, part in parts.items() if part)
            by = ", ".join(labels.required)
            raise BadQuery(
                f"the query gives several series for {what}",
                where=name,
                remedy=f"Aggregate it: sum by ({by}) (...) or max by ({by}) (...)",
            )
        values[key] = value
    return values


def _check_lengths(parts: Mapping[str, str], name: str) -> None:
    for label, text in parts.items():
        if len(text.encode("utf-8", "surrogatepass")) > MAX_LABEL_BYTES:
            raise BadQuery(
                f"the query gives a {label} that begins with {text[:40]!r} and has more than {MAX_LABEL_BYTES} bytes",
                where=name,
                remedy=f"Group by a label {label} that holds a name or number",
            )

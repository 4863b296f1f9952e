"""docs/metrics.md: the operator's own metrics as a table, generated from the registry that serves them."""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.controller.reporting.telemetry import STAGES, Telemetry
from concertmaster.controller.reporting.workflow_series import MAX_WORKFLOWS
from concertmaster.report import workflow_series

_HEAD = """# Metrics of the operator

<!-- Generated from the operator's registry by `make generate`. -->

Served on `/metrics` of the operator's port. No metric of the operator has a label per workflow or pod, so their number does
not grow with the cluster. Stages are {stages}. Series [per workflow](#per-workflow) are opt-in.

| Metric | Type | Labels | Meaning |
|---|---|---|---|
"""

_PER_WORKFLOW = """
## Per workflow

Where the policy in force says `metrics: {{perWorkflow: true}}`, for at most {most} workflows of one operator. All have the
labels {common}; unknown figures have no sample. `metrics.steps` (default 5) steps have series of their own, those with the
most critical-path time. A workflow has about 25 series, and 7 more per step.

They are the figures of the last analysis: the window is the policy's (14 days unless set), not that of a query. Scrape with
`honor_labels: true`, as the chart's ServiceMonitor does: `namespace` is the workflow's.

| Metric | Further labels | Meaning |
|---|---|---|
"""


def rows() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Name in queries, type, labels, and meaning of each metric."""
    telemetry = Telemetry()
    declared: dict[str, tuple[str, ...]] = {}
    holders = (telemetry, telemetry.changes, telemetry.sources)
    for member in (member for holder in holders for member in vars(holder).values()):
        if hasattr(member, "_labelnames"):  # the client library has no public way to read the labels of a collector
            declared[member.describe()[0].name] = tuple(member._labelnames)
    for family in telemetry.registry.collect():
        labels = declared.get(family.name) or tuple({k: None for s in family.samples for k in s.labels if k != "le"})
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, family.type, labels, family.documentation


def render() -> str:
    """The text of the page."""
    lines = [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels) or '–'} | {about} |"
        for name, kind, labels, about in sorted(rows())
    ]
    own = _HEAD.format(stages=", ".join(f"`{s}`" for s in STAGES)) + "\n".join(lines) + "\n"
    head = _PER_WORKFLOW.format(most=MAX_WORKFLOWS, common=_code(workflow_series.COMMON_LABELS))
    families = {**workflow_series.FAMILIES, **dict([workflow_series.RUN_LATE])}
    return (
        own
        + head
        + "".join(
            f"| `{workflow_series.PREFIX}{family}` | {_code(workflow_series.LABELS.get(family, ()))} | {about} |\n"
            for family, about in sorted(families.items())
        )
    )


def _code(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels) or "–"

"""docs/metrics.md: the operator's own metrics as a table, read from the registry that serves them."""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.controller.reporting.telemetry import STAGES, Telemetry

_HEAD = """# Metrics of the operator

<!-- Generated from the operator's registry by `make generate`. -->

Served on `/metrics` of the operator's port. No metric has a label per workflow or pod, so their number does not grow with
the cluster. Stages are {stages}.

| Metric | Type | Labels | Meaning |
|---|---|---|---|
"""


def rows() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Name as it is queried, type, labels, meaning."""
    telemetry = Telemetry()
    declared: dict[str, tuple[str, ...]] = {}
    for member in (*vars(telemetry).values(), *vars(telemetry.changes).values()):
        if hasattr(member, "_labelnames"):  # the client library has no public way to ask a collector for its labels
            declared[member.describe()[0].name] = tuple(member._labelnames)
    for family in telemetry.registry.collect():
        labels = declared.get(family.name) or tuple({k: None for s in family.samples for k in s.labels if k != "le"})
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, family.type, labels, family.documentation


def render() -> str:
    """The document's text."""
    lines = [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels) or '–'} | {about} |"
        for name, kind, labels, about in sorted(rows())
    ]
    return _HEAD.format(stages=", ".join(f"`{s}`" for s in STAGES)) + "\n".join(lines) + "\n"

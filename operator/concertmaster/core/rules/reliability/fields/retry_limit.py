"""The fields of a template or Job that limit its retries: which of them the engine has, and how to set them."""

from __future__ import annotations

from concertmaster.core.lifecycle import commands
from concertmaster.core.model import Edit, StepSpec
from concertmaster.core.rules.base import Evidence


def retry_edits(evidence: Evidence, spec: StepSpec | None, limit: int, passing: bool) -> tuple[Edit, ...]:
    """The edits that set the ``limit`` in the template's retry strategy, or add a strategy with back-off; none where the
    engine has neither. ``passing``: pods were evicted, or their images not pulled."""
    if spec is None or spec.pointer is None:
        return ()
    engine = evidence.analysis.definition.engine
    if engine.retry_limit_fields:
        *particular, general = engine.retry_limit_fields
        key = next((field for field in particular if field in spec.declared), general)
        return (commands.field_edit(f"{spec.pointer}/{key}", spec.declared.get(key), limit),)
    field = engine.retry_strategy_field
    if field is None:
        return ()
    strategy = spec.declared.get(field)
    if isinstance(strategy, dict):
        literal = strategy.get("limit")
        proposed: object = limit if isinstance(literal, int) else str(limit)
        return (commands.field_edit(f"{spec.pointer}/{field}/limit", literal, proposed),)
    new = {
        "limit": str(limit),
        # OnFailure, the default, does not retry pods that were evicted or lost with their node
        "retryPolicy": "Always" if passing else "OnFailure",
        "backoff": {"duration": "30s" if passing else "10s", "factor": "2", "maxDuration": "10m"},
    }
    return (commands.field_edit(f"{spec.pointer}/{field}", None, new),)

"""The fields of a template or Job that limit its retries: which of them the engine has, and how to set them."""

from __future__ import annotations

from collections.abc import Mapping

from concertmaster.core.lifecycle import commands
from concertmaster.core.model import Edit, StepSpec
from concertmaster.core.rules.evidence import Evidence

_FAILURES = "OnFailure"


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
        edits = [commands.field_edit(f"{spec.pointer}/{field}/limit", strategy.get("limit"), _typed(limit, strategy))]
        edits = [edit for edit in edits if edit.current != edit.proposed]
        if passing and _policy(strategy) == _FAILURES:
            edits.append(
                commands.field_edit(f"{spec.pointer}/{field}/retryPolicy", strategy.get("retryPolicy"), "Always")
            )
        return tuple(edits)
    return (commands.field_edit(f"{spec.pointer}/{field}", None, _added(evidence, field, limit, passing)),)


def covers(evidence: Evidence, spec: StepSpec) -> bool:
    """Whether the strategy that applies to the step retries whatever fails: one for errors of the system alone, or with a
    condition, may retry none of the failures, however high its limit. So may a Job with a ``podFailurePolicy``."""
    if spec.retry_limit and spec.declared.get("podFailurePolicy"):
        return False
    strategy = _effective(evidence, spec)
    return strategy is None or (_policy(strategy) in (_FAILURES, "Always") and not strategy.get("expression"))


def at_once(evidence: Evidence, spec: StepSpec | None) -> bool:
    """Whether the strategy that applies to the step could have a back-off between its retries, and has none."""
    strategy = _effective(evidence, spec) if spec is not None else None
    return strategy is not None and not strategy.get("backoff")


def leaves_lost_pods(evidence: Evidence, spec: StepSpec) -> bool:
    """Whether its strategy is for containers that fail: it does not retry pods that were deleted or lost with their node."""
    strategy = _effective(evidence, spec)
    return strategy is not None and _policy(strategy) == _FAILURES


def _added(evidence: Evidence, field: str, limit: int, passing: bool) -> dict[str, object]:
    """The strategy to add to a template without one of its own. One of the workflow no longer applies to it then, so that
    it is taken over; one of its ``templateDefaults`` still lies below it."""
    defaults, inherited = _default(evidence, field), evidence.analysis.definition.declared.get(field)
    below = defaults if defaults is not None else inherited if isinstance(inherited, dict) else None
    if below is None:
        return {
            "limit": str(limit),
            # OnFailure, the default, does not retry pods that were evicted or lost with their node
            "retryPolicy": "Always" if passing else _FAILURES,
            "backoff": {"duration": "30s" if passing else "10s", "factor": "2", "maxDuration": "10m"},
        }
    always = {"retryPolicy": "Always"} if passing and _policy(below) == _FAILURES else {}
    return {**(below if defaults is None else {}), "limit": _typed(limit, below), **always}


def _effective(evidence: Evidence, spec: StepSpec) -> Mapping[str, object] | None:
    """The retry strategy that applies to the step: its template's, over that of the defaults, else the workflow's."""
    field = evidence.analysis.definition.engine.retry_strategy_field
    if field is None:
        return None
    own, defaults = spec.declared.get(field), _default(evidence, field)
    inherited = evidence.analysis.definition.declared.get(field) if own is None and defaults is None else None
    found = {**(defaults or {}), **(own if isinstance(own, dict) else {})}
    return found or (inherited if isinstance(inherited, dict) else None)


def _default(evidence: Evidence, field: str) -> Mapping[str, object] | None:
    defaults = evidence.analysis.definition.declared.get("templateDefaults")
    found = defaults.get(field) if isinstance(defaults, dict) else None
    return found if isinstance(found, dict) else None


def _policy(strategy: Mapping[str, object]) -> object:
    """What a strategy retries: failures, unless it says otherwise; anything where it has a condition."""
    return strategy.get("retryPolicy") or ("Always" if strategy.get("expression") else _FAILURES)


def _typed(limit: int, strategy: Mapping[str, object]) -> object:
    """The limit in the type that it is written in."""
    return limit if isinstance(strategy.get("limit"), int) else str(limit)

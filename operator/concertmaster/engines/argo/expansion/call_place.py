"""Where in the flattened graph a template is expanded, and what it inherits there."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.core.fast_init import fast_init
from concertmaster.core.model import NameSegment
from concertmaster.engines.argo.expansion.tasks import Task
from concertmaster.engines.argo.expansion.values import NO_VALUES, KnownValues


@fast_init
@dataclass(frozen=True, slots=True)
class CallPlace:
    """Position in the flattened graph at which a template is expanded, and what it inherits from its callers."""

    key: tuple[str, ...] = ()
    path: tuple[NameSegment, ...] = ()
    stack: tuple[tuple[str, str], ...] = ()
    fan_out: bool = False
    width: int | None = 1
    conditional: bool = False
    memoized: bool = False
    on_exit: bool = False
    tolerated: str | None = None  # name of the innermost task around it whose failure does not fail its caller
    locks: tuple[str, ...] = ()
    limit: int | None = None  # parallelism of the enclosing template, if it limits this fan-out
    outer_retries: int | None = 0  # of the enclosing templates, as in StepSpec
    task: Task | None = None  # the task that calls the template to expand
    arguments: object = None  # what it is called with
    values: KnownValues = NO_VALUES  # of the parameters where it is called; inside a template, those there


def retried_within(outer: int | None, inner: int | None) -> int | None:
    """How often something is retried within what is retried itself: every attempt of it may use up all retries."""
    return None if outer is None or inner is None else (outer + 1) * (max(0, inner) + 1) - 1

"""What-ifs: possible changes to a workflow, in the terms of the replay.

A what-if is a value, so that rules can build, combine (``a & b``) and compare them independently of the simulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A set of changes; the empty one changes nothing. Use the constructors below; later entries override earlier ones."""

    scales: tuple[tuple[str, float], ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    parallelism: tuple[tuple[str | None, int | None], ...] = ()
    clean: tuple[str | None, ...] = ()
    hits: tuple[tuple[str, float], ...] = ()
    merged: tuple[tuple[str, ...], ...] = ()
    batched: tuple[tuple[str, int], ...] = ()
    cpu: tuple[tuple[str, float], ...] = ()
    capped: tuple[tuple[str, float], ...] = ()
    splits: tuple[tuple[str, int], ...] = ()
    start_up: tuple[tuple[str | None, float], ...] = ()

    def __and__(self, other: WhatIf) -> WhatIf:
        """Both sets of changes."""
        return WhatIf(**{f.name: (*getattr(self, f.name), *getattr(other, f.name)) for f in fields(self)})

    @property
    def problem(self) -> str | None:
        """Why this what-if is invalid, or None."""
        for name, factor in (*self.scales, *self.cpu, *self.capped, *self.start_up):
            if not 0.0 <= factor < math.inf:
                return f"factor {factor!r} of {name or 'the run'!r} is not a number of at least 0"
        for name, factor in self.cpu:
            if factor <= 0.0:
                return f"{name!r} cannot run on {factor!r} times its CPU"
        for name, share in self.hits:
            if not 0.0 <= share <= 1.0:
                return f"cache hit share {share!r} of {name!r} is not between 0 and 1; write 0.85 for 85%"
        for scope, size in self.parallelism:
            if size is not None and size < 1:
                return f"a limit of {size!r} for {scope or 'the run'!r} lets nothing run; give at least 1"
        for name, size in (*self.batched, *self.splits):
            if size < 1:
                return f"{name!r} cannot be put into batches of, or split into, {size!r}"
        return None

    @classmethod
    def scale_step(cls, step: str, factor: float) -> WhatIf:
        """The work of ``step`` takes ``factor`` times as long (0: no time at all); start-up is unchanged."""
        return cls(scales=((step, factor),))

    @classmethod
    def drop_edge(cls, before: str, after: str) -> WhatIf:
        """``after`` waits for the dependencies of ``before`` instead of ``before`` itself: both run in parallel."""
        return cls(dropped=((before, after),))

    @classmethod
    def set_parallelism(cls, limit: int | None, step: str | None = None) -> WhatIf:
        """At most ``limit`` concurrent pods in the run, or of one step; None removes the limit."""
        return cls(parallelism=((step, limit),))

    @classmethod
    def without_failed_attempts(cls, step: str | None = None) -> WhatIf:
        """Every retried pod (of one step, or all) succeeds at its first attempt; back-off disappears too."""
        return cls(clean=(step,))

    @classmethod
    def cache_hit(cls, step: str, share: float = 1.0) -> WhatIf:
        """``share`` (0 to 1) of the step's pods are cache hits and take no time."""
        return cls(hits=((step, share),))

    @classmethod
    def merge_steps(cls, *steps: str) -> WhatIf:
        """A chain of steps runs in one pod: controller lag, scheduling and start-up are paid once."""
        return cls(merged=(steps,))

    @classmethod
    def batch_items(cls, step: str, size: int) -> WhatIf:
        """``size`` fan-out items share a pod and run in it one after another; start-up is paid once."""
        return cls(batched=((step, size),))

    @classmethod
    def split_step(cls, step: str, parts: int) -> WhatIf:
        """Each pod of the step becomes ``parts`` concurrent pods with an equal share of the work and a start-up each."""
        return cls(splits=((step, parts),))

    @classmethod
    def more_cpu(cls, step: str, factor: float) -> WhatIf:
        """``factor`` times the CPU limit for a throttled step. Only the throttled share gets faster, by at most ``factor``
        (Amdahl's law); pods with unknown throttling are unchanged."""
        return cls(cpu=((step, factor),))

    @classmethod
    def without_stragglers(cls, step: str, ratio: float) -> WhatIf:
        """No pod of the step works longer than ``ratio`` times the median of the step's pods in the same run, or than the
        largest of them that is no straggler: pods that vary by themselves keep varying."""
        return cls(capped=((step, ratio),))

    @classmethod
    def scale_start_up(cls, factor: float) -> WhatIf:
        """Scheduling and start-up of all steps take ``factor`` times as long: pre-pulled images, free nodes."""
        return cls(start_up=((None, factor),))

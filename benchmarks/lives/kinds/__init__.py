"""The kinds of lives, by what happens in them."""

from benchmarks.lives.kinds import applied, calm, regressions, steps, undone
from benchmarks.lives.kinds.base import Kind

KINDS: tuple[Kind, ...] = (*applied.KINDS, *undone.KINDS, *regressions.KINDS, *steps.KINDS, *calm.KINDS)

__all__ = ["KINDS"]

"""The laws of values, by what they are about."""

from benchmarks.series.law import Law
from benchmarks.series.laws import counted, dependent, memory, modes, rounded, seasons, spreads, tails

LAWS: tuple[Law, ...] = (
    *tails.LAWS,
    *rounded.LAWS,
    *modes.LAWS,
    *counted.LAWS,
    *dependent.LAWS,
    *spreads.LAWS,
    *seasons.LAWS,
    *memory.LAWS,
)

__all__ = ["LAWS"]

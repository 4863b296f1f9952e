"""Namespaces whose metrics are too large to be read: what was left out, and who is read apart from the others.

A namespace that was refused once makes every answer it shares with others too large, so it is asked for by itself until
its answers have fitted for an hour. Only its own workflows report it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from concertmaster.core.times import to_minute
from concertmaster.core.units import DAY, HOUR
from concertmaster.prometheus.collect.reading import SkippedSpan

_RETRY_AFTER = HOUR  # seconds
_REPORT_SECONDS = DAY  # seconds


@dataclass(frozen=True, slots=True)
class _Gap:
    since: float
    until: float
    seen: float  # when it was last added to
    why: str


class OversizedNamespaces:
    """What is left out of one source. Times are unix seconds."""

    def __init__(self) -> None:
        self._gaps: dict[str, _Gap] = {}

    def record(self, left_out: Iterable[SkippedSpan], now: float) -> None:
        """Spans that were given up just now."""
        for span in left_out:
            gap = self._gaps.get(span.namespace)
            since, until = (span.since, span.until) if gap is None else (gap.since, gap.until)
            self._gaps[span.namespace] = _Gap(min(since, span.since), max(until, span.until), now, span.why)

    def keep_only(self, namespaces: Collection[str], now: float) -> None:
        """Forget namespaces that are not read any more, and what was left out a day ago."""
        self._gaps = {n: gap for n, gap in self._gaps.items() if n in namespaces and now - gap.seen < _REPORT_SECONDS}

    def groups(self, namespaces: Iterable[str], now: float) -> list[list[str]]:
        """``namespaces`` as they are to be asked for: together, and each that is too large by itself."""
        apart = {n for n, gap in self._gaps.items() if now - gap.seen < _RETRY_AFTER}
        names = sorted(namespaces)
        together = [n for n in names if n not in apart]
        return [*([together] if together else []), *([n] for n in names if n in apart)]

    def notes(self, now: float, full: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """By namespace, what its workflows lack and what to do; ``full``: what the history says. The same text as long as
        it goes on."""
        notes = {name: (_sentence(name, gap, now),) for name, gap in self._gaps.items()}
        return notes | {name: (*notes.get(name, ()), why) for name, why in full.items()}


def _sentence(namespace: str, gap: _Gap, now: float) -> str:
    since = to_minute(gap.since)
    when = f"since {since}" if now - gap.seen < _RETRY_AFTER else f"between {since} and {to_minute(gap.until)}"
    return (
        f"metrics of namespace {namespace} {when} are incomplete: even over one minute {gap.why}; run fewer pods or "
        "containers at once there, or raise the limits of the metrics source or maxElements of the source"
    )


def left_out_of(collected: Sequence[SkippedSpan]) -> str:
    """For the log."""
    names = sorted({span.namespace for span in collected})
    seconds = sum(span.until - span.since for span in collected)
    return f"{seconds:.0f} s of namespaces {', '.join(names[:5])} are left out: {collected[0].why}"

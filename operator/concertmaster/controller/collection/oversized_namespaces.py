"""Namespaces whose metrics are too large to be read: what was left out, and who is read apart from the others.

A namespace that was refused once makes every answer it shares with others too large, so it is queried by itself until
its answers have fitted for an hour. Only its own workflows report it. So is one whose profiles name so many labels that a
query for it and others would be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.times import to_minute
from concertmaster.core.units import DAY, HOUR
from concertmaster.engines.label_keys import MAX_WORDS, QueryWords, labels_in_use
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
        self._words: dict[str, dict[str, int]] = {}  # by namespace, with what each costs a query

    def learn_words(
        self,
        workflows: Iterable[WorkflowDefinition],
        pods: Callable[[Collection[str]], Sequence[str]] = lambda _: (),
    ) -> None:
        """What stands in queries for the pods of each namespace: label keys of its workflows, and names of ``pods``."""
        by_namespace: dict[str, list[WorkflowDefinition]] = {}
        for definition in workflows:
            by_namespace.setdefault(definition.key.namespace, []).append(definition)
        self._words = {namespace: labels_in_use(own).words for namespace, own in by_namespace.items()}
        for namespace, words in self._words.items():
            words.update({name: len(name) for name in pods([namespace])})

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
        """``namespaces`` as they are to be queried: together, and each that is too large by itself."""
        apart = {n for n, gap in self._gaps.items() if now - gap.seen < _RETRY_AFTER}
        names = sorted(namespaces)
        return [*self._packed(n for n in names if n not in apart), *([n] for n in names if n in apart)]

    def _packed(self, namespaces: Iterable[str]) -> Iterator[list[str]]:
        """As many together as a query can name the labels and pods of."""
        part, query = list[str](), QueryWords()
        for name in namespaces:
            own = self._words.get(name, {})
            if not query.add_if_fits(own):
                if part:
                    yield part
                part, query = [], QueryWords(own)
            part.append(name)
        if part:
            yield part

    def notes(self, now: float, full: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """By namespace, what its workflows lack and what to do; ``full``: what the history reports. The text stays the
        same while the problem lasts."""
        notes = {name: (_sentence(name, gap, now),) for name, gap in self._gaps.items()}
        for name in (n for n, words in self._words.items() if sum(words.values()) > MAX_WORDS):
            notes[name] = (*notes.get(name, ()), _too_many_labels(name))
        return notes | {name: (*notes.get(name, ()), why) for name, why in full.items()}


def _sentence(namespace: str, gap: _Gap, now: float) -> str:
    since = to_minute(gap.since)
    when = f"since {since}" if now - gap.seen < _RETRY_AFTER else f"between {since} and {to_minute(gap.until)}"
    return (
        f"metrics of namespace {namespace} {when} are incomplete: even over one minute {gap.why}; run fewer pods or "
        "containers at once there, or raise the limits of the metrics source or maxElements of the source"
    )


def _too_many_labels(namespace: str) -> str:
    return (
        f"profiles of namespace {namespace} select pods by more labels than one query can name: pods of some of its"
        " workflows are not found; let them share label keys"
    )


def left_out_of(collected: Sequence[SkippedSpan]) -> str:
    """For the log."""
    names = sorted({span.namespace for span in collected})
    seconds = sum(span.until - span.since for span in collected)
    return f"{seconds:.0f} s of namespaces {', '.join(names[:5])} are left out: {collected[0].why}"

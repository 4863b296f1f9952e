"""Effectiveness of the caches of memoized steps: hits, time saved, and content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.model.config_maps import CACHE_BYTES, CacheContent, cache_name
from concertmaster.core.times import parse_duration


@dataclass(frozen=True, slots=True)
class StepHits:
    """A memoized step: cache lookups and hits; ``saved``: seconds of work avoided in the window."""

    step: str
    lookups: int
    hits: int
    saved: float


@dataclass(frozen=True, slots=True)
class CacheUse:
    """One cache. ``steps``: its users, most time saved first. ``content``: None when the ConfigMap cannot be read;
    ``stale``: entries older than the largest maxAge of its steps, which only take up space."""

    name: str
    namespace: str
    steps: tuple[StepHits, ...]
    content: CacheContent | None = None
    stale: int = 0

    @property
    def lookups(self) -> int:
        """Number of lookups."""
        return sum(s.lookups for s in self.steps)

    @property
    def hits(self) -> int:
        """Number of lookups that were answered."""
        return sum(s.hits for s in self.steps)

    @property
    def saved(self) -> float:
        """Seconds of work avoided in the window."""
        return sum(s.saved for s in self.steps)

    @property
    def fill(self) -> float | None:
        """Used share (0 to 1) of the capacity of a ConfigMap; None when unknown."""
        return None if self.content is None else self.content.size / CACHE_BYTES

    @property
    def invalidate(self) -> str:
        """The command that clears the cache; the next runs compute their results anew."""
        return f"kubectl delete configmap {self.name} -n {self.namespace}"


def cache_uses(analysis: Analysis) -> tuple[CacheUse, ...]:
    """Every cache that the definition names or the runs used, by name."""
    steps: dict[str, list[StepHits]] = {}
    ages: dict[str, list[float | None]] = {}
    for step in analysis.steps:
        name, age = _cache(step)
        if name is not None:
            steps.setdefault(name, []).append(_hits(analysis, step))
            ages.setdefault(name, []).append(age)
    read = analysis.definition.config_maps.caches
    return tuple(_use(analysis, name, hits, ages[name], read.get(name)) for name, hits in sorted(steps.items()))


def _use(
    analysis: Analysis, name: str, steps: list[StepHits], ages: list[float | None], content: CacheContent | None
) -> CacheUse:
    known = [a for a in ages if a is not None]
    oldest = max(known) if len(known) == len(ages) and known else None
    stale = sum(analysis.now - made > oldest for made, _ in content.entries) if content and oldest is not None else 0
    place = content.namespace if content is not None else analysis.definition.key.namespace
    return CacheUse(name, place, tuple(sorted(steps, key=lambda s: (-s.saved, s.step))), content, stale)


def _cache(step: StepAnalysis) -> tuple[str | None, float | None]:
    """Name of a step's cache and the maximum age of its entries in seconds (None: any)."""
    memoize = step.spec.declared.get("memoize") if step.spec is not None else None
    written = memoize.get("maxAge") if isinstance(memoize, Mapping) else None
    return cache_name(memoize), parse_duration(written.strip()) if isinstance(written, str) else None


def _hits(analysis: Analysis, step: StepAnalysis) -> StepHits:
    asked = [e.cache_hit for run in analysis.runs for e in run.steps if e.step == step.step and e.cache_hit is not None]
    hits = sum(asked)
    return StepHits(step.step, len(asked), hits, hits * (step.duration.mean or 0.0))

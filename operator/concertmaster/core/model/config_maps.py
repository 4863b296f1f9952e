"""What the ConfigMaps hold that a workflow names: limits of semaphores, and contents of caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from concertmaster.core.units import MIB

CACHE_BYTES = MIB  # maximum size of a ConfigMap: a full cache stores nothing more


@dataclass(frozen=True, slots=True)
class CacheContent:
    """Content of one cache. ``entries``: when each was stored and last used (unix seconds); ``size``: total bytes."""

    namespace: str
    name: str
    entries: tuple[tuple[float, float], ...] = ()
    size: int = 0


@dataclass(frozen=True, slots=True)
class NamedConfigMaps:
    """ConfigMaps that could be read: ``semaphores`` by "semaphore/<config map>/<key>", ``caches`` by ConfigMap name."""

    semaphores: Mapping[str, int] = field(default_factory=dict)
    caches: Mapping[str, CacheContent] = field(default_factory=dict)


NONE_READ = NamedConfigMaps()


def cache_name(memoize: object) -> str | None:
    """The ConfigMap that a template's ``memoize`` names as its cache; None without one, or if only a run knows its name."""
    cache = memoize.get("cache") if isinstance(memoize, Mapping) else None
    ref = cache.get("configMap") if isinstance(cache, Mapping) else None
    name = ref.get("name") if isinstance(ref, Mapping) else None
    return name if isinstance(name, str) and name and "{{" not in name else None

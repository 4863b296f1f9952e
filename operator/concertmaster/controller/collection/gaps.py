"""What a metrics source lacks: missing series, as one stable list, and spans in which it saw nothing.

A quiet cycle has no pods to judge by, and a busy one counts other containers than the last. Reported as they come, these
findings would change every status in every cycle. So a finding stays, in its first wording, until a reading with enough
pods no longer has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set

from concertmaster.controller.collection.watermarks import KEPT_EVERY
from concertmaster.core.units import HOUR
from concertmaster.history import Store
from concertmaster.prometheus.collect.reading import Collection
from concertmaster.prometheus.facts.missing_series import MIN_EXAMPLES, MissingSeries
from concertmaster.prometheus.facts.series_labels import SeriesLabels

# What another process has read is read again, in steps until that many pods were seen: the own one has to know which series
# are missing, which pods belong to no run or wait for theirs, and which runs continue. Six hours of ten thousand workflows
# are 250,000 pods.
PODS_AT_START = 2500
AT_START = 600.0  # seconds, the first step
_FURTHER = (HOUR, 6 * HOUR)
MAX_OUTAGES = 50  # remembered of a source
_OUTAGE, _SEEN = "outage:", "seen:"  # watermarks of no source: ends of outages, and last good readings
_NOW = frozenset({"kube_pod_info", "up"})  # about the metrics source's present state, not about the pods that were read


def further_back(since: float, horizon: float) -> list[float]:
    """Start of the further steps after a first one that began at ``since``; nothing before ``horizon``."""
    return [max(horizon, since + AT_START - span) for span in _FURTHER]


def saw_nothing(collected: Collection) -> bool:
    """Whether the metrics source had no pod information at all in a reading."""
    return any(missing.series == "kube_pod_info" and missing.essential for missing in collected.missing)


class Gaps:
    """Findings of one source. ``read``: the namespaces that this process has read without a break."""

    def __init__(self) -> None:
        self.read: set[str] = set()
        self._lasting: dict[str, MissingSeries] = {}
        self._present: dict[str, MissingSeries] = {}
        self._earlier: dict[str, MissingSeries] = {}
        self._begun = False
        self._judged = False
        self.labels: SeriesLabels | None = None  # what the labels of its series mean

    def begin(self, namespaces: Set[str]) -> None:
        """Start a collection of these: its first reading of the present replaces the earlier findings about the present."""
        self.read &= namespaces
        self._begun = True

    def start(self, namespace: str, until: float, horizon: float) -> tuple[float, bool]:
        """From when on a namespace is read that is complete up to ``until``, and whether that is what another process has
        read; nothing before ``horizon``."""
        again = namespace not in self.read
        return max(until - AT_START if again else until, horizon), again

    def learn(self, collected: Collection, namespaces: Iterable[str], *, present: bool) -> None:
        """Record the series that a reading of these lacked. ``present``: it covered the present, not only the past."""
        self.read.update(namespaces)
        if present:
            if self._begun:
                self._earlier, self._present, self._begun = self._present, {}, False
            for missing in collected.missing:
                if missing.series in _NOW:
                    self._present.setdefault(missing.series, self._earlier.get(missing.series, missing))
        if len(collected.facts) >= MIN_EXAMPLES and (present or not self._judged):  # the past is read newest first
            self._judged = True
            lasting = {m.series: m for m in collected.missing if m.series not in _NOW}
            self._lasting = {s: self._lasting.get(s, m) for s, m in lasting.items()}

    @property
    def blind(self) -> str:
        """Why the metrics source has no pod information at present; empty when it has."""
        return next((str(m) for m in self._present.values() if m.essential), "")

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything missing, essential series first."""
        explained = self.labels.findings if self.labels else {}
        gaps = {**self._lasting, **explained}
        gaps |= {series: m for series, m in self._present.items() if not m.essential}
        ordered = sorted(gaps.values(), key=lambda m: (not m.essential, m.series))
        return tuple(dict.fromkeys(str(m) for m in ordered))


class Outages:
    """Times at which each metrics source saw no pods. The history stores them, together with the time up to which a
    source was read well: the gap before the first good reading of a new process may have been an outage too."""

    def __init__(self, store: Callable[[], Store], interval: float) -> None:
        """``store``: of the history at present; ``interval``: seconds between readings."""
        self._store = store
        self._interval = interval
        self._well: dict[str, float] = {}  # last good reading of each source
        self._since: dict[str, float] = {}  # of the outages that continue

    def spans(self, source: str, now: float, *, ok: bool, read: float) -> tuple[tuple[float, float], ...]:
        """The outages so far (unix seconds). ``ok``: whether the source is up at ``now``, by its last real reading, at
        ``read``. Raises HistoryError."""
        marks, ended = self._store().watermarks(""), f"{_OUTAGE}{source}:"
        over = sorted((float(s.removeprefix(ended)), until) for s, until in marks.items() if s.startswith(ended))
        kept, since = marks.get(f"{_SEEN}{source}"), self._since.get(source)
        if since is None and source not in self._well:
            since = kept
        if not ok:
            begun = self._well.get(source, now - self._interval) if since is None else since
            self._since[source] = min(begun, now)
            return (*over, (self._since[source], now))
        if since is not None and since < now:
            self._store().set_watermark("", f"{ended}{since:.0f}", now)
            over.append((since, now))
        if since is not None or kept is None or read - kept >= KEPT_EVERY:
            self._store().set_watermark("", f"{_SEEN}{source}", read)
        self._store().drop_watermarks("", [f"{ended}{begun:.0f}" for begun, _ in over[:-MAX_OUTAGES]])
        self._since.pop(source, None)
        self._well[source] = read
        return tuple(over)

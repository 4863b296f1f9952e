"""Missing series of a metrics source, as one stable list.

A quiet cycle has no pods to judge by, and a busy one counts other containers than the last. Reported as they come, these
findings would change every status in every cycle. So a finding stays, in its first wording, until a reading with enough
pods no longer has it.
"""

from __future__ import annotations

from concertmaster.prometheus.collect.reading import Collection
from concertmaster.prometheus.facts.missing import LEAST, Missing

_NOW = frozenset({"kube_pod_info", "up"})  # about the metrics source's present state, not about the pods that were read


class Gaps:
    """Findings of one source. ``fresh`` until the first reading of this process."""

    def __init__(self) -> None:
        self.fresh = True
        self._lasting: dict[str, Missing] = {}
        self._present: dict[str, Missing] = {}
        self._earlier: dict[str, Missing] = {}
        self._begun = False
        self._judged = False

    def begin(self) -> None:
        """Start a collection: its first reading of the present replaces the earlier findings about the present."""
        self._begun = True

    def learn(self, collected: Collection, *, present: bool) -> None:
        """Record the series that one reading lacked. ``present``: the reading covered the present, not only the past."""
        self.fresh = False
        if present:
            if self._begun:
                self._earlier, self._present, self._begun = self._present, {}, False
            for missing in collected.missing:
                if missing.series in _NOW:
                    self._present.setdefault(missing.series, self._earlier.get(missing.series, missing))
        if len(collected.facts) >= LEAST and (present or not self._judged):  # the past is read newest first
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
        gaps = [*self._lasting.values(), *(m for m in self._present.values() if not m.essential)]
        return tuple(str(m) for m in sorted(gaps, key=lambda m: (not m.essential, m.series)))

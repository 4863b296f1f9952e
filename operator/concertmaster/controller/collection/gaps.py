"""What a metrics store lacks, as one steady list.

A quiet cycle brings no pods and so no judgement; a busy one counts other containers than the last. Shown as they come,
such findings would change every status in every cycle. So a finding stays, in its first wording, until a look with
enough pods no longer has it.
"""

from __future__ import annotations

from concertmaster.prometheus.collect.reading import Collection
from concertmaster.prometheus.facts.missing import LEAST, Missing

_NOW = frozenset({"kube_pod_info", "up"})  # said of the metrics source's present state, not of the pods that were read


class Gaps:
    """Findings of one source. ``fresh`` until the first look of this process."""

    def __init__(self) -> None:
        self.fresh = True
        self._lasting: dict[str, Missing] = {}
        self._present: dict[str, Missing] = {}
        self._earlier: dict[str, Missing] = {}
        self._begun = False
        self._judged = False

    def begin(self) -> None:
        """A new collection starts; its first look at the present replaces what was said of the present before."""
        self._begun = True

    def learn(self, found: Collection, *, present: bool) -> None:
        """Take in what one look found missing. ``present``: the look reached about now, not only the past."""
        self.fresh = False
        if present:
            if self._begun:
                self._earlier, self._present, self._begun = self._present, {}, False
            for missing in found.missing:
                if missing.series in _NOW:
                    self._present.setdefault(missing.series, self._earlier.get(missing.series, missing))
        if len(found.facts) >= LEAST and (present or not self._judged):  # the past is read newest first
            self._judged = True
            lasting = {m.series: m for m in found.missing if m.series not in _NOW}
            self._lasting = {s: self._lasting.get(s, m) for s, m in lasting.items()}

    @property
    def blind(self) -> str:
        """Why the metrics source cannot tell of pods at all at present, empty when it can."""
        return next((str(m) for m in self._present.values() if m.essential), "")

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything missing, what recommendations cannot do without first."""
        found = [*self._lasting.values(), *(m for m in self._present.values() if not m.essential)]
        return tuple(str(m) for m in sorted(found, key=lambda m: (not m.essential, m.series)))

"""Recommendations: what a rule says, and what it would set."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.core.model.definitions import place
from concertmaster.core.model.enums import Category, Level, Severity


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its likely range, all in the same unit."""

    low: float
    likely: float
    high: float

    def scaled(self, factor: float) -> Interval:
        """Value and range times ``factor``; a negative one swaps the ends."""
        low, likely, high = self.low * factor, self.likely * factor, self.high * factor
        return Interval(low, likely, high) if factor >= 0 else Interval(high, likely, low)


@dataclass(frozen=True, slots=True)
class Impact:
    """What a recommendation is worth a month, in absolute amounts: minutes of run time saved, failed runs avoided, money
    saved (in the pricing's currency). None: it promises nothing in that measure."""

    run_minutes: Interval | None = None
    failed_runs: Interval | None = None
    money: Interval | None = None


@dataclass(frozen=True, slots=True)
class SizeItem:
    """One value of a right-sizing, as printed: ``field`` is ``requests.cpu`` or alike, ``old`` None when it is not set,
    ``headroom`` the room above ``peak``, the largest use of a run."""

    step: str
    container: str
    field: str
    old: str | None
    new: str
    peak: str
    headroom: str

    def __str__(self) -> str:
        where, old = f"{self.step}/{self.container} {self.field}", self.old or "not set"
        return f"{where}: {old} -> {self.new} (peak {self.peak}, headroom {self.headroom})"


@dataclass(frozen=True, slots=True)
class Edit:
    """One field to set, in the Tekton Task ``holder`` or (None) in the workflow's own object. ``current`` and
    ``proposed`` are literal YAML scalars. ``sure``: the evidence lets it go there in one step.
    ``weight``: its part in what the recommendation predicts, in any unit."""

    pointer: str
    current: str | None
    proposed: str | None
    holder: str | None = None
    sure: bool = False
    weight: float = 1.0

    @property
    def place(self) -> str:
        """The field, unique within the workflow."""
        return place(self.holder, self.pointer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule observed about one workflow and what it would change. The rule completes it to a ``Recommendation``.

    Sentences carry number, unit, window and cause. ``None`` leaves the choice to the rule: its own ``category`` and
    ``effort``; ``how`` is then the command that makes the ``edits``, or explains the recommendation without any.
    ``about`` is what follows the rule's name in the id: the step where None, nothing where empty.
    ``gain_seconds`` (per run), ``saving_per_month`` (in the policy's currency) and ``failures_avoided`` (share of the runs
    that would fail no more, 0 to 1) say what it is worth; None where they do not apply.
    ``objective`` names the missed or endangered objective that it is about. ``pressing``: published even where no amount is
    known, since something is not kept that was asked for: a start that is due, room on a volume.
    ``severity`` follows from the impact (see ``fleet.materiality``); a rule only sets CRITICAL, for a workflow that fails.
    ``confidence`` is 0 to 1 and stated with its ground in ``evidence``.
    """

    step: str | None = None
    about: str | None = None
    action: str
    because: str
    otherwise: str  # what happens if one does nothing
    category: Category | None = None
    severity: Severity = Severity.LOW
    risk: Level = Level.LOW
    effort: Level | None = None
    current: str
    proposed: str
    expected: str
    how: str | None = None
    confidence: float
    gain_seconds: Interval | None = None
    gain_share: Interval | None = None  # of the run's makespan, 0 to 1
    saving_per_month: Interval | None = None
    failures_avoided: Interval | None = None
    objective: str | None = None
    pressing: bool = False
    items: tuple[SizeItem, ...] = ()
    edits: tuple[Edit, ...] = ()
    evidence: tuple[str, ...] = ()
    automatic: bool = False
    snippet: str | None = None  # what to write where the workflow is defined; for sizes it follows from the items


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One recommendation for one workflow. Sentences carry number, unit, window and cause; ``how`` is one command.

    ``gain_seconds`` (per run), ``saving_per_month`` (in the policy's currency) and ``failures_avoided`` (share of the runs)
    are what it promises; ``impact`` is that as absolute amounts a month, by which recommendations are ranked across
    workflows. ``minor``: too small to be published; counted, and shown on demand.
    ``confidence`` is 0 to 1 and stated with its ground in ``evidence``.
    """

    id: str  # "<rule>.<step>" or "<rule>" for the workflow as a whole; stable across cycles
    rule: str
    step: str | None
    action: str
    because: str
    otherwise: str  # what happens if one does nothing
    category: Category
    severity: Severity
    risk: Level
    effort: Level
    current: str
    proposed: str
    expected: str
    how: str
    confidence: float
    gain_seconds: Interval | None = None
    gain_share: Interval | None = None  # of the run's makespan, 0 to 1
    saving_per_month: Interval | None = None
    failures_avoided: Interval | None = None
    objective: str | None = None
    pressing: bool = False
    impact: Impact = Impact()
    minor: bool = False
    items: tuple[SizeItem, ...] = ()
    edits: tuple[Edit, ...] = ()
    evidence: tuple[str, ...] = ()
    automatic: bool = False
    kustomize: str | None = None  # the edits as a patch for Git; None without edits
    snippet: str | None = None  # what sets the sizes where the workflow is defined, in the words of its engine
    factor: float = 1.0  # by which the ledger corrected the promises above

    @property
    def holder(self) -> str | None:
        """The Tekton Task whose fields it sets; None: those of the workflow's own object, or none at all."""
        return next((e.holder for e in self.edits), None)

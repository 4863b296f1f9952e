"""Findings of rules, recommendations, and the fields they would set."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.core.fast_init import fast_init
from concertmaster.core.model.definitions import place
from concertmaster.core.model.enums import Category, Level, Severity


@fast_init
@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its interval, all in the same unit."""

    low: float
    likely: float
    high: float

    def scaled(self, factor: float) -> Interval:
        """Value and interval times ``factor``; a negative factor swaps the ends."""
        low, likely, high = self.low * factor, self.likely * factor, self.high * factor
        return Interval(low, likely, high) if factor >= 0 else Interval(high, likely, low)


def likely(amount: Interval | None) -> float | None:
    """The value without its interval; None when unknown."""
    return amount.likely if amount is not None else None


@dataclass(frozen=True, slots=True)
class Impact:
    """Effect of a recommendation per month, in absolute amounts: minutes of run time saved, failed runs avoided, money saved
    (in the pricing's currency). None: no effect predicted in that measure."""

    run_minutes: Interval | None = None
    failed_runs: Interval | None = None
    money: Interval | None = None


@dataclass(frozen=True, slots=True)
class SizeItem:
    """One value of a right-sizing, as printed. ``field``: ``requests.cpu`` or the like; ``old``: None when not set;
    ``headroom``: room above ``peak``, the largest use in a run. ``share`` in the saving of its recommendation, negative for
    a value that takes from it; None: unknown, or a limit."""

    step: str
    container: str
    field: str
    old: str | None
    new: str
    peak: str
    headroom: str
    share: float | None = None

    def __str__(self) -> str:
        where, old = f"{self.step}/{self.container} {self.field}", self.old or "not set"
        return f"{where}: {old} -> {self.new} (peak {self.peak}, headroom {self.headroom})"


@fast_init
@dataclass(frozen=True, slots=True)
class Edit:
    """One field to set, in the Tekton Task ``holder`` or (None) in the workflow's own object. ``current`` and ``proposed``:
    literal YAML scalars. ``sure``: the evidence allows the full change in one step. ``weight``: share in the predicted
    effect of the recommendation, in any unit. ``share`` of its saving: negative for a field that takes from it, None when
    unknown; the shares of all edits are less than 1 where other fields bring the rest."""

    pointer: str
    current: str | None
    proposed: str | None
    holder: str | None = None
    sure: bool = False
    weight: float = 1.0
    share: float | None = None

    @property
    def place(self) -> str:
        """Location of the field, unique within the workflow."""
        return place(self.holder, self.pointer)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedChange:
    """What a finding and the recommendation made of it have in common. Sentences carry number, unit, window and cause.

    ``gain_seconds`` (per run), ``saving_per_month`` (in the policy's currency) and ``failures_avoided`` (share of runs that
    would no longer fail, 0 to 1): predicted effect; None where they do not apply. ``objective``: the missed or endangered
    objective it refers to. ``urgent``: published even without a known amount, because a requirement is violated: a
    scheduled start, room on a volume. ``severity`` follows from the impact (see ``fleet.materiality``); a rule only sets
    CRITICAL, for a failing workflow. ``confidence``: 0 to 1, with its basis in ``evidence``. ``upper_bound``: the predicted
    effect is at most the high end, and its low end is zero (see ``rules.upper_bound``).
    """

    step: str | None = None
    action: str
    because: str
    otherwise: str  # consequence of doing nothing
    severity: Severity = Severity.LOW
    risk: Level = Level.LOW
    current: str
    proposed: str
    expected: str
    confidence: float
    gain_seconds: Interval | None = None
    gain_share: Interval | None = None  # of the run's makespan, 0 to 1
    saving_per_month: Interval | None = None
    failures_avoided: Interval | None = None
    upper_bound: bool = False
    objective: str | None = None
    urgent: bool = False
    items: tuple[SizeItem, ...] = ()
    edits: tuple[Edit, ...] = ()
    evidence: tuple[str, ...] = ()
    automatic: bool = False
    snippet: str | None = None  # what to write in the definition of the workflow, in the notation of its engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(ProposedChange):
    """Observation of a rule about one workflow, and the proposed change. The rule completes it to a ``Recommendation``.

    ``None`` selects the default of the rule: its ``category`` and ``effort``; for ``how`` the command that applies the
    ``edits``, or explains the recommendation without any. ``about``: the part of the id after the rule's name; None: the
    step, empty: no such part. The snippet of sizes is derived from the items.
    """

    about: str | None = None
    category: Category | None = None
    effort: Level | None = None
    how: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation(ProposedChange):
    """One recommendation for one workflow; ``how`` is one command.

    ``impact``: the predicted effect as absolute amounts per month, by which recommendations are ranked across workflows.
    ``minor``: too small to be published; counted, and shown on demand.
    """

    id: str  # "<rule>.<step>" or "<rule>" for the workflow as a whole; stable across cycles
    rule: str
    category: Category
    effort: Level
    how: str
    impact: Impact = Impact()
    minor: bool = False
    kustomize: str | None = None  # the edits as a kustomize patch for Git; None without edits
    factor: float = 1.0  # the ledger's correction of the predictions above

    @property
    def holder(self) -> str | None:
        """The Tekton Task whose fields it sets; None: the workflow's own object, or no fields at all."""
        return next((e.holder for e in self.edits), None)


def rule_of(identifier: str) -> str:
    """The name of the rule in the id of a recommendation."""
    return identifier.partition(".")[0]

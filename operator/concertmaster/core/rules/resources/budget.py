"""``budget``: runs that exceed a ceiling, in money or in any metric (tokens, calls, bytes).

Names the step with the largest part, and the part that looks avoidable: repeated inputs, failed attempts, unused
reservations. Even without a ceiling it reports steps that would cost less on another model (``model_choice``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from concertmaster.core import text
from concertmaster.core.known import median
from concertmaster.core.model import Category, Finding, Interval, Level, Outcome, RunRecord
from concertmaster.core.model.enums import MetricRole, RuleName
from concertmaster.core.model.policy import budget_of
from concertmaster.core.rules.base import Rule
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import mean_interval
from concertmaster.core.rules.resources import model_choice
from concertmaster.core.rules.rows import repeat_key
from concertmaster.core.stats.exact import is_over, shift

_MIN_RUNS = 3  # runs over budget that can be a change
_CLEAR = 0.01  # significance of a change of how many runs are over budget


def _amount(value: float, unit: str) -> str:
    shown = f"{value:,.0f}" if abs(value) >= 100 else text.number(value, 4)
    return f"{shown} {unit}"


def _steps(runs: Sequence[RunRecord], metric: str) -> Mapping[str, float]:
    """Total amount of the metric by step."""
    amounts: dict[str, float] = {}
    for run in runs:
        for e in run.steps:
            if metric in e.extra:
                amounts[e.step] = amounts.get(e.step, 0.0) + e.extra[metric]
    return amounts


def _avoidable(evidence: Evidence, metric: str, step: str) -> str:
    """The part of the step's amount spent on failed attempts or repeated inputs, as a clause."""
    failed = repeated = total = 0.0
    seen: set[str] = set()
    for rows in evidence.rows.all.get(step, {}).values():
        for e in rows:
            amount = e.extra.get(metric, 0.0)
            total += amount
            if e.outcome is Outcome.FAILED:
                failed += amount
            elif (key := repeat_key(e)) is not None:
                repeated += amount if key in seen else 0.0
                seen.add(key)
    parts = [
        f"{text.percent(value / total)} {what}"
        for value, what in ((repeated, "on inputs seen before"), (failed, "in failed attempts"))
        if total > 0 and value / total >= 0.05
    ]
    return f" ({' and '.join(parts)})" if parts else ""


def _begun(amounts: Sequence[float], most: float) -> int:
    """Position of the first run (oldest first) of those that are like the runs to come: since when clearly more or fewer of
    them are over budget, their number when no longer any is, and 0 without a change."""
    over = [a > most for a in amounts]
    if is_over(over, _CLEAR):
        return len(over)
    if sum(over) < _MIN_RUNS:
        return 0
    if is_over(over[::-1], _CLEAR):  # backwards: none of the oldest
        return over.index(True)
    change = shift([not o for o in over], _CLEAR)
    return change[0] if change is not None else 0


def _exceeded(evidence: Evidence, over: int, runs: int, verb: str, *, changed: bool) -> str:
    """``12 of 42 runs cost more (14d)``, or of the last runs since a change."""
    if changed:
        return f"{over} of the last {text.count(runs, 'run')} {verb} more"
    return f"{over} of {text.count(runs, 'run')} {verb} more ({evidence.window()})"


def _metric(evidence: Evidence, metric: str, most: float) -> Finding | None:
    analysis = evidence.analysis
    known = [r for r in analysis.runs if metric in r.extra]
    begun = _begun([r.extra[metric] for r in known], most)
    amounts = [r.extra[metric] for r in known[begun:]]
    over = [a for a in amounts if a > most]
    if len(known) < analysis.options.min_runs or not over:
        return None
    steps = _steps(known[begun:], metric)
    total = sum(steps.values())
    top = max(steps, key=lambda n: (steps[n], n)) if total > 0 else None
    where = (
        f"; {evidence.title(top)} takes {text.percent(steps[top] / total)} of it{_avoidable(evidence, metric, top)}"
        if top
        else ""
    )
    excess = [max(0.0, a - most) for a in amounts]
    price, rate = analysis.pricing.units.get(metric), analysis.cost.runs_per_month
    saving = mean_interval(excess, price * rate) if price and rate else None
    money = f", {text.money(saving.likely, analysis.pricing.currency)} a month" if saving is not None else ""
    return Finding(
        step=top,
        about=budget_of(metric),
        action=f"Bring {metric} below the budget of {_amount(most, '').strip()} per run"
        + (f", first in {evidence.title(top)}" if top else ""),
        because=(
            f"{_exceeded(evidence, len(over), len(amounts), 'used', changed=begun > 0)}: median"
            f" {_amount(median(amounts) or 0, metric)},"
            f" largest {_amount(max(amounts), metric)}{where}"
        ),
        otherwise=(
            f"{text.percent(len(over) / len(amounts))} of the runs stay over budget, by"
            f" {_amount(sum(over) / len(over) - most, metric)} each"
        ),
        current=f"largest {_amount(max(amounts), metric)} per run",
        proposed=f"at most {_amount(most, metric)} per run",
        expected=f"{_amount(sum(excess) / len(excess), metric)} less per run on average{money}",
        confidence=0.8,
        saving_per_month=_positive(saving),
        objective=f"{budget_of(metric)} per run",
        evidence=tuple(
            f"{n}: {text.percent(v / total)} of all {metric}"
            for n, v in sorted(steps.items(), key=lambda kv: -kv[1])[:5]
        ),
    )


def _cache_hits(evidence: Evidence) -> Finding | None:
    """A cache hit rate below the target, where lookups or other calls have a price: misses are what costs."""
    analysis, policy = evidence.analysis, evidence.analysis.policy
    hits = policy.metric(MetricRole.CACHE_HITS)
    paid = policy.metric(MetricRole.COST) or policy.metric(MetricRole.TOKENS)
    target, rate = evidence.objectives.min_cache_hit, analysis.cost.runs_per_month
    if hits is None or paid is None or not target < 1.0:
        return None
    rows = [
        (r.extra[hits.name] / 100.0, r.extra[paid.name])
        for r in analysis.runs
        if {hits.name, paid.name} <= r.extra.keys()
    ]
    share = sum(h for h, _ in rows) / len(rows) if rows else 1.0
    if len(rows) < analysis.options.min_runs or not 0.0 <= share < target:
        return None
    less = (target - share) / (1.0 - share)
    price, unit = analysis.pricing.units.get(paid.name), paid.unit or paid.name
    saving = _positive(mean_interval([less * amount for _, amount in rows], price * rate)) if price and rate else None
    mean = sum(amount for _, amount in rows) / len(rows)
    return Finding(
        about=hits.name,
        action=f"Raise {hits.name} from {text.percent(share)} to {text.percent(target)}",
        because=(
            f"{text.percent(share)} of lookups are answered from the cache over {text.count(len(rows), 'run')}"
            f" ({evidence.window()})"
        ),
        otherwise=f"every run keeps paying {_amount(mean, unit)} for lookups that miss",
        current=text.percent(share),
        proposed=f"at least {text.percent(target)}",
        expected=f"{_amount(less * mean, unit)} less per run, if what misses is what is paid for",
        confidence=0.5,
        saving_per_month=saving,
        objective=f"cache hits ({hits.name})",
        evidence=("cache keys that ignore what does not change the answer, and a longer age, raise the share",),
    )


def _positive(saving: Interval | None) -> Interval | None:
    """The saving unless it may be none: an interval with zero promises nothing."""
    return saving if saving is not None and saving.low > 0 else None


def _money(evidence: Evidence, most: float) -> Finding | None:
    analysis = evidence.analysis
    known = analysis.costs.whole(analysis.runs)
    begun = _begun([c.total for c in known], most)
    costs = known[begun:]
    totals = [c.total for c in costs]
    over = [t for t in totals if t > most]
    if len(known) < analysis.options.min_runs or not over:
        return None
    currency, n = analysis.pricing.currency, len(costs)
    parts = {
        "reserved and not used": sum(c.wasted for c in costs) / n,
        "used CPU and memory": sum(c.total - c.units - c.wasted for c in costs) / n,
        "units such as tokens": sum(c.units for c in costs) / n,
    }
    top = max(parts, key=lambda k: (parts[k], k))
    mean = sum(totals) / n
    rate = analysis.cost.runs_per_month
    excess = [max(0.0, t - most) for t in totals]
    saving = _positive(mean_interval(excess, rate)) if rate else None
    month = f", {text.money(saving.likely, currency)} a month" if saving is not None else ""
    return Finding(
        about="cost",
        action=f"Bring the cost of a run below {text.money(most, currency)}",
        because=(
            f"{_exceeded(evidence, len(over), n, 'cost', changed=begun > 0)}, {text.money(mean, currency)}"
            " on average, of which"
            f" {text.money(parts[top], currency)} is {top}"
        ),
        otherwise=f"{text.percent(len(over) / n)} of the runs stay above it",
        current=f"{text.money(mean, currency)} per run",
        proposed=f"at most {text.money(most, currency)} per run",
        expected=f"{text.money(sum(excess) / n, currency)} less per run on average{month}",
        confidence=0.8,
        saving_per_month=saving,
        objective="cost per run",
        evidence=tuple(f"{name}: {text.money(value, currency)} per run" for name, value in parts.items()),
    )


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation per ceiling that runs exceed."""
    for metric, most in evidence.objectives.budgets.items():
        yield _metric(evidence, metric, most)
    yield _cache_hits(evidence)
    yield from model_choice.find(evidence)
    if evidence.objectives.max_cost_per_run is not None:
        yield _money(evidence, evidence.objectives.max_cost_per_run)


RULE = Rule(RuleName.BUDGET, evaluate, Category.COST, Level.MEDIUM, tie_break=6, steps=False)

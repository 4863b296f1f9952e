"""Checks of a plan against the effective policy, its data, and earlier changes of the workflow."""

from __future__ import annotations

from concertmaster.core.changes.operations import out_of_bounds
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.situation import CheckResult, PastChange, Situation, blocked, passed
from concertmaster.core.model import Level
from concertmaster.core.model.enums import ApplyMode, ChangeKind
from concertmaster.core.schedules.windows import WindowUnusable, next_opening, opened
from concertmaster.core.text import count, duration, percent, resource_amount
from concertmaster.core.times import to_minute
from concertmaster.core.units import HOUR

_RISKS = list(Level)
_ROUNDING = 1e-3  # tolerance for rounding to a whole millicore or Mi
_MIN_BASELINE = 5  # runs; with fewer a verification could not reach a verdict
_MAX_COOLDOWN_FACTOR = 16
_MAX_DATA_AGE = 6 * HOUR
_MIN_COVERAGE = 0.5  # share of the executions of a step that have samples


def suspended(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks while the effective policy is suspended."""
    policy = situation.policy
    if policy.suspended:
        return blocked(f"{policy.source} is suspended; set spec.suspend to false to go on")
    return passed("the policy is not suspended")


def mode(plan: Plan, situation: Situation) -> CheckResult:
    """Auto requires a rule that may act automatically and has not lost that right; anything else requires an approval."""
    source, current = situation.policy.source, situation.policy.apply.mode
    if source is None or current is ApplyMode.RECOMMEND:
        return blocked(f"mode is Recommend ({source or 'no policy'}); set apply.mode to Approve or Auto")
    if situation.approved:
        return passed("a user approved it")
    if current is ApplyMode.APPROVE:
        return blocked("mode is Approve: it waits for a decision", waiting=True)
    if not plan.automatic:
        return blocked(f"rule {plan.rule} never acts by itself: it waits for a decision", waiting=True)
    if situation.withdrawn is not None:
        return blocked(f"{situation.withdrawn}; it waits for a decision", waiting=True)
    obstacle = out_of_bounds(plan.object_kind, plan.inverse, situation.policy.apply.bounds)
    if obstacle is not None:
        text = f"it could not be rolled back automatically, because the present {obstacle}; it waits for a decision"
        return blocked(text, waiting=True)
    if situation.unsure is not None:
        return blocked(f"{situation.unsure}; it waits for a decision", waiting=True)
    return passed(f"mode is Auto ({source})")


def kind(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks fields of a kind not listed in apply.allow, and kinds that are never changed."""
    for setting in plan.settings:
        if plan.object_kind.resource(setting.pointer) != setting.resource:
            return blocked(f"{setting.pointer} is never changed")
    kinds = {ChangeKind.PARALLELISM if s.resource == "parallelism" else ChangeKind.RESOURCES for s in plan.settings}
    missing = sorted(k.value for k in kinds - situation.policy.apply.allow)
    if missing:
        return blocked(f"the policy does not allow {', '.join(missing)}; see apply.allow")
    return passed(f"{plan.kind.value} may be changed")


def risk(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks recommendations with a risk above apply.maxRisk."""
    most = situation.policy.apply.max_risk
    if _RISKS.index(plan.risk) > _RISKS.index(most):
        return blocked(f"risk is {plan.risk.value}, and the policy accepts {most.value} (apply.maxRisk)")
    return passed(f"risk is {plan.risk.value}")


def bounds(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks values outside min and max, min above max, and values above the container's own limit."""
    for s in plan.settings:
        limits = situation.policy.apply.bounds.of(s.resource)
        low, high = resource_amount(s.resource, limits.min), resource_amount(s.resource, limits.max)
        if limits.min > limits.max:
            return blocked(f"bounds.{s.resource}: min {low} is above max {high}; correct the policy")
        if not limits.min <= s.new <= limits.max:
            return blocked(f"{s.resource} {s.new_literal} is outside {low} to {high} (apply.bounds)")
        if s.limit is not None and s.new > s.limit * (1 + 1e-9):
            limit = resource_amount(s.resource, s.limit)
            return blocked(f"{s.resource} request {s.new_literal} is above the limit {limit} beside it")
    return passed("within the bounds")


def largest_step(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks when nothing is set now (the step has no size) and beyond bounds.maxStepPercent, unless the evidence (many runs
    far below, or a verified first step) allows going all the way."""
    most = situation.policy.apply.bounds.max_step
    for s in plan.settings:
        change = s.change
        if change is None:
            return blocked(f"nothing is set at {s.pointer} now; set a first value by hand")
        if abs(change) > most + _ROUNDING and not s.sure:
            step = f"{s.old_literal} to {s.new_literal} is {percent(abs(change))} in one step, at most {percent(most)}"
            return blocked(f"{step} (apply.bounds.maxStepPercent)")
    return passed(
        "no step is too large" if plan.whole else "part of what is recommended, within apply.bounds.maxStepPercent"
    )


def minimum_change(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks when no field changes by apply.minChangePercent: too little to justify a verification."""
    largest = max((abs(s.change) for s in plan.settings if s.change is not None), default=0.0)
    least = situation.policy.apply.min_change
    if largest < least - 1e-9:
        message = f"the change is {percent(largest)}, less than {percent(least)} (apply.minChangePercent)"
        return blocked(message)
    return passed(f"the change is {percent(largest)}")


def data(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks on stale metrics, without baseline runs, and for requests on low sample coverage of the step."""
    until = situation.data_until
    if until is None:
        return blocked("nothing is known of when the metrics were read last")
    age = situation.now - until
    if age > _MAX_DATA_AGE:
        most = duration(_MAX_DATA_AGE)
        return blocked(f"the metrics end at {to_minute(until)}, at most {most} ago is accepted; see MetricsAvailable")
    if situation.baseline_runs < _MIN_BASELINE:
        runs = count(situation.baseline_runs, "run")
        return blocked(f"{runs} since the last change, {_MIN_BASELINE} are needed to compare with")
    if plan.kind is ChangeKind.RESOURCES:
        covered = situation.coverage
        if covered is None or covered < _MIN_COVERAGE:
            share = "an unknown share" if covered is None else percent(covered)
            return blocked(f"{share} of the executions has samples, at least {percent(_MIN_COVERAGE)} is needed")
    return passed(f"the metrics are {duration(max(0.0, age))} old")


def cooldown(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks until the cooldown after the last write has passed. It doubles with each consecutive rollback."""
    seconds = situation.policy.apply.cooldown_seconds
    factor = _cooldown_factor(situation.past)
    last = max((max(p.applied, p.restored or 0.0) for p in situation.past), default=None)
    if last is None or situation.now >= last + seconds * factor:
        return passed("no cooldown holds")
    restores = count(factor.bit_length() - 1, "restore")
    why = f", {factor} times {duration(seconds)} after {restores}" if factor > 1 else ""
    end = to_minute(last + seconds * factor)
    return blocked(f"the cooldown after the last change lasts until {end}{why} (apply.cooldown)")


def _cooldown_factor(past: tuple[PastChange, ...]) -> int:
    """2 to the number of rollbacks since the last change that was kept, capped."""
    restores = 0
    for change in sorted(past, key=lambda p: p.applied, reverse=True):
        if change.restored is None:
            break
        restores += 1
    return min(_MAX_COOLDOWN_FACTOR, 1 << min(restores, 30))


def in_flight(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks while apply.maxInFlight changes of this workflow, or any of the same fields or of another workflow on the same
    object, are under verification (their effects could not be separated), and while the write rate limit is exhausted."""
    names, most = situation.in_flight, situation.policy.apply.max_in_flight
    if len(names) >= most:
        listed = ", ".join(names[:3])
        message = (
            f"{count(len(names), 'change')} of this workflow under verification ({listed}), at most {most} at a time"
        )
        return blocked(message)
    if situation.in_the_way:
        listed = ", ".join(situation.in_the_way[:3])
        message = f"another change of {plan.target} is under verification ({listed}): the same runs would verify both"
        return blocked(message)
    if situation.writes_left <= 0:
        message = "the namespace had its share of changes in this minute (limits.changesPerMinute)"
        return blocked(message, waiting=True)
    return passed("no other change is in the way", waiting=True)


def window(plan: Plan, situation: Situation) -> CheckResult:
    """Passes while any window is open. A window that can never open is always reported."""
    windows = situation.policy.apply.windows
    if not windows:
        return passed("changes may be made at any time", waiting=True)
    problems: list[str] = []
    coming: list[float] = []
    for one in windows:
        try:
            if opened(one, situation.now) is not None:
                return passed(f"window {one.schedule} ({one.time_zone}) is open", waiting=True)
            coming.append(next_opening(one, situation.now))
        except WindowUnusable as error:
            problems.append(str(error))
    if not coming:
        return blocked(f"no window ever opens: {'; '.join(problems)}")
    at = to_minute(min(coming), weekday=True)
    also = f"; {'; '.join(problems)}" if problems else ""
    return blocked(f"the next window opens {at}{also}", waiting=True)

"""``overlap-stages``: two fan-outs over the same items, where the second waits for the whole first one.

Each item could continue as soon as its own first half is done (a pipeline instead of a barrier). The gain is computed from
the items' own times: the barrier costs most when items that are slow in one stage are fast in the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from concertmaster.core import text
from concertmaster.core.analysis.replay import Attempt, ExecutedRun
from concertmaster.core.model import Category, Finding, Level
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence, worth
from concertmaster.core.rules.performance.replays import scaled

_Chains = Sequence[Sequence[Attempt]]


def _by_item(chains: _Chains) -> dict[str, Sequence[Attempt]] | None:
    """Attempts by item; None when items have no distinct names."""
    by_item = {chain[-1].item: chain for chain in chains}
    return (
        {k: v for k, v in by_item.items() if k is not None}
        if None not in by_item and len(by_item) == len(chains)
        else None
    )


def _factor(run: ExecutedRun, first: str, second: str) -> float | None:
    """Factor on the second stage's work without the barrier; None when the stages do not have the same items, or something
    else (a limit) delays pods."""
    if first not in run.index or len(run.index.get(second, ())) != 1 or run.limits:
        return None  # several places: each item already waits only for its own
    before, after = (_by_item(run.chains_of(n)) for n in (first, second))
    if before is None or after is None or before.keys() != after.keys() or len(before) < 3:
        return None
    spent = {item: sum(a.total for a in chain) for item, chain in after.items()}
    barrier = max(chain[-1].finished for chain in before.values())
    end = barrier + max(spent.values())
    piped = max(before[item][-1].finished + spent[item] for item in before)
    work = max(sum(a.work for a in chain) for chain in after.values())
    return max(0.0, 1.0 - (end - piped) / work) if work > 0 else None


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation per pair of stages over the same items."""
    analysis = evidence.analysis
    graph = analysis.definition.graph
    runs = [run for run in evidence.recent() if run.usable]
    if not runs:
        return
    wide = {s.name for s in graph.steps if s.fan_out}
    for spec in graph.steps:
        if spec.name not in wide or len(spec.depends_on) != 1 or spec.depends_on[0] not in wide:
            continue
        first = spec.depends_on[0]
        factors = {run.run: f for run in runs if (f := _factor(run, first, spec.name)) is not None}
        if len(factors) < 0.8 * len(runs):
            continue
        replayed, _, _ = scaled(runs, {run: {spec.name: f} for run, f in factors.items()})
        gains = worth(replayed, evidence.settings.number("minGainPercent", 5.0))
        if gains is None:
            continue
        share, seconds = gains
        items = len(runs[-1].chains_of(spec.name))
        yield Finding(
            step=spec.name,
            action=f"Start each item of {spec.name} as soon as its own {first} is done",
            because=(
                f"both steps fan out over the same {items} items, and {spec.name} waits until the last item of"
                f" {first} is done in"
                f" {len(factors)} of {text.count(len(runs), 'run')} ({evidence.recent_window()})"
            ),
            otherwise=f"each run waits {text.duration(seconds.likely)} at the barrier between the two",
            risk=Level.MEDIUM,
            current="a barrier between two fan-outs",
            proposed="one fan-out over a template that runs both",
            expected=gain_sentence(share, seconds),
            confidence=0.6,
            gain_seconds=seconds,
            gain_share=share,
            evidence=(
                "computed item by item from the times seen, then replayed",
                f"right only if an item of {spec.name} needs no other item of {first}",
            ),
        )


RULE = Rule(
    RuleName.OVERLAP_STAGES, evaluate, Category.PERFORMANCE, Level.MEDIUM, tie_break=6, settings=("minGainPercent",)
)

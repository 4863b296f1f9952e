"""Differences between a record of the operator and the truth: what both ways share, and live objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from benchmarks.torture.bed import SCRAPE_SECONDS, Play
from benchmarks.torture.truth import Key, Leaf, Truth, chain_faults, drag, near, unix
from benchmarks.torture.truth_others import deleted, ended
from concertmaster.core.analysis.replay import ExecutedRun, executed
from concertmaster.core.analysis.replay.critical import step_drag
from concertmaster.core.model import RunRecord, StepExecution, WorkflowDefinition
from concertmaster.engines import complete as whole_definition

DRAG_SECONDS = 2.0  # times are whole seconds at both ends


@dataclass
class Row:
    """One workflow: the number of its runs, and the differences per run."""

    workflow: str
    runs: int = 0
    live: dict[str, list[str]] = field(default_factory=dict)
    history: dict[str, list[str]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)


def with_pods(truth: Truth, play: Play, leaf_of: Mapping[str, tuple[str, Key]]) -> Truth:
    """The run with the times of its pods, if it had any, as in the operator's records."""
    found = deepcopy(truth)
    for uid, (run, key) in leaf_of.items():
        if run == truth.run and uid in play.pods:
            pod, leaf = play.pods[uid], found.leaves[key]
            leaf.begun = unix(pod["metadata"]["creationTimestamp"])
            own, asked = ended(pod), deleted(pod)
            if asked is None or (own is not None and own + SCRAPE_SECONDS <= asked):
                leaf.ended = own or leaf.ended  # otherwise the metrics may have missed its end
            elif leaf.ended is None:  # deleted while it ran: no status ever had its end, which its engine waits for
                leaf.ended = play.gone.get(uid, asked)
                found.sampled = max(found.sampled, SCRAPE_SECONDS)
            if key in found.free and uid in play.ready:
                found.free[key] = min(found.free[key], play.ready[uid])
    for key, at in found.free.items():
        found.leaves[key].ended = at
    return found


def _keyed(truth: Truth, e: StepExecution, leaf_of: Mapping[str, tuple[str, Key]]) -> Key:
    """The key of an execution; if its item cannot be known, or only its pod tells which it is, the key of its pod."""
    own = (e.step, e.item, e.attempt)
    known = leaf_of.get(e.uid or "") or leaf_of.get(e.pod or "")
    if known is not None and known[0] == truth.run and truth.alike:
        return known[1]
    if known is not None and known[0] == truth.run and (own in truth.leaves or (e.item or "").startswith("#")):
        return known[1] if (e.item or "").startswith("#") or known[1][1] is None else own
    return own


def live_faults(truth: Truth, record: RunRecord, leaf_of: Mapping[str, tuple[str, Key]]) -> list[str]:
    faults = [] if record.outcome.value == truth.outcome else [f"outcome {record.outcome.value}, true {truth.outcome}"]
    if not near(record.run_time, lasted := truth.lasted(), 2.0):
        faults.append(f"run time {record.run_time}, true {lasted}")
    found = {(e.step, e.item, e.attempt): e for e in record.steps}
    if len(found) != len(record.steps):
        faults.append("a step, item and attempt twice")
    if truth.alike and found.keys() == truth.leaves.keys():  # only their pods distinguish them
        found = {leaf_of[e.uid or ""][1] if e.uid in leaf_of else key: e for key, e in found.items()}
    faults += [f"{key} is missing" for key in sorted(set(truth.leaves) - set(found), key=str)]
    faults += [f"{key} is made up" for key in sorted(set(found) - set(truth.leaves), key=str)]
    for key in set(found) & set(truth.leaves):
        faults += _same(found[key], truth.leaves[key])
    return faults


def _same(e: StepExecution, leaf: Leaf) -> list[str]:
    faults = [] if e.outcome.value == leaf.outcome else [f"{leaf.key}: {e.outcome.value}, true {leaf.outcome}"]
    if leaf.ran and leaf.begun is not None and not near(e.created, leaf.begun):
        faults.append(f"{leaf.key}: created {apart(e.created, leaf.begun)}")
    if leaf.ran and not near(e.finished, leaf.ended):
        faults.append(f"{leaf.key}: finished {apart(e.finished, leaf.ended)}")
    return faults


def apart(reported: float | None, true: float | None) -> str:
    """A reported time against the true one."""
    return f"{reported}, true {true}" if reported is None or true is None else f"{reported - true:+.0f} s"


def path_faults(
    truth: Truth, record: RunRecord, definition: WorkflowDefinition, leaf_of: Mapping[str, tuple[str, Key]]
) -> list[str]:
    """Differences in the critical chain, and in the drag of its steps if nothing limits the run."""
    graph = whole_definition(definition, [record])[0].graph
    run = executed(record, graph)
    if not run.usable:
        ran = any(leaf.ran for leaf in truth.leaves.values())
        return [f"no chain: {'; '.join(run.problems)}"] if ran else []
    chain = [_keyed(truth, record.steps[a.source], leaf_of) for a in run.critical]
    faults = chain_faults(truth, chain)
    if faults:
        return [*faults, shown(chain)]
    return [] if run.limits else drag_faults(truth, run, chain)


def drag_faults(truth: Truth, run: ExecutedRun, chain: Sequence[Key]) -> list[str]:
    """Differences in the drag of the steps of a chain, in a run that nothing limits."""
    faults, reported = [], step_drag(run)
    for step in dict.fromkeys(k[0] for k in chain):
        true = drag(truth, step)
        if abs(reported.get(step, 0.0) - true) > DRAG_SECONDS + truth.sampled:
            faults.append(f"drag of {step} {reported.get(step, 0.0):.0f} s, true {true:.0f} s")
    return faults


def shown(chain: Sequence[Key]) -> str:
    """A chain as text."""
    return f"chain {' > '.join(k[0] + (f'({k[1]})' if k[1] else '') for k in chain)}"

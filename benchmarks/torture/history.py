"""Differences between a run built from metrics alone and the truth: its pods, its chain, and the drag of its steps."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.torture.bed import Play
from benchmarks.torture.faults import Row, apart, drag_faults, shown, with_pods
from benchmarks.torture.truth import SECOND, Key, Leaf, Object, Truth, chain_faults, closed_up, near, unix
from benchmarks.torture.truth_others import ended
from concertmaster.core.analysis.replay import ExecutedRun, executed
from concertmaster.core.model import (
    UNKNOWN_STEP,
    Outcome,
    RunRecord,
    StepExecution,
    WorkflowDefinition,
    WorkflowGraph,
)
from concertmaster.engines import complete as whole_definition

Places = Mapping[str, tuple[str, Key]]  # run and key by uid and by name of the pods
_END = "end of "
_GIVEN_UP = ", which its engine gave up before it ended"
_OVERRULED = ", whose pod had succeeded when its engine failed it for the deadline"


def history_faults(
    truth: Truth, built: list[RunRecord], definition: WorkflowDefinition, leaf_of: Places, play: Play, row: Row
) -> list[str]:
    """Differences in a run built from metrics alone: steps, items, attempts, outcomes and times of its pods, the chain,
    and the drag of its steps. What metrics cannot tell is added to the unknowns of ``row``."""
    pods = {k: leaf for k, leaf in truth.leaves.items() if leaf.pod}
    expected = {uid: known[1] for uid, known in leaf_of.items() if known[0] == truth.run and uid in play.pods}
    if not expected:
        return [] if not any(r.steps for r in built) else ["steps of a run without pods"]
    if len([r for r in built if r.steps]) != 1:
        return [f"{len(built)} runs instead of one"]
    record = next(r for r in built if r.steps)
    named = set[str]()  # of this run
    found = {e.uid or "": e for e in record.steps}
    faults = [f"{expected[uid]} is missing" for uid in expected if uid not in found]
    faults += [f"{(e.step, e.item, e.attempt)} is made up" for uid, e in found.items() if uid not in expected]
    rounds = False
    for uid in set(expected) & set(found):
        e, key, pod = found[uid], expected[uid], play.pods[uid]
        wrong, blurred = _name_faults(truth, e, key, definition, named)
        rounds = rounds or blurred
        faults += [*wrong, *_time_faults(e, key, pod, truth, named), *_outcome_faults(e, pods[key], pod, named)]
    # A node whose deadline has passed fails before its pod is created.
    named |= {f"{k[0]}, which had no pod" for k, leaf in pods.items() if leaf.ran and k not in expected.values()}
    if not faults and not rounds:
        wrong = _path_faults(truth, record, definition, leaf_of, play, named)
        if wrong and truth.early:
            named.add("what its parts waited for")
        else:
            faults += wrong
    if record.outcome is Outcome.UNKNOWN:
        named.add("outcome")
    elif record.outcome.value != truth.outcome:
        faults.append(f"outcome {record.outcome.value}, true {truth.outcome}")
    row.unknown |= named
    return faults


def _name_faults(
    truth: Truth, e: StepExecution, key: Key, definition: WorkflowDefinition, named: set[str]
) -> tuple[list[str], bool]:
    """Whether a pod is called otherwise than by its engine; and whether the chain cannot be known for that."""
    if (e.step, e.item, e.attempt) == key or truth.alike:
        return [], False
    numbered = (e.item or "").startswith("#")
    if e.step == key[0] and numbered and key[0] in truth.unknown_items:
        named.add(f"items of {e.step}")
        if e.attempt == key[2]:
            return [], False
    if numbered and any("itself" in p for p in definition.graph.problems):
        named.add("rounds of the recursion, and so the chain and drag")
        return [], True
    if e.step.startswith(UNKNOWN_STEP) and key[0] in truth.unknown_items:
        named.add(f"which of its steps a pod of {e.step} is, and so the chain and drag")
        return [], True
    return [f"{key} is called {(e.step, e.item, e.attempt)}"], False


def _time_faults(e: StepExecution, key: Key, pod: Object, run: Truth, named: set[str]) -> list[str]:
    """Differences in the times of a pod, moved by those in which its run stood still after it. Of one that was deleted,
    the metrics may have missed the end; of one whose end they missed, the end is unknown, as is the start if it ended
    before any sample."""
    begun, made = started(pod), unix(pod["metadata"]["creationTimestamp"]) or 0.0
    moved = sum(until - since for since, until in run.idle if made <= since)
    known = (
        ("created", e.created, made),
        ("scheduled", e.scheduled, _scheduled(pod)),
        ("started", e.started, begun),
        ("finished", e.finished, ended(pod)),
    )
    faults = []
    for name, reported, at in known:
        true = None if at is None else at + moved
        slack = SECOND + (run.sampled if moved else 0.0)  # by how much it was moved is sampled
        if near(reported, true, slack) or (name != "created" and true is None):
            continue
        if name == "finished" and (e.outcome is Outcome.UNKNOWN or "deletionTimestamp" in pod["metadata"]):
            named.add(f"{_END}{e.step}")
        elif name in ("scheduled", "started") and e.outcome is Outcome.UNKNOWN:
            named.add(f"start of {e.step}")
        else:
            faults.append(f"{key}: {name} {apart(reported, true)}")
    return faults


def _scheduled(pod: Object) -> float | None:
    bound = [c for c in pod["status"].get("conditions") or () if c["type"] == "PodScheduled" and c["status"] == "True"]
    return unix(bound[0].get("lastTransitionTime")) if bound else None


def started(pod: Object) -> float | None:
    """First start of a container of a pod in unix seconds; None if unknown, as after a restart."""
    rows = pod["status"].get("containerStatuses") or ()
    if any(c.get("restartCount") for c in rows):
        return None
    begun = [unix(part.get("startedAt")) for c in rows for part in c.get("state", {}).values()]
    return min((at for at in begun if at is not None), default=None)


def _outcome_faults(e: StepExecution, leaf: Leaf, pod: Object, named: set[str]) -> list[str]:
    if e.outcome is Outcome.UNKNOWN:
        named.add(f"{_END}{e.step}")
        return []
    phase = pod["status"].get("phase")
    if phase not in ("Succeeded", "Failed"):
        return []
    true = phase if leaf.outcome == "Unknown" else leaf.outcome  # what the engine left, its pod knows
    if e.outcome.value == true:
        return []
    if true == "Failed" and leaf.ended is not None and (ended(pod) or 0.0) > leaf.ended + 1.0:
        named.add(f"{e.step}{_GIVEN_UP}")
        return []
    if true == "Failed" and leaf.overdue and e.outcome.value == phase:
        named.add(f"{e.step}{_OVERRULED}")
        return []
    return [f"{leaf.key}: {e.outcome.value}, true {true}"]


def _path_faults(
    truth: Truth, record: RunRecord, definition: WorkflowDefinition, leaf_of: Places, play: Play, named: set[str]
) -> list[str]:
    """Differences in the critical chain and the drag built from metrics alone, which lack everything without a pod."""
    graph = whole_definition(definition, [record])[0].graph
    run = executed(record, graph)
    if not run.usable:
        named.add("chain and drag")
        return []
    seen = closed_up(with_pods(truth, play, leaf_of))
    made = {key for uid, (name, key) in leaf_of.items() if name == truth.run and uid in play.pods}
    for leaf in seen.leaves.values():
        leaf.ran = leaf.ran and leaf.key in made
        if not leaf.ran:  # no pod, no time
            leaf.begun = leaf.ended = None
        if leaf.step in truth.unknown_items:  # dependencies between items are unknown if their names are
            around = {key[0] for key in leaf.before}
            leaf.before |= {key for key in seen.leaves if key[0] in around and key != leaf.key}
    keys = {uid: key for uid, (name, key) in leaf_of.items() if name == truth.run}
    steps = [record.steps[a.source] for a in run.critical]
    chain = [keys.get(e.uid or "", (e.step, e.item, e.attempt)) for e in steps]
    slack = 2 * SECOND + truth.sampled
    if truth.idle and not near(record.makespan, seen.lasted(), slack):
        return [f"run time without what is between its attempts {record.makespan}, true {seen.lasted()}"]
    if faults := chain_faults(seen, chain):
        return [*faults, shown(chain)]
    wrong = drag_faults(seen, run, chain)
    if wrong and (why := _blurs_drag(run, graph, named)):
        named.add(f"drag, {why}")
        return []
    return wrong


def _blurs_drag(run: ExecutedRun, graph: WorkflowGraph, named: set[str]) -> str:
    """Why the drag of a run is unknown, or does not follow from the engine's status; empty if it can."""
    if run.limits or graph.limits or any(step.locks for step in graph.steps):
        return "as limits hold it"
    if graph.inferred:
        return "as no object declares what its parts wait for"
    ends = any(text.startswith(_END) or text.endswith((_GIVEN_UP, _OVERRULED)) for text in named)
    return "as an end is unknown" if ends else ""

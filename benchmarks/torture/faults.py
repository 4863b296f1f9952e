"""Differences between a record of the operator and the truth, for live objects and for history alone."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field

from benchmarks.torture.bed import SCRAPE_SECONDS, Play
from benchmarks.torture.truth import Key, Leaf, Object, Truth, chain_faults, drag, near, unix
from benchmarks.torture.truth_others import ended
from concertmaster.core.analysis.replay import critical_chain, executed
from concertmaster.core.analysis.replay.critical import step_drag
from concertmaster.core.model import UNKNOWN_STEP, Outcome, RunRecord, StepExecution, WorkflowDefinition
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
            if "deletionTimestamp" not in pod["metadata"]:  # otherwise the metrics may have missed its end
                leaf.ended = ended(pod) or leaf.ended
            elif leaf.ended is None:  # deleted while it ran: no status ever had its end, which its engine waits for
                leaf.ended = play.gone.get(uid, _deleted(pod))
                found.sampled = True
            if key in found.free and uid in play.ready:
                found.free[key] = min(found.free[key], play.ready[uid])
    for key, at in found.free.items():
        found.leaves[key].ended = at
    return found


def _deleted(pod: Object) -> float | None:
    """When the deletion of a pod was asked for."""
    meta = pod["metadata"]
    at = unix(meta["deletionTimestamp"])
    return None if at is None else at - float(meta.get("deletionGracePeriodSeconds") or 0)


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
        faults.append(f"{leaf.key}: created {_apart(e.created, leaf.begun)}")
    if leaf.ran and not near(e.finished, leaf.ended):
        faults.append(f"{leaf.key}: finished {_apart(e.finished, leaf.ended)}")
    return faults


def _apart(reported: float | None, true: float | None) -> str:
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
    chain = [_keyed(truth, record.steps[a.source], leaf_of) for a in critical_chain(run)]
    faults = chain_faults(truth, chain)
    if faults:
        return [*faults, f"chain {' > '.join(k[0] + (f'({k[1]})' if k[1] else '') for k in chain)}"]
    if run.limits:
        return []
    reported = step_drag(run)
    for step in dict.fromkeys(k[0] for k in chain):
        true = drag(truth, step)
        if abs(reported.get(step, 0.0) - true) > DRAG_SECONDS + (SCRAPE_SECONDS if truth.sampled else 0.0):
            faults.append(f"drag of {step} {reported.get(step, 0.0):.0f} s, true {true:.0f} s")
    return faults


def history_faults(
    truth: Truth,
    built: list[RunRecord],
    definition: WorkflowDefinition,
    leaf_of: Mapping[str, tuple[str, Key]],
    play: Play,
    row: Row,
) -> list[str]:
    """Differences in a run built from metrics alone: steps, items, attempts, outcomes and times of its pods, and the
    chain."""
    pods = {k: leaf for k, leaf in truth.leaves.items() if leaf.pod}
    expected = {uid: known[1] for uid, known in leaf_of.items() if known[0] == truth.run and uid in play.pods}
    if not expected:
        return [] if not any(r.steps for r in built) else ["steps of a run without pods"]
    if len([r for r in built if r.steps]) != 1:
        return [f"{len(built)} runs instead of one"]
    record = built[0]
    rounds = False
    faults = []
    found = {e.uid or "": e for e in record.steps}
    faults += [f"{expected[uid]} is missing" for uid in expected if uid not in found]
    faults += [f"{(e.step, e.item, e.attempt)} is made up" for uid, e in found.items() if uid not in expected]
    for uid in set(expected) & set(found):
        e, key, pod = found[uid], expected[uid], play.pods[uid]
        named = (e.step, e.item, e.attempt) == key or truth.alike
        if not named and e.step == key[0] and (e.item or "").startswith("#") and key[0] in truth.unknown_items:
            row.unknown.add(f"items of {e.step}")
            named = e.attempt == key[2]
        if not named and (e.item or "").startswith("#") and any("itself" in p for p in definition.graph.problems):
            row.unknown.add("rounds of the recursion, and so the chain")
            named = rounds = True
        if not named and e.step.startswith(UNKNOWN_STEP) and key[0] in truth.unknown_items:
            row.unknown.add(f"which of its steps a pod of {e.step} is, and so the chain")
            named = rounds = True
        if not named:
            faults.append(f"{key} is called {(e.step, e.item, e.attempt)}")
        if not near(e.created, unix(pod["metadata"]["creationTimestamp"])):
            faults.append(f"{key}: created {_apart(e.created, unix(pod['metadata']['creationTimestamp']))}")
        if e.outcome is Outcome.UNKNOWN:
            row.unknown.add(f"end of {e.step}")
        elif (phase := pod["status"].get("phase")) in ("Succeeded", "Failed"):
            true = phase if pods[key].outcome == "Unknown" else pods[key].outcome  # what the engine left, its pod knows
            over = pods[key].ended
            if e.outcome.value == true:
                continue
            if true == "Failed" and over is not None and (ended(pod) or 0.0) > over + 1.0:
                row.unknown.add(f"{e.step}, which its engine gave up before it ended")
            else:
                faults.append(f"{key}: {e.outcome.value}, true {true}")
    # A node whose deadline has passed fails before its pod is created.
    row.unknown |= {f"{k[0]}, which had no pod" for k, leaf in pods.items() if leaf.ran and k not in expected.values()}
    if not faults and not rounds:
        wrong = _chain_from_pods(truth, record, definition, leaf_of, play)
        if wrong and truth.early:
            row.unknown.add("what its parts waited for")
        else:
            faults += wrong
    if record.outcome is Outcome.UNKNOWN:
        row.unknown.add("outcome")
    elif record.outcome.value != truth.outcome:
        faults.append(f"outcome {record.outcome.value}, true {truth.outcome}")
    return faults


def _chain_from_pods(
    truth: Truth, record: RunRecord, definition: WorkflowDefinition, leaf_of: Mapping[str, tuple[str, Key]], play: Play
) -> list[str]:
    """Differences in the critical chain built from metrics alone, which lacks everything without a pod."""
    run = executed(record, whole_definition(definition, [record])[0].graph)
    if not run.usable:
        return []  # reported already: a pod without a known end
    seen = with_pods(truth, play, leaf_of)
    made = {key for uid, (name, key) in leaf_of.items() if name == truth.run and uid in play.pods}
    for leaf in seen.leaves.values():
        leaf.ran = leaf.ran and leaf.key in made
        if leaf.step in truth.unknown_items:  # dependencies between items are unknown if their names are
            around = {key[0] for key in leaf.before}
            leaf.before |= {key for key in seen.leaves if key[0] in around and key != leaf.key}
    keys = {uid: key for uid, (name, key) in leaf_of.items() if name == truth.run}
    steps = [record.steps[a.source] for a in critical_chain(run)]
    chain = [keys.get(e.uid or "", (e.step, e.item, e.attempt)) for e in steps]
    faults = chain_faults(seen, chain)
    return [*faults, f"chain {' > '.join(k[0] + (f'({k[1]})' if k[1] else '') for k in chain)}"] if faults else []

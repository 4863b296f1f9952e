"""Runs of Argo Workflows, and the comparison of their records with their status."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping

import brotli
import zstandard

from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.engines.argo.live import read_run, workflow_of
from tests.support.engines.expected import ARGO, Row
from tests.support.engines.scenario import NAMESPACE, STOPPED, Object, Scenario
from tests.support.engines.times import near, unix

Definitions = Mapping[WorkflowKey, WorkflowDefinition]

ADHOC, PICKED = (WorkflowKey(NAMESPACE, "WorkflowProfile", name) for name in ("adhoc", "picked"))


def selected(thing: Object) -> WorkflowKey:
    """The profile that selects a run without a template."""
    return next(key for key in (ADHOC, PICKED) if thing["metadata"]["name"].startswith(f"{key.name}-"))


class Run:
    """A record with the object it was made from."""

    def __init__(self, scenario: Scenario, definitions: Definitions, name: str) -> None:
        self.expected = ARGO[name]
        self.object = scenario.run_of(name)
        self.name = self.object["metadata"]["name"]
        self.key = workflow_of(self.object) or selected(self.object)
        self.live = read_run(self.object, self.key, definitions.get(self.key))
        self.nodes: dict[str, Object] = {n["name"]: n for n in node_table(self.object["status"]).values()}
        self.pods = {
            p["metadata"]["annotations"]["workflows.argoproj.io/node-name"]: p
            for p in scenario.pods_of("Workflow", self.name)
        }

    @property
    def record(self) -> RunRecord:
        return self.live.record

    def step(self, name: str, item: str | None = None, attempt: int = 0) -> StepExecution:
        """One execution of the record."""
        return next(e for e in self.record.steps if (e.step, e.item, e.attempt) == (name, item, attempt))


def node_table(status: Object) -> dict[str, Object]:
    """The node table of the controller."""
    if "compressedNodes" not in status:
        return dict(status["nodes"])
    assert not status.get("nodes")
    packed = base64.b64decode(status["compressedNodes"])
    unpack = {"gzip": gzip.decompress, "zstd": zstandard.ZstdDecompressor().decompress, "brotli": brotli.decompress}
    return dict(json.loads(unpack[packed_with(status)](packed)))


def packed_with(status: Object) -> str:
    """The algorithm of a packed node table, by its first bytes; brotli has no number of its own."""
    begin = base64.b64decode(status["compressedNodes"])[:4]
    return "zstd" if begin == b"\x28\xb5\x2f\xfd" else "gzip" if begin[:2] == b"\x1f\x8b" else "brotli"


def agree(run: Run) -> None:
    """Assert that the record contains everything in the status, and nothing else."""
    record, status = run.record, run.object["status"]
    assert run.live.problems == ()
    assert run.live.complete
    assert (record.run, record.workflow, record.source) == (run.name, run.key, Source.LIVE)
    good = Outcome.SUCCEEDED if status["phase"] == "Succeeded" else Outcome.FAILED
    assert record.outcome is (Outcome.UNKNOWN if ("Workflow", run.name) in STOPPED else good)
    found = {(e.step, e.item, e.attempt): e for e in record.steps}
    assert len(found) == len(record.steps)
    assert set(found) == {(row.step, row.item, row.attempt) for row in run.expected}
    for row in run.expected:
        same(found[row.step, row.item, row.attempt], row, run.nodes[run.name + row.node], run)


def same(e: StepExecution, row: Row, node: Object, run: Run) -> None:
    """Assert that one execution equals its node: edges, outcome, code, message, cache and node name exactly, times
    within a second."""
    assert e.outcome is Outcome(row.outcome), row
    assert e.after == row.after, row
    assert near(e.finished, unix(node["finishedAt"])), row
    assert e.node == node.get("hostNodeName"), row
    message = node.get("message")
    assert e.message == (" ".join(message.split()) if message else None), row
    code = node.get("outputs", {}).get("exitCode")
    assert e.exit_code == (None if code is None else int(code)), row
    memo = node.get("memoizationStatus")
    assert e.cache_hit is (memo["hit"] if memo else None), row
    pod = run.pods.get(node["name"])
    assert e.pod == (pod["metadata"]["name"] if pod else None), row
    assert near(e.created, unix(node["startedAt"])), row
    ends = [unix(run.nodes[run.name + r.node]["finishedAt"]) for r in run.expected if r.step in row.after]
    if row.after:
        assert e.ready in ends, row
    elif not row.node.startswith(".hooks"):
        assert near(e.ready, unix(run.object["status"]["startedAt"]), 3.0), row

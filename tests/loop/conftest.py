"""One play for the whole tier: a workflow of each kind side by side until each change is kept or rolled back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.changes.loop_bed import Bed, Outcome, bed
from benchmarks.changes.loop_scenarios import KINDS, OUTGROWN, UNCHANGED, Scenario
from benchmarks.changes.loop_track import Pace, Track
from concertmaster.core.changes.verification.control_group import MIN_WORKFLOWS
from concertmaster.core.times import parse_time
from testbed.process import TestbedError
from testbed.pytest_plugin import require_binaries
from testbed.services.controlplane import argo_version
from testbed.services.engine_parts import require_namespace
from tests.support.cluster.operator_bed import wait_for_like_days

HERE = Path(__file__).parent
SECONDS = 900.0  # at most; three to four minutes on a machine that does nothing else
AGAIN = 300.0  # at most; half a minute on such a machine
HARM = 1.5  # fewer runs tell it from a busy machine's noise than a fifth; that one is measured by the benchmark
_BINARIES = ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kwok")


@dataclass(frozen=True)
class Played:
    """What was submitted, what came of it, the WorkflowTemplate as it stands at the end, and the profile's status, of after
    a run that followed the rollback if there was one."""

    track: Track
    outcome: Outcome
    template: Mapping[str, Any]
    status: Mapping[str, Any]

    def request(self, resource: str) -> str:
        """What the main step asks for at the end."""
        found = self.template["spec"]["templates"][2]["container"]["resources"]["requests"][resource]
        return str(found)

    def sizes(self) -> str:
        """Requests of the main step before the change and at the end, for a failure's output."""
        before = self.track.scenario.requests()
        return ", ".join(f"{resource} {was} -> {self.request(resource)}" for resource, was in before.items())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this directory may take as long as the play (the hook sees those of all directories)."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(2 * SECONDS + AGAIN + 120))


def analysed_again(loop: Bed) -> dict[str, Mapping[str, Any]]:
    """The status of each profile. Where a change was rolled back, of an analysis of data from after that: one more run is
    started, for an operator has nothing to analyse where nothing happens."""
    restored = {name: t for name, t in loop.tracks.items() if t.change is not None and t.change.restored is not None}
    since = time.time()
    for track in restored.values():
        loop.submit(track)
    end = time.monotonic() + AGAIN
    while True:
        profiles = loop.client.items("/apis/concertmaster.dev/v1alpha1/workflowprofiles")
        found = {p["metadata"]["namespace"]: p["status"] for p in profiles}
        behind = {name: until for name in restored if parse_time(until := found[name]["dataUntil"]) <= since}
        if not behind:
            return found
        if time.monotonic() > end:
            raise TestbedError(f"not analyzed again for {AGAIN:.0f} s: {behind}\n{loop.operator.tail(30)}")
        time.sleep(2.0)


@pytest.fixture(scope="session")
def played() -> Mapping[str, Played]:
    """The workflows by kind, once all is over; nothing runs any more."""
    require_namespace()
    require_binaries([*_BINARIES, "kube-state-metrics", argo_version(), "prometheus", "promtool"])
    wait_for_like_days(SECONDS)
    with bed(Pace(least=8, patience=30)) as loop:
        # Unchanged ones tell the operator when it is the machine that gets slower.
        beside = [Scenario(UNCHANGED, number, 7, 12.0) for number in range(MIN_WORKFLOWS)]
        loop.add([Scenario(kind, 0, 7, 12.0, HARM) for kind in (*KINDS, OUTGROWN)] + beside)
        loop.play(SECONDS, lambda text: print(text, flush=True))
        templates = {name: loop.template(name) for name in loop.tracks}
        statuses = analysed_again(loop)
        loop.operator.stop()
        results = loop.results()
        print("", *(row.line() for row in results), sep="\n")
        rows = zip(loop.changed, results, strict=True)
        found = {
            track.scenario.kind: Played(track, row, templates[track.scenario.name], statuses[track.scenario.name])
            for track, row in rows
        }
        print("", *(f"{kind}: {one.sizes()}" for kind, one in found.items()), sep="\n")
        return found

"""Queries of another tenant fail in every way, and its Jobs are too large for the metrics source: are other tenants
affected?"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.chaos.bed import HEALTHY, Bed, Operator, operator, started
from benchmarks.chaos.objects import ARGO
from benchmarks.chaos.proxy import Answer, Fault, Proxy, error, proxy, rows

SPACE = "noisy"
CYCLES = 4  # measured in each state
AUTHORS = 5  # profiles with their own queries
_MINE = "noise_seconds"


def _slow(seconds: float, then: Callable[[], Answer]) -> Fault:
    def fault(query: str) -> Answer | None:
        if _MINE not in query:
            return None
        time.sleep(seconds)
        return then()

    return fault


def _good() -> Answer:
    return rows([({"run": f"r{n}"}, "100") for n in range(5)])


def _too_large(query: str) -> Answer | None:
    """The metrics source rejects queries for the pods of the noisy namespace, whoever sends them."""
    if "kube_pod_created" in query and SPACE in query:
        return error(422, "execution", "query processing would load too many samples into memory in query execution")
    return None if _MINE not in query else _good()


@cache
def _million() -> Answer:
    """Built on first use: it takes seconds and most of a gigabyte."""
    return rows([({"run": f"noisy-{n}"}, "1") for n in range(1_000_000)])


FAULTS: dict[str, Fault] = {  # a source is given up after 30 s
    "warns": _slow(0.0, lambda: rows([({"run": "r0"}, "1")], warnings=["noisy store-7 of tenant unreachable"])),
    "times out": _slow(0.0, lambda: error(503, "timeout", "query timed out in noisy expression")),
    "never answers": _slow(40.0, _good),
    "is truncated": _slow(0.0, lambda: Answer(body=b'{"status":"success","data":{"noisy":', cut=True)),
    "takes 29 s": _slow(29.0, _good),
    "returns a million series": _slow(0.0, _million),
    "has pods of too many samples": _too_large,
}


def measure(seed: int = 1) -> dict[str, Any]:
    """Run the campaign. ``seed`` has no effect: every fault occurs once."""
    del seed
    found: dict[str, Any] = {"healthy": HEALTHY, "cycles": CYCLES, "faults": {}}
    with (
        started(discover=[{"apiVersion": ARGO, "kind": "WorkflowTemplate"}]) as bed,
        proxy(bed.prometheus.url) as store,
    ):
        bed.namespace(SPACE)
        bed.cluster.apply(*(_profile(n) for n in range(AUTHORS)))
        store.fault = _slow(0.0, _good)
        sources = [{"name": "default", "url": store.url, "delaySeconds": 5}]
        with operator(bed, sources, name="noisy") as op:
            _settle(bed, op)
            found["quiet"] = _observe(bed, op)
            for name, fault in FAULTS.items():
                found["faults"][name] = _noise(bed, op, store, name, fault)
            found["again_quiet"] = _after(bed, op, store)
            found |= {"restarts": 0 if op.process.running else 1, **op.memory()}
    return found


def _profile(n: int) -> dict[str, Any]:
    """A declared graph with a duration query of its owner."""
    query = f'max by (run) (last_over_time({_MINE}{{profile="p{n}"}}[$window]))'
    return {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "WorkflowProfile",
        "metadata": {"name": f"p{n}", "namespace": SPACE},
        "spec": {
            "graph": {"steps": [{"name": "a", "durationQuery": query}]},
            "extraMetrics": [{"name": "tokens", "query": query.replace("max", "min", 1)}],
        },
    }


def _settle(bed: Bed, op: Operator) -> None:
    until = time.monotonic() + 420
    while bed.with_recommendations() < HEALTHY and time.monotonic() < until:
        time.sleep(2)
    op.wait_cycles(2, 120)


def _noise(bed: Bed, op: Operator, store: Proxy, name: str, fault: Fault) -> dict[str, Any]:
    """A quiet phase and, right after it, a noisy one: other work on the machine is about the same in both."""
    quiet = _after(bed, op, store)
    store.fault = fault
    op.wait_cycles(1, 300)  # the cycle in progress
    seen = {**_observe(bed, op), "quiet_s": quiet["cycle_s"], "quiet_cpu_s": quiet["cpu_s"]}
    print(f"  {name}: {seen}", flush=True)
    return seen


def _after(bed: Bed, op: Operator, store: Proxy) -> dict[str, Any]:
    store.fault = _slow(0.0, _good)
    op.wait_cycles(1, 300)
    return _observe(bed, op)


def _observe(bed: Bed, op: Operator) -> dict[str, Any]:
    """Cycle times, and the conditions of the other workflows."""
    begun = _cpu_seconds(op)
    cycles = op.wait_cycles(CYCLES, 90.0 * CYCLES)
    spent = _cpu_seconds(op) - begun
    others, own = bed.profiles(), bed.profiles(SPACE)
    foreign = sum("nois" in json.dumps(item.get("status") or {}) for item in others)
    return {
        "cycle_s": round(median(c["seconds"] for c in cycles), 2) if cycles else None,
        "longest_s": max((c["seconds"] for c in cycles), default=None),
        "cpu_s": round(spent / max(1, len(cycles)), 2),
        "foreign_text": foreign,
        "others_available": sum(_available(item) for item in others),
        "own_explained": sum(not _available(item) for item in own),
        "alive": op.alive(),
    }


def _cpu_seconds(op: Operator) -> float:
    """CPU time of the operator so far, which other work on the machine does not lengthen."""
    fields = Path(f"/proc/{op.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _available(item: Mapping[str, Any]) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "MetricsAvailable" and c["status"] == "True" for c in conditions)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    yield f"### Noisy neighbour: {found['healthy']} workflows of one tenant while another's queries fail"
    yield ""
    columns = {"median cycle, s": "cycle_s", "right before, quiet": "quiet_s", "longest, s": "longest_s"}
    columns |= {"CPU s per cycle": "cpu_s", "CPU right before, quiet": "quiet_cpu_s", "foreign text": "foreign_text"}
    rows = {"is quiet": found["quiet"], **found["faults"], "is quiet again": found["again_quiet"]}
    shown = {name: key for name, key in columns.items() if any(key in row for row in rows.values())}
    yield f"| the other tenant | {' | '.join(shown)} | workflows with metrics |"
    yield f"|---|{'---|' * len(shown)}---|"
    for name, row in rows.items():
        cells = " | ".join(str(row.get(key, "-")) for key in shown.values())
        yield f"| {name} | {cells} | {row['others_available']} of {found['healthy']} |"
    yield ""
    yield (
        f"{AUTHORS} profiles with a durationQuery and an extra metric each; {found['cycles']} cycles in each state; foreign"
        " text: conditions with some;"
        f" restarts: {found['restarts']}, peak memory {found['peak_rss_mib']} MiB."
    )

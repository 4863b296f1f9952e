"""Failing metrics sources: are data lost, does the status report it, and does the operator recover by itself?"""

from __future__ import annotations

import json
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.chaos.bed import DAYS, HEALTHY, RUNS, STEPS, Bed, Operator, operator, started
from benchmarks.chaos.objects import ARGO
from benchmarks.chaos.proxy import Answer, Fault, Proxy, error, proxy
from benchmarks.chaos.statuses import dated, observed, stale, until_recommended
from benchmarks.scale.fleet_workflows import DAY, lives
from testbed.series.lives import Grid, PodLife
from testbed.series.openmetrics import render
from testbed.services.prometheus import PrometheusServer

CYCLES = 2  # cycles with a fault
MOST_CYCLES = 30  # for recovery
SETTLED = 150.0  # seconds after its end a run is known and analyzed
LONG = 20  # days, with a run of every workflow each
MISSING = (16.5, 2.5)  # from and until, days before the end
LOST = 14  # runs of every workflow in that time
_CPU_TIME = re.compile(r"^(container_cpu_usage_seconds_total\{.*\} )(\S+)( \S+)$", re.MULTILINE)


def _refusing(status: int, kind: str, text: str) -> Fault:
    return lambda _: error(status, kind, text)


def _slow(query: str) -> Answer | None:
    time.sleep(1.5)
    return None


def _now_and_then(chance: random.Random) -> Fault:
    def fault(query: str) -> Answer | None:
        return error(503, "unavailable", "down") if chance.random() < 0.5 else None

    return fault


FAULTS: dict[str, Fault] = {
    "slow (1.5 s a query)": _slow,
    "down (503)": _refusing(503, "unavailable", "down"),
    "too many requests (429)": _refusing(429, "throttled", "slow down"),
    "times out": _refusing(503, "timeout", "query timed out"),
    "refuses (422)": _refusing(422, "execution", "broken"),
    "cuts its answers": lambda _: Answer(body=b'{"status":"success","data":{"resultType":"vector","resu', cut=True),
    "answers with a web page": lambda _: Answer(body=b"<html>log in</html>"),
    "answers nothing at all": lambda _: Answer(body=b'{"status":"success","data":{"resultType":"vector","result":[]}}'),
}

_VALUE = re.compile(rb'("value":\[[0-9.]+,")[^"]*"')


def _values(*texts: bytes) -> Callable[[bytes], bytes]:
    """Replace every third number."""

    def change(body: bytes) -> bytes:
        count = iter(range(10**9))
        return _VALUE.sub(lambda m: m[0] if (n := next(count)) % 3 else m[1] + texts[n // 3 % len(texts)] + b'"', body)

    return change


def _twice(body: bytes) -> bytes:
    """Duplicate every series."""
    document = json.loads(body)
    data = document.get("data")
    if isinstance(data, dict) and data.get("resultType") == "vector":
        data["result"] = [row for row in data["result"] for _ in range(2)]
    return json.dumps(document).encode()


def _gaps(body: bytes) -> bytes:
    """Drop every third series."""
    document = json.loads(body)
    data = document.get("data")
    if isinstance(data, dict) and data.get("resultType") == "vector":
        data["result"] = [row for n, row in enumerate(data["result"]) if n % 3]
    return json.dumps(document).encode()


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "NaN and Inf among its numbers": _values(b"NaN", b"+Inf", b"-Inf"),
    "numbers beyond sense": _values(b"-1", b"1e308", b"0"),
    "every series twice": _twice,
    "every third series missing": _gaps,
    "partial answers": lambda body: body.replace(
        b'"status":"success"', b'"status":"success","warnings":["partial"]', 1
    ),
}


def measure(seed: int = 1) -> dict[str, Any]:
    """Run the campaign; ``seed`` determines when the intermittent metrics source fails."""
    faults = {**FAULTS, "fails half of the time": _now_and_then(random.Random(seed))}
    found: dict[str, Any] = {"healthy": HEALTHY, "stores": {}}
    with (
        started(discover=[{"apiVersion": ARGO, "kind": "WorkflowTemplate"}]) as bed,
        proxy(bed.prometheus.url) as store,
    ):
        sources = [{"name": "default", "url": store.url, "delaySeconds": 5}]
        with operator(bed, sources, name="stores") as op:
            until_recommended(bed, op)
            op.wait_cycles(2, 120)
            for name in [*faults, *CHANGES]:
                found["stores"][name] = _fault(bed, op, store, name, faults)
            found |= {"restarts": 0 if op.process.running else 1, **op.memory()}
        rows = found["stores"]
        rows["its past and our history are gone"] = _past_gone(bed, store, sources)
        rows["our clock is 10 minutes ahead of its"] = _clock(bed, sources, 600)
        rows["its clock is 10 minutes ahead of ours"] = _clock(bed, sources, -600)
        rows["counters begun anew"] = _counters(bed)
        rows |= _two_weeks(bed)
    return found


def ended_by(pods: Iterable[PodLife], at: float) -> dict[str, int]:
    """The number of runs of each workflow that had ended by then."""
    ends: dict[str, float] = {}
    for pod in pods:
        ends[pod.owner_name] = max(ends.get(pod.owner_name, 0.0), pod.finished or at + 1.0)
    return dict(Counter(run.rpartition("-")[0] for run, end in ends.items() if end <= at))


def _to_be_known(bed: Bed) -> dict[str, int]:
    """The runs that the status had or, where that is more, that had ended when the newest reading ended: what was lost in
    one fault is missing from then on."""
    had, ended = observed(bed), ended_by(lives(HEALTHY, STEPS, RUNS, bed.end, DAYS), time.time() - SETTLED)
    return {name: max(count, ended.get(name, 0)) for name, count in had.items()}


def _fault(bed: Bed, op: Operator, store: Proxy, name: str, faults: Mapping[str, Fault]) -> dict[str, Any]:
    before = _to_be_known(bed)
    store.fault, store.change = faults.get(name, lambda _: None), CHANGES.get(name, lambda body: body)
    ended = len(op.wait_cycles(CYCLES, 120))
    during, reported, flagged = observed(bed), dated(bed), stale(bed)
    store.fault, store.change = (lambda _: None), (lambda body: body)
    row = {"cycles": ended, "said": flagged, "dated": reported, **_recovery(bed, op, before)}
    row["lost_runs"] = max(row["lost_runs"], _lost(before, during))
    print(f"  {name}: {row}", flush=True)
    return row


def _past_gone(bed: Bed, store: Proxy, sources: Any) -> dict[str, Any]:
    """A new history with a metrics source without past data until the fault ends."""
    store.fault = FAULTS["answers nothing at all"]
    before = _to_be_known(bed)
    with operator(bed, sources, name="past-gone") as op:
        return _judged(bed, op, before, store)


def _clock(bed: Bed, sources: Any, ahead: int) -> dict[str, Any]:
    """The operator's clock is ahead of the source's by seconds during one start, and correct at the next."""
    name = f"clock-{ahead}"
    shutil.copy(bed.directory / "stores.db", bed.directory / f"{name}.db")
    before = _to_be_known(bed)
    with operator(bed, sources, name=name, environment={"CHAOS_CLOCK": str(ahead)}) as op:
        row = _judged(bed, op, before)
    with operator(bed, sources, name=name) as op:
        return row | _recovery(bed, op, before)


@contextmanager
def _other(text: Callable[[PrometheusServer], None]) -> Iterator[list[dict[str, Any]]]:
    """The settings of another metrics source, with the history that ``text`` loads into it."""
    server = PrometheusServer()
    text(server)
    with server:
        yield [{"name": "default", "url": server.url, "delaySeconds": 5}]


def resets(text: Iterable[str]) -> Iterator[str]:
    """The same history where counters of CPU time begin anew after nine seconds of it."""
    for piece in text:
        yield _CPU_TIME.sub(lambda line: f"{line[1]}{float(line[2]) % 9.0:.6f}{line[3]}", piece)


def _counters(bed: Bed) -> dict[str, Any]:
    """A new history from a metrics source in which the counters of every container begin anew."""
    past = list(lives(HEALTHY, STEPS, RUNS, bed.end, DAYS))
    before = _to_be_known(bed)

    def load(server: PrometheusServer) -> None:
        server.load_openmetrics(resets(render(past, Grid(bed.end - DAYS * DAY, bed.end))))

    with _other(load) as sources, operator(bed, sources, name="counters") as op:
        return _judged(bed, op, before, recovers=True)


def without(pods: Sequence[PodLife], end: float) -> tuple[list[PodLife], list[PodLife]]:
    """The pods before and after the two weeks that are missing."""
    since, until = (end - days * DAY for days in MISSING)
    return [pod for pod in pods if pod.created < since], [pod for pod in pods if pod.created > until]


def _two_weeks(bed: Bed) -> dict[str, dict[str, Any]]:
    """A metrics source without two of three weeks: after these were read, and at the first reading."""
    bed.cluster.kubectl(
        "patch", "copol", "baseline", "--type=merge", "-p", '{"spec": {"analysis": {"window": "30d"}}}'
    )  # fmt: skip
    past = list(lives(HEALTHY, STEPS, LONG, bed.end, LONG))
    older, newer = without(past, bed.end)
    since, until = (bed.end - days * DAY for days in MISSING)
    whole_since = bed.end - LONG * DAY

    def whole(server: PrometheusServer) -> None:
        server.load_openmetrics(render(past, Grid(whole_since, bed.end)))

    def holed(server: PrometheusServer) -> None:
        server.load_openmetrics(render(older, Grid(whole_since, since)))
        server.load_openmetrics(render(newer, Grid(until, bed.end)))

    with _other(whole) as sources, operator(bed, sources, name="weeks", days=LONG) as op:
        lasting = time.monotonic() + 420
        while min(observed(bed).values()) < LONG - 1 and time.monotonic() < lasting:
            op.wait_cycles(1, 120)
        before = observed(bed)
    print(f"  three weeks: {sum(before.values())} runs", flush=True)
    with _other(holed) as sources:
        with operator(bed, sources, name="weeks", days=LONG) as op:
            kept = _judged(bed, op, before, recovers=True)
        seen = {name: count - LOST for name, count in before.items()}
        with operator(bed, sources, name="two-weeks", days=LONG) as op:
            new = _judged(bed, op, seen, recovers=True)
    return {"two weeks are missing, which our history has": kept, "two weeks are missing, and our history is gone": new}


def _judged(
    bed: Bed, op: Operator, before: Mapping[str, int], store: Proxy | None = None, *, recovers: bool = False
) -> dict[str, Any]:  # fmt: skip
    """What became of the runs ``before``; with ``store`` the fault ends then, with ``recovers`` it does not and all is to
    become well nevertheless."""
    ended = len(op.wait_cycles(CYCLES, 120))
    row = {"cycles": ended, "said": stale(bed), "dated": dated(bed), "lost_runs": _lost(before, observed(bed))}
    if store is not None:
        store.fault = lambda _: None
    if store is not None or recovers:
        row |= _recovery(bed, op, before)
    print(f"  {row}", flush=True)
    return row


def _lost(before: Mapping[str, int], now: Mapping[str, int]) -> int:
    return sum(max(0, n - now.get(key, 0)) for key, n in before.items())


def _recovery(bed: Bed, op: Operator, before: Mapping[str, int]) -> dict[str, Any]:
    """Cycles until every workflow has metrics, recommendations, and its runs."""

    def well() -> bool:
        return not stale(bed) and bed.with_recommendations() == HEALTHY and not _lost(before, observed(bed))

    cycles = 0
    while not well() and cycles < MOST_CYCLES and op.process.running:
        cycles += len(op.wait_cycles(1, 120))
    return {
        "cycles_until_well": cycles,
        "lost_runs": _lost(before, observed(bed)),
        "still_stale": stale(bed),
        "advised": bed.with_recommendations(),
        "alive": op.alive(),
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    yield f"### Metrics sources that fail: {found['healthy']} workflows"
    yield ""
    yield "| the source ... | cycles meanwhile | runs lost | say so, of these dated | cycles until all is well | alive |"
    yield "|---|---|---|---|---|---|"
    for name, row in found["stores"].items():
        well = (
            "not"
            if row["still_stale"] or row.get("advised", found["healthy"]) < found["healthy"]
            else row["cycles_until_well"]
        )
        statuses = f"{row['said']}, {row['dated']}"
        yield f"| {name} | {row['cycles']} | {row['lost_runs']} | {statuses} | {well} | {_yes(row['alive'])} |"
    if "peak_rss_mib" in found:
        yield ""
        yield f"Restarts: {found['restarts']}; peak memory {found['peak_rss_mib']} MiB."


def _yes(value: bool) -> str:
    return "yes" if value else "no"

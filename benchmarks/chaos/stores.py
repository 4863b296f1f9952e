"""Failing metrics sources: are data lost, does the status report it, and does the operator recover by itself?"""

from __future__ import annotations

import json
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.chaos.bed import HEALTHY, Bed, Operator, operator, started
from benchmarks.chaos.corpus import ARGO
from benchmarks.chaos.proxy import Answer, Fault, Proxy, error, proxy
from benchmarks.chaos.statuses import dated, observed, stale, until_recommended

CYCLES = 2  # cycles with a fault; at most twice as many for recovery


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


def _resets(body: bytes) -> bytes:
    """Reset the counter at every third number."""
    count = iter(range(10**9))
    return _VALUE.sub(lambda m: m[0] if next(count) % 3 else m[1] + b"%g" % (_number(m[0]) / 10) + b'"', body)


def _number(text: bytes) -> float:
    try:
        return float(text.rpartition(b':["')[2].rpartition(b',"')[2].strip(b'"'))
    except ValueError:
        return 0.0


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
    "counters begun anew": _resets,
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
        found["stores"]["its past and our history are gone"] = _past_gone(bed, store, sources)
        found["stores"]["its clock is 10 minutes behind ours"] = _clock(bed, sources)
    return found


def _fault(bed: Bed, op: Operator, store: Proxy, name: str, faults: Mapping[str, Fault]) -> dict[str, Any]:
    before = observed(bed)
    store.fault, store.change = faults.get(name, lambda _: None), CHANGES.get(name, lambda body: body)
    ended = len(op.wait_cycles(CYCLES, 120))
    during, reported, flagged = observed(bed), dated(bed), stale(bed)
    store.fault, store.change = (lambda _: None), (lambda body: body)
    cycles = 0
    while stale(bed) and cycles < 3 * CYCLES:
        cycles += len(op.wait_cycles(1, 120))
    row = {
        "cycles": ended,
        "lost_runs": sum(max(0, n - during.get(key, 0)) for key, n in before.items()),
        "said": flagged,
        "dated": reported,
        "cycles_until_well": cycles,
        "still_stale": stale(bed),
        "alive": op.alive(),
    }
    print(f"  {name}: {row}", flush=True)
    return row


def _past_gone(bed: Bed, store: Proxy, sources: Any) -> dict[str, Any]:
    """A new history with a metrics source without past data until the fault ends."""
    store.fault = FAULTS["answers nothing at all"]
    before = observed(bed)
    with operator(bed, sources, name="past-gone") as op:
        return _judged(bed, op, before, store)


def _clock(bed: Bed, sources: Any) -> dict[str, Any]:
    """The operator's clock is ahead during one start, and correct at the next."""
    shutil.copy(bed.directory / "stores.db", bed.directory / "clock.db")
    before = observed(bed)
    with operator(bed, sources, name="clock", environment={"CHAOS_CLOCK": "600"}) as op:
        row = _judged(bed, op, before, None)
    with operator(bed, sources, name="clock") as op:
        cycles = 0
        while (stale(bed) or bed.with_recommendations() < HEALTHY) and cycles < 3 * CYCLES:
            cycles += len(op.wait_cycles(1, 120))
        return row | {"cycles_until_well": cycles, "still_stale": stale(bed), "alive": op.alive()}


def _judged(bed: Bed, op: Operator, before: Mapping[str, int], store: Proxy | None) -> dict[str, Any]:
    ended = len(op.wait_cycles(CYCLES, 120))
    flagged, reported, during = stale(bed), dated(bed), observed(bed)
    if store is not None:
        store.fault = lambda _: None
    cycles = 0
    while store is not None and (stale(bed) or bed.with_recommendations() < HEALTHY) and cycles < 6 * CYCLES:
        cycles += len(op.wait_cycles(1, 120))
    after = observed(bed) if store is not None else during
    row = {
        "cycles": ended,
        "lost_runs": sum(max(0, n - max(during.get(key, 0), after.get(key, 0))) for key, n in before.items()),
        "said": flagged,
        "dated": reported,
        "cycles_until_well": cycles,
        "still_stale": stale(bed),
        "alive": op.alive(),
    }
    print(f"  {row}", flush=True)
    return row


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    yield f"### Metrics sources that fail: {found['healthy']} workflows"
    yield ""
    yield "| the source ... | cycles meanwhile | runs lost | say so, of these dated | cycles until all is well | alive |"
    yield "|---|---|---|---|---|---|"
    for name, row in found["stores"].items():
        well = row["cycles_until_well"] if not row["still_stale"] else "not"
        statuses = f"{row['said']}, {row['dated']}"
        yield f"| {name} | {row['cycles']} | {row['lost_runs']} | {statuses} | {well} | {_yes(row['alive'])} |"
    if "peak_rss_mib" in found:
        yield ""
        yield f"Restarts: {found['restarts']}; peak memory {found['peak_rss_mib']} MiB."


def _yes(value: bool) -> str:
    return "yes" if value else "no"

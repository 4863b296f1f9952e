"""Metrics stores and histories that fail: is anything lost, does the status say so, and does it come back by itself?"""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.chaos.bed import HEALTHY, Operator, World, operator, world
from benchmarks.chaos.corpus import ARGO
from benchmarks.chaos.proxy import Answer, Fault, Proxy, error, proxy

CYCLES = 2  # with a fault, and at most twice as many until all is well again


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
    """Every third number replaced."""

    def change(body: bytes) -> bytes:
        count = iter(range(10**9))
        return _VALUE.sub(lambda m: m[0] if (n := next(count)) % 3 else m[1] + texts[n // 3 % len(texts)] + b'"', body)

    return change


def _twice(body: bytes) -> bytes:
    """Every series comes twice."""
    document = json.loads(body)
    data = document.get("data")
    if isinstance(data, dict) and data.get("resultType") == "vector":
        data["result"] = [row for row in data["result"] for _ in range(2)]
    return json.dumps(document).encode()


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "NaN and Inf among its numbers": _values(b"NaN", b"+Inf", b"-Inf"),
    "numbers beyond sense": _values(b"-1", b"1e308", b"0"),
    "every series twice": _twice,
    "partial answers": lambda body: body.replace(
        b'"status":"success"', b'"status":"success","warnings":["partial"]', 1
    ),
}


def measure(seed: int = 1) -> dict[str, Any]:
    """The campaign; ``seed`` decides when the store that fails now and then does so."""
    faults = {**FAULTS, "fails half of the time": _now_and_then(random.Random(seed))}
    found: dict[str, Any] = {"healthy": HEALTHY, "stores": {}, "histories": {}}
    with world(discover=[{"apiVersion": ARGO, "kind": "WorkflowTemplate"}]) as bed, proxy(bed.prometheus.url) as store:
        sources = [{"name": "default", "url": store.url, "delaySeconds": 5}]
        with operator(bed, sources, name="stores") as op:
            _until_advised(bed, op)
            op.wait_cycles(2, 120)
            for name in [*faults, *CHANGES]:
                found["stores"][name] = _fault(bed, op, store, name, faults)
            found |= {"restarts": 0 if op.process.running else 1, **op.memory()}
        for name, damage in HISTORIES.items():
            found["histories"][name] = _history(bed, store, sources, name, damage)
    return found


def _until_advised(bed: World, op: Operator, seconds: float = 420.0) -> bool:
    until = time.monotonic() + seconds
    while bed.advised() < HEALTHY and time.monotonic() < until and op.process.running:
        time.sleep(1)
    return bed.advised() == HEALTHY


def _fault(bed: World, op: Operator, store: Proxy, name: str, faults: Mapping[str, Fault]) -> dict[str, Any]:
    before = _runs(bed)
    store.fault, store.change = faults.get(name, lambda _: None), CHANGES.get(name, lambda body: body)
    ended = len(op.wait_cycles(CYCLES, 120))
    during, dated, stale = _runs(bed), _dated(bed), _stale(bed)
    store.fault, store.change = (lambda _: None), (lambda body: body)
    cycles = 0
    while _stale(bed) and cycles < 3 * CYCLES:
        cycles += len(op.wait_cycles(1, 120))
    row = {
        "cycles": ended,
        "lost_runs": sum(max(0, n - during.get(key, 0)) for key, n in before.items()),
        "said": stale,
        "dated": dated,
        "cycles_until_well": cycles,
        "still_stale": _stale(bed),
        "alive": op.alive(),
    }
    print(f"  {name}: {row}", flush=True)
    return row


def _runs(bed: World) -> dict[str, int]:
    return {
        item["metadata"]["name"]: int(((item.get("status") or {}).get("runs") or {}).get("observed") or 0)
        for item in bed.profiles()
    }


def _dated(bed: World) -> int:
    """How many of them say up to when their recommendations are."""
    return sum(bool((item.get("status") or {}).get("dataUntil")) for item in bed.profiles())


def _stale(bed: World) -> int:
    """How many say that metrics are missing or late."""
    found = 0
    for item in bed.profiles():
        conditions = (item.get("status") or {}).get("conditions") or ()
        found += any(c["type"] == "MetricsAvailable" and c["status"] != "True" for c in conditions)
    return found


# --- histories --------------------------------------------------------------------------------------------------------


@contextmanager
def _garbage(file: Path) -> Iterator[None]:
    with file.open("r+b") as out:
        out.seek(4096)
        out.write(random.Random(1).randbytes(200_000))
    yield


@contextmanager
def _cut(file: Path) -> Iterator[None]:
    with file.open("r+b") as out:
        out.truncate(file.stat().st_size // 2)
    yield


@contextmanager
def _newer(file: Path) -> Iterator[None]:
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 9999")
    db.close()
    yield


@contextmanager
def _older(file: Path) -> Iterator[None]:
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 1")
    db.close()
    yield


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        db.rollback()
        db.close()


@contextmanager
def _a_directory(file: Path) -> Iterator[None]:
    file.unlink()
    file.mkdir()
    yield


HISTORIES = {
    "garbage in it": _garbage,
    "cut in half": _cut,
    "of a newer version": _newer,
    "of an older version": _older,
    "locked by another process": _locked,
    "a directory in its place": _a_directory,
}


def _history(bed: World, store: Proxy, sources: Any, name: str, damage: Any) -> dict[str, Any]:
    """A start with a copy of the history of before that something is wrong with."""
    slug = re.sub(r"\W+", "-", name)
    file = bed.directory / f"{slug}.db"
    shutil.copy(bed.directory / "stores.db", file)
    before = _runs(bed)
    with damage(file):
        try:
            with operator(bed, sources, name=slug) as op:
                op.wait_cycles(3, 240)
                after = _runs(bed)
                row: dict[str, Any] = {
                    "starts": True,
                    "alive": op.alive(),
                    "advised": bed.advised(),
                    "lost_runs": sum(max(0, n - after.get(key, 0)) for key, n in before.items()),
                    "stale": _stale(bed),
                }
        except Exception as error:  # noqa: BLE001 - what is measured is whether it starts
            row = {"starts": False, "why": str(error)[-300:]}
    print(f"  history {name}: {row}", flush=True)
    return row


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    yield f"### Stores and histories that fail: {found['healthy']} workflows"
    yield ""
    yield "| the store ... | cycles meanwhile | runs lost | say so, of these dated | cycles until all is well | alive |"
    yield "|---|---|---|---|---|---|"
    for name, row in found["stores"].items():
        well = row["cycles_until_well"] if not row["still_stale"] else "not"
        said = f"{row['said']}, {row['dated']}"
        yield f"| {name} | {row['cycles']} | {row['lost_runs']} | {said} | {well} | {_yes(row['alive'])} |"
    yield ""
    yield "| the history is ... at the start | starts | alive | advised | runs lost |"
    yield "|---|---|---|---|---|"
    for name, row in found["histories"].items():
        if row["starts"]:
            yield f"| {name} | yes | {_yes(row['alive'])} | {row['advised']} | {row['lost_runs']} |"
        else:
            yield f"| {name} | no | - | - | - |"
    if "peak_rss_mib" in found:
        yield ""
        yield f"Restarts: {found['restarts']}; peak memory {found['peak_rss_mib']} MiB."


def _yes(value: bool) -> str:
    return "yes" if value else "no"

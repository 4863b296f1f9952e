"""``make bench-shards``: four shards, many workflows. Time to recommendations, what each shard has and takes, and what
happens when one is killed.

The fleet is that of ``make bench-fleet``. The shards are separate processes in the environment that the chart's
StatefulSet gives them, with the settings of the chart except for the interval; they share a real PostgreSQL with its own
defaults. After some steady cycles the shard that also writes the status of the cluster policy is killed, with everything
it has started: the hardest to lose. Who writes where is read from the API server's audit log, what was analysed anew from
the history.

The result is ``results/shards.json``; benchmarks/RESULTS.md has it as a section.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from benchmarks.scale.figures import Memory, cycles, rss, unix, wait_for_pause
from benchmarks.scale.fleet_workflows import Load, create, namespace_of
from benchmarks.scale.shards.bed import DATABASE, SHARDS, SPACE, Bed, Shard
from benchmarks.scale.shards.table import RESULT, STEADY
from benchmarks.scale.shards.takeover import anew, taken, two_writers
from concertmaster.controller.shards.assignment import CLUSTER, owner
from testbed.process import TemporaryDirectory
from testbed.services.audit import audited, writes
from testbed.services.controlplane import ControlPlane
from testbed.services.postgres import PostgresServer
from testbed.services.prometheus import PrometheusServer

_LOOK = 30.0  # seconds between two lists of all profiles
_FURTHER = 1  # cycles of each shard that is left after that of the takeover, in which anything done twice would show


def first(bed: Bed, size: int) -> dict[str, int]:
    """Seconds until every profile has a score, and until the totals count all ``size`` workflows. All profiles are listed
    once the shards have logged as many analyses, and seldom afterwards: it costs the API server as much as writing some
    hundred."""
    found, looked = dict[str, int](), -_LOOK

    def both() -> bool:
        nonlocal looked
        passed = time.monotonic() - bed.begin
        if "totals_s" not in found and bed.counted() == (size, size):
            found["totals_s"] = round(passed)
        analyzed = sum(c["analyzed"] for s in bed.shards for c in cycles(s.log))
        if "scores_s" not in found and analyzed >= size and passed - looked > _LOOK:
            looked = passed
            done = sum(bool(status.get("score")) for status in bed.statuses())
            print(f"  {passed:.0f} s: {done} of {size} profiles have a score", flush=True)
            if done >= size:
                found["scores_s"] = round(passed)
        return len(found) == 2

    bed.wait(both, 2.0)
    return found


def steady(bed: Bed) -> dict[str, Any]:
    """Figures of some cycles of each shard; CPU is that of a minute."""
    had, before, begun = [len(cycles(s.log)) for s in bed.shards], bed.used(), time.monotonic()
    pairs = list(zip(bed.shards, had, strict=True))
    bed.wait(lambda: all(len(cycles(s.log)) >= n + STEADY for s, n in pairs), 1.0)
    minutes, after = (time.monotonic() - begun) / 60, bed.used()
    found = [c for s, n in pairs for c in cycles(s.log)[n : n + STEADY]]
    return {
        "seconds": round(sum(c["seconds"] for c in found) / len(found), 2),
        "longest_s": round(max(c["seconds"] for c in found), 2),
        "analyzed": round(sum(c["analyzed"] for c in found) / STEADY, 1),
        "problems": sorted({p for c in found for p in c.get("problems", ())}),
        **spent(before, after, minutes),
    }


def spent(before: dict[str, Any], after: dict[str, Any], minutes: float = 1.0) -> dict[str, Any]:
    """CPU seconds a minute between two moments."""
    by_shard = zip(before["cpu_s"], after["cpu_s"], strict=True)
    servers = {name: round((after[name] - before[name]) / minutes, 1) for name in before if name != "cpu_s"}
    return {"cpu_s": [round((late - early) / minutes, 1) for early, late in by_shard], **servers}


def lose(bed: Bed, lost: Shard, spaces: set[str]) -> dict[str, Any]:
    """Kill a shard; what came of it. ``spaces``: the namespaces of all workflows."""
    moved, profiles = {p for p in spaces if owner(p, SHARDS) == lost.name}, lost.profiles
    size = sum(s.profiles for s in bed.shards)
    print(f"  {lost.name} is killed: {profiles} workflows in {len(moved)} namespaces", flush=True)
    killed, begun = time.time(), time.monotonic()
    lost.process.kill()
    bed.shards.remove(lost)
    renewed = bed.renewed(lost.name)
    before, least = bed.analyses(moved), size

    def whole() -> bool:
        nonlocal least
        shown, added = bed.counted()
        least = min(least, shown)
        return shown == added == size

    def over(shard: Shard, further: int) -> bool:
        """Whether it has taken over, and ``further`` cycles have ended since."""
        one = taken(shard.log, lost.name, killed)
        return one is not None and sum(unix(c["ts"]) > one.ended for c in cycles(shard.log)) >= further

    counted = bed.wait(whole, 1.0) + bed.begin - begun
    bed.wait(lambda: all(over(s, 0) for s in bed.shards), 0.2)
    between = bed.analyses(moved)  # a run that ends later must not hide that an analysis was repeated
    bed.wait(lambda: all(over(s, _FURTHER) for s in bed.shards), 1.0)
    seconds = time.time() - killed
    found = [one for s in bed.shards if (one := taken(s.log, lost.name, killed)) is not None]
    (first_anew, first_same), (later_anew, later_same) = anew(before, between), anew(between, bed.analyses(moved))
    called = writes(bed.audit)
    heirs = [c.at for place in moved for c in called.get(place, ()) if c.at > killed and c.user != lost.name]
    return {
        "profiles": profiles,
        "namespaces": len(moved),
        "noticed_s": round(max(one.noticed for one in found) - killed, 1),
        "since_renewal_s": round(max(one.noticed for one in found) - renewed, 1),
        "taken_s": round(max(one.begun for one in found) - killed, 1),
        "read_s": round(max(one.ended for one in found) - killed, 1),
        "first_write_s": round(min(heirs) - killed, 1) if heirs else None,
        "counted_s": round(counted, 1),
        "least_counted": least,
        "profiles_after": [one.profiles for one in found],
        "anew": first_anew + later_anew,
        "repeated": first_same + later_same,
        "two_writers": len(two_writers(called, SHARDS, lost.name, killed)),
        "writes": sum(map(len, called.values())),
        "seconds": round(seconds),
    }


def measure(played: Load) -> dict[str, Any]:
    """Run the benchmark; returns the result."""
    spaces = set(map(namespace_of, range(played.workflows)))
    with ExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory("concertmaster-bench-"))
        options, audit = audited(SHARDS, directory)
        cluster = stack.enter_context(ControlPlane(options, progress=print)).cluster
        create(cluster, played.workflows, played.steps)
        cluster.kubectl("create", "namespace", SPACE)
        prometheus = PrometheusServer(progress=print, arguments=["--storage.tsdb.max-block-duration=2h"])
        count, end = played.play(prometheus)
        stack.enter_context(prometheus)
        database = PostgresServer(**DATABASE)
        stack.callback(database.close)
        bed = Bed(cluster, prometheus.url, database.start(), audit, end)
        for name in SHARDS:
            stack.callback(bed.add(name, directory / name).process.stop)
        time.sleep(max(0.0, end - played.ahead - time.time()))
        before = bed.used()
        bed.start()
        watched = [Memory(s.process.pid) for s in bed.shards]
        for one in watched:
            stack.callback(one.close)
        reached = first(bed, played.workflows)
        whole = max(wait_for_pause(s.log, bed.begin, bed.limit, s.process) for s in bed.shards)
        cold = spent(before, bed.used())
        print(f"  {json.dumps(reached)}, the past read after {whole:.0f} s; {json.dumps(cold)}", flush=True)
        usual, profiles = steady(bed), [s.profiles for s in bed.shards]
        memory = [rss(s.process.pid)["VmRSS"] for s in bed.shards]
        peaks = [max(one.peak, now) for one, now in zip(watched, memory, strict=True)]
        print(f"  {profiles} workflows; steady: {json.dumps(usual)}", flush=True)
        loss = lose(bed, next(s for s in bed.shards if s.name == owner(CLUSTER, SHARDS)), spaces)
        print(f"  {json.dumps(loss)}", flush=True)
        if time.time() > end:
            raise SystemExit("the history ended before the benchmark did: enlarge --ahead")
        if not sum(profiles) == sum(loss["profiles_after"]) == played.workflows:
            raise SystemExit(f"the shards do not have {played.workflows} workflows between them: {profiles}")
        return {
            "workflows": played.workflows,
            "steps": played.steps,
            "runs": played.runs,
            "every_s": round(played.every),
            "namespaces": len(spaces),
            "pods": count,
            **reached,
            "whole_s": round(whole),
            "profiles": profiles,
            "cold": cold,
            "rss_mib": [round(value) for value in memory],
            "peak_rss_mib": [round(value) for value in peaks],
            "postgres_mib": bed.database_size(),
            "steady": usual,
            "loss": loss,
            "recommendations": bed.recommendations(),
            "load": round(os.getloadavg()[2], 1),
            "date": datetime.now(UTC).date().isoformat(),
        }


def main() -> int:
    """Measure and write the result."""
    result = measure(Load.asked(__doc__))
    print(json.dumps(result, indent=1))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

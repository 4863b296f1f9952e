"""``python -m benchmarks.queues``: run the set, compare, print a table. Nothing is written.

A pod that an eviction deleted is known until the last scrape that saw it: on a busy machine, which misses scrapes, the run
of such a Job is shorter by as much.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from benchmarks.queues.compare import SCRAPE_SECONDS, Facts, said, truth
from benchmarks.queues.objects import cronjobs
from benchmarks.queues.play import Play, play
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.prometheus import PrometheusServer, scrapes_of
from testbed.services.queues import kueue


def main() -> int:
    """Run the benchmark; exit status 1 if a run is said to be other than its Workload says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="preemptions (3)")
    rounds = parser.parse_args().rounds
    with (
        ControlPlane(replace(Options.everything(), nodes=4)) as control_plane,
        PrometheusServer(scrapes_of(control_plane.cluster, f"{SCRAPE_SECONDS}s")) as prometheus,
        kueue(control_plane.cluster, progress=_say),
    ):
        found = play(control_plane.cluster, rounds, _say)
        prometheus.wait_for_scrapes()
        return sum(_compared(found, prometheus, workloads) for workloads in (True, False)) and 1


def _compared(found: Play, prometheus: PrometheusServer, workloads: bool) -> int:
    """The number of runs that are not as their Workload says. Without the right to read Workloads, nothing but times and
    pods can be known."""
    defined = {row["metadata"]["name"]: row for row in cronjobs()}
    runs = said(found, prometheus, defined, workloads=workloads)
    _say(f"\n{'with' if workloads else 'without'} the right to read Workloads; said (by the Workload)")
    wrong = 0
    for name, job in sorted(found.jobs.items()):
        true = truth(found, job)
        if not workloads:
            true = replace(true, queue=None, evictions=0)
        expected = [true] if true.seconds is not None else []
        own = runs[name]
        exact = len(own) == len(expected) and all(a.like(b) for a, b in zip(own, expected, strict=True))
        wrong += not exact
        for facts in own or [Facts(None, None, None, 0, 0)]:
            _say(
                f"{name:10} suspended {_number(facts.suspended)} ({_number(true.suspended)}), runs {_number(facts.seconds)}"
                f" ({_number(true.seconds)}), pods {facts.pods} ({true.pods}), evictions {facts.evictions}"
                f" ({true.evictions}) {facts.queue or ''}{'' if exact else '  WRONG'}"
            )
    _say(f"{len(found.jobs) - wrong} of {len(found.jobs)} as the Workloads say")
    return wrong


def _number(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f} s"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())

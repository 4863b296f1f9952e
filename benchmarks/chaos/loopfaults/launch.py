"""``python -m benchmarks.chaos.loopfaults.launch CONFIG``: an operator with a shorter lease, another clock, or a faulty
disk.

Environment variables (``CHAOS_LEASE``, ``CHAOS_CLOCK``, ``CHAOS_DISK``, ``CHAOS_INTERVAL``) select the faults, which
are installed before the operator starts.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from functools import partial
from typing import Any

from concertmaster.controller import main as controller
from concertmaster.controller.main import run
from concertmaster.controller.shards.leader_election import LeaderElection
from concertmaster.core.model.scalars import Duration
from concertmaster.kube.client import ClientLimits
from concertmaster.settings import load


def _lease(seconds: float) -> None:
    """Set a lease duration of ``seconds`` with all other times in proportion to the defaults (30 s)."""
    scale = seconds / 30.0
    shorter = partial(LeaderElection, every=10.0 * scale, lasts=round(seconds))
    vars(controller)["LeaderElection"] = shorter
    limits = ClientLimits(connect=2.0 * scale, read=3.0 * scale, deadline=5.0 * scale, attempts=2)
    vars(controller)["ELECTION_LIMITS"] = limits


def _clock(ahead: float) -> None:
    real = time.time
    time.time = lambda: real() + ahead


def break_disk(fault: str) -> None:
    """``full``: databases cannot grow. ``read-only``: databases cannot be written."""
    connect = sqlite3.connect

    def broken(*arguments: Any, **more: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*arguments, **more)
        if fault == "full":
            pages = made.execute("PRAGMA page_count").fetchone()[0]
            made.execute(f"PRAGMA max_page_count={max(1, pages)}")
        else:
            made.execute("PRAGMA query_only=1")
        return made

    vars(sqlite3)["connect"] = broken
    if fault == "full":
        vars(os)["statvfs"] = lambda _: os.statvfs_result((4096, 4096, 2**30, 0, 0, 0, 0, 0, 0, 255))


def main() -> int:
    """Run the operator."""
    if seconds := os.environ.get("CHAOS_LEASE"):
        _lease(float(seconds))
    if ahead := os.environ.get("CHAOS_CLOCK"):
        _clock(float(ahead))
    if fault := os.environ.get("CHAOS_DISK"):
        break_disk(fault)
    settings = load(sys.argv[1])
    if interval := os.environ.get("CHAOS_INTERVAL"):  # shorter than the configuration allows
        settings = settings.model_copy(update={"interval": Duration(f"{float(interval):.0f}s")})
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())

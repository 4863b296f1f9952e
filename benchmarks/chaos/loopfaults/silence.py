"""No run arrives after a change: how soon is it rolled back?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.chaos.loopfaults.bed import Place, instance, place
from benchmarks.chaos.loopfaults.gate import gate

SCHEDULES = {"*/2 * * * *": 120.0, "*/3 * * * *": 180.0, "*/4 * * * *": 240.0}  # of CronJobs whose runs stop
LONGEST = 25 * 60.0  # seconds
AHEAD = 2 * LONGEST  # a server pod goes on: a metrics source that sees no pods at all does not tell that none came


def measure(seed: int = 1) -> dict[str, Any]:
    """Run the campaign, in which nothing is left to chance."""
    pace = dict(enumerate(SCHEDULES.values()))
    with place(len(SCHEDULES), 1, pace=pace, ahead=AHEAD) as where, gate(where.cluster) as door:
        op = instance(where, door, "operator-a")
        for name, schedule in zip(where.wanted, SCHEDULES, strict=True):
            where.make(name, schedule)
        where.govern(where.wanted[0][0])
        op.start()
        found = _watched(where, [name for _, name in where.wanted])
        op.process.stop()
    return {"silence": [{"schedule": s, "seconds": seconds} for s, seconds in zip(SCHEDULES, found, strict=True)]}


def _watched(where: Place, names: Sequence[str]) -> list[int | None]:
    """Seconds from the change of each CronJob to its rollback, None without a rollback."""
    found: dict[str, int] = {}
    end = time.monotonic() + LONGEST
    while len(found) < len(names) and time.monotonic() < end:
        for change in where.changes():
            if change.target is not None and change.applied is not None and change.restored is not None:
                found.setdefault(change.target.name, round(change.restored - change.applied))
        time.sleep(1.0)
    return [found.get(name) for name in names]


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    yield "### Silence after a change"
    yield ""
    silences = "; ".join(
        f"`{row['schedule']}`: {row['seconds']} s" if row["seconds"] is not None else f"`{row['schedule']}`: not"
        for row in found["silence"]
    )
    yield f"No run came after a change; rolled back after: {silences}."

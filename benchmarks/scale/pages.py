"""Latency of the web pages with many workflows: ``python -m benchmarks.scale.pages [WORKFLOWS]`` (default 10,000).

A fake API server on the loopback interface lists profiles in namespaces of ten, and reviews tokens and permissions; the
pages run as in the cluster. Measured are the first list, then pages for users who may read everything, a hundred
namespaces or one, and the memory of the process, which includes the fake server's objects. Times are for one core,
including HTTP and both servers.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from concertmaster.kube.client import ClientLimits
from tests.support.web.objects import change, profile, recommendation, result
from tests.support.web.tenants import Bed, TwoTenants, in_cluster

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "pages.json"
IN_ONE = 10  # workflows per namespace
REPEATS = 5
READERS: dict[str, str | int] = {"everybody's": "*", "a hundred namespaces": 100, "one namespace": 1}


def two_tenants(workflows: int) -> TwoTenants:
    """Profiles of about 3 KiB, a change for every hundredth, and three readers."""
    profiles = []
    for n in range(workflows):
        place, name = f"team-{n // IN_ONE}", f"nightly-{n}"
        items = [recommendation(i) for i in range(3)]
        profiles.append(profile(n, namespace=place, name=name, recommendations=items, results=[result()]))
    changes = [change(n, namespace=f"team-{n // IN_ONE}", profile=f"nightly-{n}") for n in range(0, workflows, 100)]
    made = TwoTenants(profiles, changes)
    for who, places in READERS.items():
        names = [places] if isinstance(places, str) else [f"team-{n}" for n in range(places)]
        made.person(who.replace(" ", "-").replace("'", ""), *names)
    return made


def lines(result: dict[str, Any]) -> list[str]:
    """The section of RESULTS.md."""
    titles = list(next(iter(result["readers"].values()))["pages"])
    rows = []
    for who, r in result["readers"].items():
        cells = [f"{r['first']:.2f} s", *(f"{r['pages'][title]:.3f} s" for title in titles)]
        rows.append(f"| {who} | {' | '.join(cells)} |")
    return [
        "",
        "## Pages of the dashboard (`make bench-pages`)",
        "",
        f"{result['workflows']:,} workflows in {result['namespaces']:,} namespaces, by what the reader may see; CPU seconds"
        f" of one core with the bench's API server, median of {REPEATS}; the first page comes with the list, later readers'"
        f" with their reviews. At most {result['mostMemoryMiB']} MiB. Measured {result['date']}.",
        "",
        f"| reader | first page | {' | '.join(titles)} |",
        "|---|---|" + "---|" * len(titles),
        *rows,
    ]


def main() -> None:
    """Measure, print, and write the result file."""
    workflows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    pages = {
        "fleet": "/",
        "sorted by p95": "/?sort=p95",
        "one namespace": "/?namespace=team-1",
        "text in the name": "/?q=nightly-77",
        "last page": f"/?offset={workflows - 50}",
        "JSON summary": "/api/v1/summary",
        "JSON, 500 workflows": "/api/v1/workflows?limit=500",
    }
    readers: dict[str, Any] = {}
    with in_cluster(two_tenants(workflows), ClientLimits()) as bed:
        for who in READERS:
            token = who.replace(" ", "-").replace("'", "")
            first = timed(bed, "/", token)
            found = {title: median(timed(bed, path, token) for _ in range(REPEATS)) for title, path in pages.items()}
            readers[who] = {"first": first, "pages": found}
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "workflows": workflows,
        "namespaces": -(-workflows // IN_ONE),
        "mostMemoryMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "readers": readers,
    }
    print("\n".join(lines(result)))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


def timed(bed: Bed, path: str, token: str) -> float:
    """CPU seconds of one page: wall time is meaningless on a busy machine."""
    begun = time.process_time()
    answer = bed.get(path, token)
    assert answer.status == 200, answer.text
    return round(time.process_time() - begun, 3)


if __name__ == "__main__":
    main()

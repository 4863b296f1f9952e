"""How often containers are sampled, from what a metrics source says of its scrape targets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from concertmaster.core.times import parse_duration

_CADVISOR = "/cadvisor"


def scrape_interval(targets: Iterable[Mapping[str, Any]], delivered: Iterable[tuple[str, str]]) -> float | None:
    """Seconds between two scrapes of the targets that deliver container series; None where they differ or none is known.

    ``targets`` are the active ones as the API lists them; ``delivered`` the labels ``job`` and ``metrics_path`` of series of
    containers that run now ("" for what a series lacks). While none runs, targets with cAdvisor's path are meant.
    """
    jobs = {(job, path) for job, path in delivered if job}
    intervals: set[float] = set()
    for target in targets:
        labels = target.get("labels")
        job = str(labels.get("job", "")) if isinstance(labels, Mapping) else ""
        path = urlsplit(str(target.get("scrapeUrl", ""))).path
        if (job, path) in jobs or (job, "") in jobs or (not jobs and path.endswith(_CADVISOR)):
            intervals.add(parse_duration(str(target.get("scrapeInterval", ""))) or 0.0)
    return intervals.pop() if len(intervals) == 1 and min(intervals) > 0 else None

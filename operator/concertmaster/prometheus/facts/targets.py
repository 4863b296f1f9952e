"""How often containers are sampled, from what a metrics source says of its scrape targets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

_PARTS = re.compile(r"(\d+)(ms|[smhd])")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
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
            intervals.add(seconds(str(target.get("scrapeInterval", ""))))
    return intervals.pop() if len(intervals) == 1 and min(intervals) > 0 else None


def seconds(text: str) -> float:
    """A duration as Prometheus writes it (``1m30s``); 0 for anything else."""
    parts = _PARTS.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        return 0.0
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)

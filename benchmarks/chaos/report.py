"""The section of benchmarks/RESULTS.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.chaos import histories, mistakes, noisy, poison, stores
from benchmarks.chaos.loopfaults import admission, kills, lease, silence, stopping

RESULT = Path(__file__).resolve().parents[1] / "results" / "chaos.json"


def lines(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The latest results of `make chaos`."""
    parts = {
        "poison": poison.lines,
        "noisy": noisy.lines,
        "stores": stores.lines,
        "histories": histories.lines,
        "mistakes": mistakes.lines,
        "admission": admission.lines,
        "lease": lease.lines,
        "kills": kills.lines,
        "stop": stopping.lines,
        "silence": silence.lines,
    }
    out = [
        "",
        "## Chaos (`make chaos`)",
        "",
        "Real API server and Prometheus; two cores shared with other work (load of 15 minutes 5 to 35), so times are upper"
        " bounds.",
    ]
    for name, part in parts.items():
        if name in found:
            out += ["", *part(found[name])]
    return out

"""What the analysis said of runs of every kind before it was made faster, figure by figure."""

from __future__ import annotations

import dataclasses
import json
import math
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.analysis.replay.gain import gain
from concertmaster.core.analysis.workflow import analyze
from tests.support.builders import NOW
from tests.support.core.mixed_runs import MIXES, mixed

FILE = Path(__file__).with_name("recorded.json")
DIGITS = 10  # significant ones: another processor's logarithms may differ in the last


def figures(name: str) -> Any:
    """Everything an analysis of that mix says, and what a few changes would gain."""
    definition, runs = mixed(name)
    found = analyze(definition, runs, now=NOW)
    names = [s.name for s in definition.graph.steps]
    changes = [
        *(WhatIf.scale_step(n, 0.5) for n in names[:5]),
        WhatIf(dropped=((names[0], names[-1]),)),
        WhatIf(parallelism=((None, 3),)),
        WhatIf(start_up=((None, 0.5),)),
    ]
    run = found.executed[-1]
    return plain(
        {
            "makespan": found.makespan,
            "queue": found.queue,
            "trend": found.trend,
            "cost": found.cost,
            "score": found.score.total,
            "steps": [
                {f: getattr(s, f) for f in ("step", "duration", "waiting", "starting", "failures", "path", "trend")}
                for s in found.steps
            ],
            "containers": [
                (
                    c.executions,
                    c.ambiguous,
                    c.unsampled,
                    c.coverage,
                    c.utilization("memory"),
                    c.utilization("cpu"),
                    c.runs[-1][:12],
                )
                for s in found.steps
                for c in s.containers
            ],
            "gains": [gain(found.executed, change) for change in changes],
            "run": run,
            "replayed": [(r.makespan, r.replayed, r.shared_lag, r.tail, len(r.limits)) for r in found.executed],
            "problems": [r.problems for r in found.executed],
        }
    )


def plain(value: Any) -> Any:
    """As JSON has it, numbers to so many digits."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, frozenset | set):
        return sorted(plain(v) for v in value)
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}" if math.isfinite(value) else str(value)
    return value


@pytest.mark.parametrize("name", MIXES)
def test_the_analysis_says_what_it_said(name: str, request: pytest.FixtureRequest) -> None:
    recorded = json.loads(FILE.read_text()) if FILE.is_file() else {}
    found = json.loads(json.dumps(figures(name)))
    if request.config.getoption("--update-golden"):
        FILE.write_text(json.dumps(recorded | {name: found}, separators=(",", ":"), sort_keys=True) + "\n")
        return
    assert found.keys() == recorded[name].keys()
    for part, said in recorded[name].items():
        assert found[part] == said, part

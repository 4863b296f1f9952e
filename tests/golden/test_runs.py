"""What ``runs`` and ``compare`` print of three runs in which much differs. ``--update-golden`` renews the files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.model import Outcome, RunRecord
from concertmaster.core.model.policy import Pricing
from concertmaster.report.runs.comparison import comparison_view
from concertmaster.report.runs.tables import comparison_text, run_text, runs_table
from concertmaster.report.runs.views import RunHistory, run_view, workflow_runs
from tests.support.builders import container, daily, definition, step
from tests.support.golden import check

FLOW = definition(
    step("extract"),
    step("train", ["extract"], 1),
    step("check", ["extract"], 2),
    step("publish", ["train", "check"], 3),
)


def seconds(run: int) -> dict[str, float]:
    return {
        "extract": 60.0,
        "train": 900.0 if run < 2 else 500.0,
        "check": 100.0 if run < 2 else 1300.0,
        "publish": 30.0,
    }


def history() -> RunHistory:
    """An ordinary run; one that failed, without metrics and without the pod of a step; and one in which ``check`` was slow
    and failed once, with another image on another node."""
    ordinary, bare, slow = daily(FLOW.graph, 3, seconds, containers=lambda _: (container(cpu_sampled_seconds=None),))
    bare = replace(
        bare,
        outcome=Outcome.FAILED,
        steps=tuple(replace(e, node=None, containers=()) for e in bare.steps if e.step != "check"),
    )
    return RunHistory.of(FLOW, [ordinary, bare, _retried(slow)], Pricing())


def _retried(run: RunRecord) -> RunRecord:
    steps = []
    for e in run.steps:
        if e.step != "check":
            steps.append(e)
            continue
        assert e.started is not None
        image = (container(image="registry.example/etl:2", cpu_request=2.0),)
        again = e.started + 400.0
        failed = replace(e, outcome=Outcome.FAILED, finished=again, reason="OOMKilled", containers=image)
        second = replace(e, attempt=1, created=again, scheduled=again + 45.0, started=again + 50.0, node="n9")
        steps += [failed, replace(second, containers=image, input_size=3.0 * (1 << 30))]
    return replace(run, steps=tuple(steps))


def test_runs_and_their_comparison(request: pytest.FixtureRequest) -> None:
    known = history()
    texts = [
        runs_table(workflow_runs(known, limit=3)),
        run_text(run_view(known, 1)),
        run_text(run_view(known, 2, most_pods=0)),
        *(comparison_text(comparison_view(known, *pair)) for pair in ((0, 2), (2, 1), (0, 1))),
    ]
    check("report/runs.txt", "\n\n\n".join(texts) + "\n", request.config.getoption("--update-golden"))

"""``report`` as a user meets it: from facts, and from a cluster with the reader's own rights."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from concertmaster.api.views.fleet import PeriodReport
from concertmaster.cli import cli
from concertmaster.cli.commands.explore.report import from_cluster
from tests.support.controller.apiserver import Answer, Request, failure, serving
from tests.support.web.objects import change, profile

FACTS = Path(__file__).resolve().parents[5] / "examples" / "facts" / "demo.jsonl.gz"


def test_from_facts_every_amount_rests_on_the_analysis(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    answer = CliRunner().invoke(
        cli, ["report", "--facts", str(FACTS), "--by", "team", "-o", "json", "-f", str(file)], catch_exceptions=False
    )
    assert answer.exit_code == 0, answer.output
    made = PeriodReport.model_validate_json(file.read_text())
    assert made.summary.workflows == 3
    assert made.days == pytest.approx(14.0)
    assert {g.name for g in made.cost_by_label} == {"genomics", "(no label)"}
    assert [d.recommendation for d in made.degradations] == ["degradation.search"]
    by_workflow = {g.name: g.cost_per_month for g in made.cost_by_workflow}
    steps = [g for g in made.cost_by_step if g.name.startswith("demo/blast-search/")]
    assert sum(g.cost_per_month for g in steps) == pytest.approx(by_workflow["demo/blast-search"], rel=0.01)
    assert any("14.0 of 30 days" in note for note in made.notes)


def test_from_the_cluster_what_may_not_be_read_is_named() -> None:
    def answer(request: Request) -> Answer:
        if "workflowchanges" in request.path:
            return failure(403, "Forbidden", "workflowchanges is forbidden")
        return Answer(body={"items": [profile()], "metadata": {}})

    with serving(answer) as (_, client):
        made = from_cluster(client, ["etl"], None, days=30, label=None, now=1_801_360_000.0)
    assert made.summary.workflows == 1
    assert any(note.startswith("WorkflowChanges are left out") for note in made.notes)


def test_from_the_cluster_changes_belong_to_the_profiles_selected() -> None:
    def answer(request: Request) -> Answer:
        items = [change(), change(1, profile="other")] if "workflowchanges" in request.path else [profile()]
        return Answer(body={"items": items, "metadata": {}})

    with serving(answer) as (server, client):
        made = from_cluster(client, [], "team=data", days=30, label="team", now=1_801_360_000.0)
    assert made.summary.waiting_changes == 1
    assert made.scope == "All namespaces, team=data"
    assert server.requests[0].query["labelSelector"] == "team=data"

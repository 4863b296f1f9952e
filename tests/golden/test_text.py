"""What ``concertmaster analyze`` prints for ten typical workflows, pinned. ``--update-golden`` renews the files."""

from __future__ import annotations

import pytest

from concertmaster.cli.commands.explain import describe
from concertmaster.report import detail, markdown, tables
from concertmaster.report.result import first_status, view
from concertmaster.report.workflows import recommendations
from tests.support import checklist
from tests.support.builders import NOW
from tests.support.core.cases import Case, cases
from tests.support.golden import check

PROFILE = {
    "metadata": {"name": "nightly-etl", "namespace": "demo"},
    "spec": {"workflowRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": "nightly-etl"}},
}


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_every_sentence_passes_the_checklist(case: Case) -> None:
    for item in case.analysed().recommendations:
        checklist.check(item)


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_explain(case: Case, request: pytest.FixtureRequest) -> None:
    """What the plugin prints with the operator's details at hand."""
    result = case.analysed()
    full = detail.document(view(result), case.name)
    items = recommendations.merged({"status": first_status(result)}, full, NOW)
    assert len(items) == len(result.recommendations)
    steps = {s["name"]: s for s in full["steps"]}
    text = "\n".join(describe(item, PROFILE, steps.get(item["step"])) for item in items)
    check(f"explain/{case.name}.txt", text or "\n", request.config.getoption("--update-golden"))


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_terminal(case: Case, request: pytest.FixtureRequest) -> None:
    text = tables.workflow_text(view(case.analysed())) + "\n"
    check(f"analyze/{case.name}.txt", text, request.config.getoption("--update-golden"))


def test_fleet_and_markdown(request: pytest.FixtureRequest) -> None:
    views = [view(case.analysed()) for case in cases()]
    update = request.config.getoption("--update-golden")
    check("analyze/fleet.txt", tables.fleet_table(views) + "\n", update)
    check("analyze/report.md", markdown.render(views[:3]), update)

"""What ``concertmaster analyze`` prints for ten typical workflows, pinned. ``--update-golden`` renews the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from concertmaster.report import markdown, tables
from tests.cases import Case, cases

FILES = Path(__file__).parent / "files"


def check(name: str, text: str, update: bool) -> None:
    """Compare with the golden file, or write it."""
    file = FILES / name
    if update:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"{name} differs; look at the difference, then renew it with --update-golden"


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_terminal(case: Case, request: pytest.FixtureRequest) -> None:
    text = tables.workflow_text(case.advice().view()) + "\n"
    check(f"analyze/{case.name}.txt", text, request.config.getoption("--update-golden"))


def test_fleet_and_markdown(request: pytest.FixtureRequest) -> None:
    views = [case.advice().view() for case in cases()]
    update = request.config.getoption("--update-golden")
    check("analyze/fleet.txt", tables.fleet_table(views) + "\n", update)
    check("analyze/report.md", markdown.render(views[:3]), update)

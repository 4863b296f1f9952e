"""The threat model: every line of defence names the very tests that hold it, and they are there."""

from __future__ import annotations

import re

import pytest

from benchmarks.chaos.__main__ import CAMPAIGNS
from tests.support.named import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text()
DEFENCES = PAGE.partition("## Lines of defence")[2].partition("## What is left")[0]
ROWS = [line for line in DEFENCES.splitlines() if line.startswith("| ") and not line.startswith("| Threat")]
TEST = re.compile(r"`(tests/[^`:]+\.py)(?:::(test_\w+))?`")
CAMPAIGN = re.compile(r"`make chaos CAMPAIGN=(\w+)`")


def problems(row: str) -> list[str]:
    """What is wrong with a row: no test, a test that is not there, a file without one of its tests, an unknown campaign."""
    held_by = row.strip("| ").split(" | ")[-1]
    found = [] if TEST.search(held_by) else ["it names no test"]
    for file, test in TEST.findall(held_by):
        path = ROOT / file
        if not path.is_file():
            found.append(f"there is no {file}")
        elif not test:
            found.append(f"{file} without the name of a test")
        elif not re.search(rf"^(?:async )?def {test}\(", path.read_text(), re.MULTILINE):
            found.append(f"{file} has no {test}")
    return found + [f"there is no campaign {name}" for name in CAMPAIGN.findall(held_by) if name not in CAMPAIGNS]


def test_the_page_has_its_rows_and_every_campaign() -> None:
    assert len(ROWS) >= 35
    assert set(CAMPAIGN.findall(PAGE)) == CAMPAIGNS.keys()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.strip("| ").partition(" | ")[0][:50])
def test_every_line_of_defence_has_its_tests(row: str) -> None:
    assert problems(row) == []


@pytest.mark.parametrize(
    ("held_by", "wrong"),
    [
        ("nothing", "it names no test"),
        ("`tests/unit/test_nothing.py::test_a`", "there is no tests/unit/test_nothing.py"),
        ("`tests/docs/test_threat_model.py`", "tests/docs/test_threat_model.py without the name of a test"),
        ("`tests/docs/test_threat_model.py::test_x`", "tests/docs/test_threat_model.py has no test_x"),
        ("`tests/docs/test_house.py::test_x`", "tests/docs/test_house.py has no test_x"),
    ],
)
def test_a_row_that_lies_is_found(held_by: str, wrong: str) -> None:
    assert problems(f"| a threat | a defence | {held_by} |") == [wrong]

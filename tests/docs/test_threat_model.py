"""The threat model: every line of defence names the very tests that hold it, and they are there. And docs/operations.md
says of every fault that the chaos campaigns play what it looks like and what to do."""

from __future__ import annotations

import re

import pytest

from benchmarks.chaos import histories, noisy, stores
from benchmarks.chaos.__main__ import CAMPAIGNS
from concertmaster.core.model.conditions import ConditionType, Reason
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


TABLE = (ROOT / "docs" / "operations.md").read_text().partition("## When something fails")[2].partition("\n## ")[0]
FAULTS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")] for line in TABLE.splitlines() if line.startswith("| ")
][1:]
UNREADY = "Prometheus away, slow, or answering in part"
ODD = "Series with NaN, infinite, negative"
PLAYED = {
    **dict.fromkeys(stores.FAULTS, UNREADY),
    **dict.fromkeys(("partial answers", "every third series missing"), UNREADY),
    **dict.fromkeys(("NaN and Inf among its numbers", "numbers beyond sense", "every series twice"), ODD),
    **dict.fromkeys(("garbage in it", "cut in half"), "History damaged"),
    "of a newer version": "History written by a newer version",
    **dict.fromkeys(
        ("locked by another process", "on a full disk", "on a read-only disk"), "Disk full or read-only, or"
    ),
    "a directory in its place": "A directory in place of the history",
    **dict.fromkeys(noisy.FAULTS, "A user's query warns, fails"),
    **dict.fromkeys(("takes 29 s", "never answers"), "A user's query takes long"),
    "has pods of too many samples": "A namespace has more series",
    "poison": "An object nested or multiplied beyond reason",
    "silence": "Pods of a changed workflow are refused",
    "stop": "A policy is suspended or tightened while its watch hangs",
    "lease": "The Lease cannot be renewed",
    "kills": "The operator is killed in the middle of a change",
}


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row[0][:50])
def test_every_fault_says_what_is_done_what_it_looks_like_and_what_to_do(row: list[str]) -> None:
    assert [bool(cell) for cell in row] == [True] * 4
    reasons = {reason.value for reason in Reason}
    for condition, words in re.findall(
        r"\b([A-Z]\w+) (?:True|False)(?: with reason ((?:[A-Z]\w+(?: or )?)+))?", row[2]
    ):
        assert condition in {known.value for known in ConditionType}
        assert set(words.split(" or ")) - {""} <= reasons
    assert not row[2].startswith(("Raise ", "raise ", "Look ")), "what it looks like, not what to do"


def test_every_fault_that_a_campaign_plays_has_its_row() -> None:
    played = {
        *stores.FAULTS,
        *stores.CHANGES,
        *histories.HISTORIES,
        *noisy.FAULTS,
        "poison",
        "silence",
        "stop",
        "lease",
        "kills",
    }
    assert played == PLAYED.keys()
    missing = {fault: begin for fault, begin in PLAYED.items() if not any(row[0].startswith(begin) for row in FAULTS)}
    assert missing == {}

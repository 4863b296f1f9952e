"""The feature page: every rule has its place on it, every name in it is the name of something that exists, and every row is
shown by tests on real parts, or says that it is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.support.named import ROOT, RULE_NAMES, exists

SHOWN = "## What shows each row"
PAGE, _, EVIDENCE = (ROOT / "docs" / "features.md").read_text().partition(SHOWN)


def table(page: str) -> list[str]:
    """The rows of all tables of a page."""
    return [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| idea", "|---"))]


ROWS = table(PAGE)
NAME = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)#]+)\)")


def problems(row: str) -> list[str]:
    """What is wrong with a row: an empty cell, no name at all, or names of nothing."""
    idea, _, here = row.strip("| ").partition(" | ")
    names = NAME.findall(here)
    found = [] if idea and here else ["a row has an idea and what is here for it"]
    if not names and "ot yet" not in here:
        found.append("it names nothing that can be looked up")
    found += [f"there is no `{name}`" for name in names if not exists(name)]
    return found + [f"there is no {link}" for link in LINK.findall(here) if not (ROOT / "docs" / link).exists()]


def test_every_rule_is_traced() -> None:
    assert set(NAME.findall(PAGE)) >= RULE_NAMES
    assert f"{len(RULE_NAMES)} rules, each" in PAGE
    assert len(ROWS) >= 45


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.strip("| ").partition(" | ")[0][:50])
def test_every_name_in_a_row_exists(row: str) -> None:
    assert problems(row) == []


@pytest.mark.parametrize(
    ("here", "wrong"),
    [
        ("`memory-reqeust`", "there is no `memory-reqeust`"),
        ("`cache-step` and `status.stepz`", "there is no `status.stepz`"),
        ("`core/plan.py`", "there is no `core/plan.py`"),
        ("`tests/docs/test_features.py::test_nothing`", "there is no `tests/docs/test_features.py::test_nothing`"),
        ("`concertmaster analyse`", "there is no `concertmaster analyse`"),
        ("`concertmaster analyze --trend`", "there is no `concertmaster analyze --trend`"),
        ("`make bench-nothing`", "there is no `make bench-nothing`"),
        ("`kubectl get wfx -A`", "there is no `kubectl get wfx -A`"),
        ("`GET /api/v1/nothing`", "there is no `GET /api/v1/nothing`"),
        ("`concertmaster_nothing`", "there is no `concertmaster_nothing`"),
        ("rules, history and objectives", "it names nothing that can be looked up"),
        ("[rules](rules/nothing.md), `straggler`", "there is no rules/nothing.md"),
    ],
)
def test_a_made_up_name_is_found(here: str, wrong: str) -> None:
    assert problems(f"| an idea | {here} |") == [wrong]


# Tiers in which the parts are real. What a test of another tier shows is shown of a function, not of the product.
REAL = ("cluster", "engines", "loop", "chart", "web")
MEASURED = "cluster/test_rules_measured.py::test_it_fires_with_the_number_the_scenario_was_made_with"
REMARK = re.compile(r"\b(no|open): (\w.*?)(?:,|$)")


def cells(row: str) -> tuple[str, str]:
    """The two cells of a row."""
    left, _, right = row.strip("| ").partition(" | ")
    return left, right


def evidence() -> dict[str, str]:
    """What shows each row, by the row's idea."""
    return dict(cells(row) for row in table(EVIDENCE))


def named_tests(here: str) -> list[str]:
    """The node ids a cell names, below ``tests``."""
    return [re.sub(r"^measured\[", f"{MEASURED}[", name) for name in NAME.findall(here)]


@pytest.fixture(scope="module")
def collected() -> frozenset[str]:
    """Node ids of all tests on real parts, as pytest collects them; a parametrized test also without its parameters."""
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "--co", "-q", "-p", "no:cacheprovider", *(f"tests/{tier}" for tier in REAL)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = {line.removeprefix("tests/") for line in answer.stdout.splitlines() if "::" in line}
    return frozenset(found | {node.partition("[")[0] for node in found})


def unshown(here: str, row: str, collected: frozenset[str]) -> list[str]:
    """What is wrong with the evidence of a row."""
    tests, remarks = named_tests(here), REMARK.findall(here)
    wrong = [f"{test} cannot be collected in a tier on real parts" for test in tests if test not in collected]
    if not tests and not remarks:
        wrong.append("neither a test nor a reason")
    if "ot yet" in row and not remarks:
        wrong.append("the row says 'not yet', its evidence does not say what is open")
    if "open: " in here and "ot yet" not in row:
        wrong.append("the evidence names something open that the row does not mention")
    return wrong


def test_every_row_has_its_evidence_and_no_other() -> None:
    ideas = [cells(row)[0] for row in ROWS]
    assert len(set(ideas)) == len(ideas)
    assert set(evidence()) == set(ideas)


def test_evidence_is_a_test_on_real_parts_that_is_collected_or_says_what_is_missing(collected: frozenset[str]) -> None:
    shown = evidence()
    wrong = {idea: unshown(shown[idea], row, collected) for idea, row in ((cells(r)[0], r) for r in ROWS)}
    assert {idea: found for idea, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    ("here", "row", "wrong"),
    [
        ("`cluster/test_describe.py::test_no_more`", "| an idea | here |", ["cannot be collected"]),
        ("`unit/core/test_text.py::test_count`", "| an idea | here |", ["cannot be collected"]),
        ("`measured[no-such-rule]`", "| an idea | here |", ["cannot be collected"]),
        ("", "| an idea | here |", ["neither a test nor a reason"]),
        ("`cluster/test_describe.py::test_get`", "| an idea | more: not yet |", ["says 'not yet'"]),
        ("open: the rest", "| an idea | here |", ["something open"]),
        ("`cluster/test_describe.py::test_get`, `measured[straggler]`", "| an idea | here |", []),
        ("no: nobody may read it", "| an idea | more: not yet |", []),
    ],
)
def test_missing_evidence_is_found(here: str, row: str, wrong: list[str], collected: frozenset[str]) -> None:
    found = unshown(here, row, collected)
    assert len(found) == len(wrong) and all(part in text for part, text in zip(wrong, found, strict=True)), found

"""The feature page: every rule has its place on it, and every name in it is the name of something that exists."""

from __future__ import annotations

import re

import pytest

from tests.support.named import ROOT, RULE_NAMES, exists

PAGE = (ROOT / "docs" / "features.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| idea", "|---"))]
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

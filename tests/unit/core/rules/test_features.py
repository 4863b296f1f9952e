"""The feature page names rules that exist, and each rule has its place on it."""

from __future__ import annotations

import re
from pathlib import Path

from concertmaster.core.rules import RULES

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "features.md").read_text()
NAMES = {rule.name for rule in RULES}


def test_every_rule_is_traced() -> None:
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", PAGE))
    assert NAMES - named == set()


def test_every_row_says_what_is_here_or_that_it_is_not() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| idea", "|---"))]
    assert len(rows) >= 45
    for row in rows:
        idea, here = row.strip("| ").split(" | ", 1)
        assert idea
        assert "`" in here or "ot yet" in here or "rules" in here or "history" in here or "objectives" in here, row
    assert f"{len(NAMES)} rules, each" in PAGE

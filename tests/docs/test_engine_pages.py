"""The tables of docs/engines: every construct says what is supported, and names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from concertmaster.engines import ENGINES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(p for p in (ROOT / "docs" / "engines").glob("*.md") if p.name != "README.md")
INDEX = ROOT / "docs" / "engines" / "README.md"
ROW = re.compile(r"^\| (?P<construct>[^|]+) \| (?P<supported>[^|]+) \| (?P<test>[^|]+) \|$")


def table(page: Path) -> list[dict[str, str]]:
    """Rows of the page's table of constructs."""
    text = page.read_text().partition("## Constructs")[2]
    rows = [match.groupdict() for line in text.splitlines() if (match := ROW.match(line))]
    return [row for row in rows if row["construct"] != "construct" and set(row["construct"]) != {"-"}]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_a_page_says_what_is_read_and_what_is_needed(page: Path) -> None:
    text = page.read_text()
    for heading in ("## What is read", "## What is needed from the cluster", "## Constructs"):
        assert heading in text
    assert len(table(page)) >= 10


@pytest.mark.parametrize(
    ("construct", "test"),
    [(row["construct"], row["test"]) for page in PAGES for row in table(page)],
)
def test_named_tests_exist(construct: str, test: str) -> None:
    """A line without a test is one that says what is not done, or what lies outside."""
    if test == "–":
        return
    file, _, name = test.strip("`").partition("::")
    found = ast.parse((ROOT / file).read_text())
    assert name in {node.name for node in found.body if isinstance(node, ast.FunctionDef)}, construct


def test_tests_named_in_the_index_exist() -> None:
    """Unusual input is reported there, each with the test that shows it."""
    named = set(re.findall(r"`(tests/\w+/\w+\.py)::(test_\w+)`", INDEX.read_text()))
    assert named
    for file, name in named:
        found = ast.parse((ROOT / file).read_text())
        assert name in {node.name for node in found.body if isinstance(node, ast.FunctionDef)}, name


def test_every_engine_has_a_page() -> None:
    declared = {engine.page[1] for engine in ENGINES if engine.page is not None}
    assert {page.name for page in PAGES} == {*declared, "graph.md"}
    index = (ROOT / "docs" / "engines" / "README.md").read_text()
    assert all(f"({page.name})" in index for page in PAGES)


def test_every_engine_test_is_in_a_page() -> None:
    """Constructs that are verified are also reported."""
    text = "".join(page.read_text() for page in PAGES)
    reported = set(re.findall(r"test_(?:argo|tekton|jobs|jobsets)\.py::(test_\w+)", text))
    for file in ("test_argo.py", "test_tekton.py", "test_jobs.py", "test_jobsets.py"):
        found = ast.parse((ROOT / "tests" / "engines" / file).read_text())
        names = {
            node.name for node in found.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        }
        assert names - reported <= {"test_every_run_is_compared", "test_every_set_is_compared"}, file

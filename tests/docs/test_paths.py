"""Paths that pages for contributors name exist, and every room of the package has its line in the layout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.named import PACKAGE, ROOT, is_path

DOCS = ROOT / "docs"
PAGES = [
    *sorted((DOCS / "design").glob("*.md")),
    *sorted((DOCS / "methods").glob("*.md")),
    *(DOCS / name for name in ("features.md", "methods.md")),
    ROOT / "CONTRIBUTING.md",
]
# Backticked, with a slash or the ending of a module; commands before it and pytest's options after it are left out.
NAME = re.compile(r"`(?:pytest )?([\w.][\w./<>-]*(?:::\w+)?)(?: --[\w-]+)?`")
ROOTS = {p.name for base in (ROOT, PACKAGE) for p in base.iterdir() if p.is_dir()}


def paths(page: str) -> list[str]:
    """What a page names that is meant as a path: it ends as a module does, or begins with a folder that there is."""
    names = [name for name in NAME.findall(page) if "/" in name]
    return [name for name in names if name.partition("::")[0].endswith(".py") or name.partition("/")[0] in ROOTS]


def missing(page: str) -> list[str]:
    """Paths of a page that do not exist; ``<name>`` stands for any name."""
    # The table of features names tests by their tier: `cluster/test_queries.py::test_...`.
    return [n for n in paths(page) if not (any_of(n) if "<" in n else is_path(n) or is_path(f"tests/{n}"))]


def any_of(pattern: str) -> bool:
    """Whether something in the repository or the package fits."""
    glob = re.sub(r"<\w+>", "*", pattern)
    return any(next(base.glob(glob), None) is not None for base in (ROOT, PACKAGE))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_paths_in_pages_for_contributors_exist(page: Path) -> None:
    assert missing(page.read_text()) == []


def test_a_path_that_is_gone_is_found() -> None:
    page = "`core/plan.py`, `core/changes/plan.py`, `docs/rules/<name>.md`, `core/<room>/nothing.py`, `a/b`, `/metrics`"
    assert missing(page) == ["core/plan.py", "core/<room>/nothing.py"]


def test_every_room_has_its_line_in_the_layout() -> None:
    page = (DOCS / "design" / "layout.md").read_text()
    listed = set(re.findall(r"^\| `([\w/]+)` \|", page, re.MULTILINE))
    parts = {"core", "controller", "prometheus"}
    rooms = {
        p.name for p in PACKAGE.iterdir() if (p / "__init__.py").is_file() and p.name not in parts - {"controller"}
    }
    rooms |= {f"{part}/{p.parent.name}" for part in parts for p in (PACKAGE / part).glob("*/__init__.py")}
    assert rooms - listed == set()
    assert [name for name in listed if not (PACKAGE / name).is_dir()] == []

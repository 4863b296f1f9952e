"""What GitHub and pre-commit read: it parses, and names make targets, files and folders that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
FILES = [*sorted(GITHUB.rglob("*.yaml")), *sorted(GITHUB.rglob("*.yml")), ROOT / ".pre-commit-config.yaml"]
TARGETS = frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def load(path: Path) -> dict[str, Any]:
    """The mapping a file holds."""
    loaded = yaml.safe_load(path.read_text())
    assert isinstance(loaded, dict), path
    return loaded


def steps() -> list[dict[str, Any]]:
    """All steps of all workflows."""
    return [s for p in (GITHUB / "workflows").glob("*") for job in load(p)["jobs"].values() for s in job["steps"]]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_parses_and_names_targets_that_exist(path: Path) -> None:
    load(path)
    assert {t for line in re.findall(r"\bmake ([a-z -]+)", path.read_text()) for t in line.split()} <= TARGETS


def test_ci_runs_every_tier_with_the_cache_of_the_test_bed() -> None:
    assert {"make test", "make check"} <= {step.get("run") for step in steps()}
    (cache,) = [step["with"] for step in steps() if step.get("uses", "").startswith("actions/cache@")]
    patterns = re.findall(r"'([^']+)'", cache["key"])
    assert patterns and all(list(ROOT.glob(pattern)) for pattern in patterns)
    assert "CONCERTMASTER_TESTBED_CACHE" in (ROOT / "testbed" / "install" / "build.py").read_text()


def test_actions_are_standard_ones_pinned_by_major_version() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)


def test_issue_forms_ask_for_something() -> None:
    for name in ("bug.yml", "feature.yml"):
        form = load(GITHUB / "ISSUE_TEMPLATE" / name)
        assert {"name", "description", "body"} <= form.keys()
        identifiers = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert identifiers and len(set(identifiers)) == len(identifiers)


def test_owned_paths_and_updated_folders_exist() -> None:
    owned = [line.split()[0] for line in (GITHUB / "CODEOWNERS").read_text().splitlines() if line.startswith("/")]
    assert owned and all((ROOT / path.strip("/")).exists() for path in owned)
    for update in load(GITHUB / "dependabot.yml")["updates"]:
        for folder in (update.get("directory"), *update.get("directories", ())):
            assert folder in (None, "/") or list(ROOT.glob(folder.strip("/"))), folder


def test_hooks_are_those_of_make_check() -> None:
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert [hook["id"] for hook in repository["hooks"]] == ["lint", "format", "types", "contracts", "generated"]


@pytest.mark.parametrize("name", ["SECURITY.md", "CODE_OF_CONDUCT.md", ".github/pull_request_template.md"])
def test_community_files_say_something(name: str) -> None:
    assert len((ROOT / name).read_text().split()) > 50

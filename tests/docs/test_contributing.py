"""CONTRIBUTING, played: a new rule is added to a copy as the page says, and leaving out its page is noticed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("operator", "docs", "crds", "charts", "testbed", "tests", "Makefile", "pyproject.toml")
RULE = '''"""``first-step``: an example that always fires."""

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.model import Category, Finding, Level, Severity
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule
from concertmaster.core.rules.evidence import Evidence


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One finding for every workflow."""
    runs, steps = evidence.analysis.runs, evidence.analysis.steps
    yield Finding(
        action=f"Look at the first of {text.count(len(steps), 'step')}",
        because=f"it ran {evidence.runs(len(runs))}",
        otherwise="nobody looks at it",
        severity=Severity.INFO,
        current=f"{len(steps)} steps",
        proposed="look at one",
        expected="no gain in time or money is promised; 1 step looked at",
        confidence=0.3,
    )


RULE = Rule(RuleName.FIRST_STEP, evaluate, Category.BEST_PRACTICE, Level.LOW, tie_break=0)
'''
SCENARIO = '''

@scenario_of("first-step")
def first_step() -> Scenario:
    """Any workflow."""
    return best_practices()
'''
PAGE = """# first-step

**Looks at** the steps.

**Fires** always. **Stays silent** never.

**Expected** nothing.

**Severity** Info. **Risk** none.
"""


def add_rule(root: Path, *, page: bool) -> None:
    """The steps of the page, in its order; the rule's own test is left out here."""
    core = root / "operator" / "concertmaster" / "core"
    names, rules = core / "model" / "enums.py", core / "rules"
    edit(names, '    GPU_REQUEST = "gpu-request"\n', '    FIRST_STEP = "first-step"\n    GPU_REQUEST = "gpu-request"\n')
    (rules / "hygiene" / "first_step.py").write_text(RULE)
    edit(
        rules / "__init__.py", "import best_practices, data_quality", "import best_practices, data_quality, first_step"
    )
    edit(rules / "__init__.py", "    best_practices.RULE,\n", "    best_practices.RULE,\n    first_step.RULE,\n")
    scenarios = root / "tests" / "support" / "core" / "scenarios.py"
    scenarios.write_text(scenarios.read_text() + SCENARIO)
    if page:
        (root / "docs" / "rules" / "first-step.md").write_text(PAGE)
        index = root / "docs" / "rules" / "README.md"
        index.write_text(
            f"{index.read_text().rstrip()}\n\n| rule | |\n|---|---|\n| [first-step](first-step.md) | an example |\n"
        )
        features = root / "docs" / "features.md"
        number = features.read_text().partition(" rules, each")[0].rpartition(" ")[2]
        edit(features, f"{number} rules, each", f"{int(number) + 1} rules, each")
        edit(features, "| best practices | `best-practices` |", "| best practices | `best-practices`, `first-step` |")


def edit(path: Path, old: str, new: str) -> None:
    """Replace what stands exactly once."""
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name}: {old}"
    path.write_text(text.replace(old, new))


def run_pytest(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest on the copy, with nothing of this repository in its path."""
    environment = {**os.environ, "PYTHONPATH": f"{root / 'operator'}{os.pathsep}{root}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what a new rule touches."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


TESTS = ("tests/unit/core/rules/test_pages.py", "tests/docs/test_features.py")
ABOUT = ("-k", "first-step or every_rule or whose_ids or best_practices")


def test_a_new_rule_is_whole_after_the_steps_of_the_page(copy: Path) -> None:
    add_rule(copy, page=True)
    written = run_pytest(copy, TESTS[0], "-k", "first-step", "--update-golden")
    assert written.returncode == 0, written.stdout + written.stderr
    assert "**Example**" in (copy / "docs" / "rules" / "first-step.md").read_text()
    answer = run_pytest(copy, *TESTS, *ABOUT)
    assert answer.returncode == 0, answer.stdout


def test_a_rule_without_its_page_is_noticed(copy: Path) -> None:
    add_rule(copy, page=False)
    answer = run_pytest(copy, *TESTS, *ABOUT)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    for name in ("test_every_rule_has_a_scenario_and_a_place_in_the_list", "test_every_rule_is_traced"):
        assert f"::{name}" in answer.stdout, answer.stdout

"""Every rule has a page that tells the truth: its settings, and a line it really gives. ``--update-golden`` renews lines."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from concertmaster.core import text
from concertmaster.core.fleet.materiality import MIN_MONEY_SHARE, SEVERITIES
from concertmaster.core.lifecycle.states import step_of
from concertmaster.core.model.policy import Materiality, Pricing
from concertmaster.core.rules import RULES, Rule
from tests.support import checklist
from tests.support.core.scenarios import SCENARIOS

PAGES = Path(__file__).resolve().parents[4] / "docs" / "rules"
LINE = re.compile(r"^> .*$", re.MULTILINE)
SETTING = re.compile(r"settings\.number\(\s*\"(\w+)\"")
NAMES = [rule.name for rule in RULES]


def test_every_rule_has_a_scenario_and_a_place_in_the_list() -> None:
    assert set(SCENARIOS) == set(NAMES)
    listed = re.findall(r"^\| \[([\w-]+)\]\(([\w-]+)\.md\)", (PAGES / "README.md").read_text(), re.MULTILINE)
    assert sorted(name for name, _ in listed) == sorted(NAMES)
    assert all(name == page for name, page in listed)
    assert {p.stem for p in PAGES.glob("*.md")} == {*NAMES, "README"}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_page_lists_every_setting(rule: object) -> None:
    evaluate = rule.find  # type: ignore[attr-defined]
    module = inspect.getmodule(evaluate)
    assert module is not None
    page = (PAGES / f"{rule.name}.md").read_text()  # type: ignore[attr-defined]
    wanted = set(SETTING.findall(inspect.getsource(module)))
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert listed == wanted
    assert set(rule.settings) == wanted  # type: ignore[attr-defined]
    for part in ("**Looks at**", "**Fires**", "tays silent**", "**Expected**", "**Severity**", "**Risk**"):
        assert part in page, part


def test_severities_and_thresholds_in_the_list_are_those_of_the_code() -> None:
    page = (PAGES / "README.md").read_text()
    rows = re.findall(r"^\| (\w+) \| (\d+)(?:,[^|]*)? \| ([^|]*) \|$", page, re.MULTILINE)
    assert [(name, float(value)) for name, value, _ in rows] == [(s.value, least) for s, least in SEVERITIES]
    scale = Pricing()
    worth = {"run-hours": scale.run_hour, "failed runs": scale.failed_run, "USD": 1.0}
    assert f"`spec.pricing.runHour` ({scale.run_hour:g})" in page
    assert f"failed run `spec.pricing.failedRun` ({scale.failed_run:g})" in page
    for name, value, examples in rows:
        for amount, unit in re.findall(r"(\d+) ([a-zA-Z -]+)", examples):
            assert int(amount) * worth[unit] == float(value), (name, amount, unit)
    assert (
        page.index("| Medium |")
        < page.index("| Low | everything else that is published |")
        < page.index("| Info | minor items |")
    )
    least = Materiality()
    for line in (
        f"| failed runs avoided | {least.failed_runs:g} |",
        f"| run time saved | {100 * least.run_share:g}% of the run and {least.run_minutes:g} minutes |",
        f"| money saved | {least.money:g} unit of the currency, or {100 * least.cost_share:g}% of the workflow's cost"
        f" if that is {MIN_MONEY_SHARE * least.money:g} units or more |",
    ):
        assert line in page


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_what_the_rule_says(name: str, request: pytest.FixtureRequest) -> None:
    item = SCENARIOS[name]().recommended(name)[0]
    line = f"> {checklist.sentences(item)}"
    file = PAGES / f"{name}.md"
    page = file.read_text()
    if request.config.getoption("--update-golden"):
        page = LINE.sub(lambda _: line, page) if LINE.search(page) else f"{page.rstrip()}\n\n**Example**\n\n{line}\n"
        file.write_text(page)
    assert LINE.findall(page) == [line]


@pytest.mark.parametrize("name", NAMES)
def test_every_sentence_carries_number_window_cause_command_and_consequence(name: str) -> None:
    scenario = SCENARIOS[name]()
    window = text.window(scenario.analysis().covered_seconds)
    for item in scenario.recommended(name):
        assert item.rule == name
        assert item.id == name or item.id.startswith(f"{name}."), item.id
        checklist.check(item, window)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_ids_name_steps_where_the_rule_says_so(rule: Rule) -> None:
    """What is said of an id that names no step of the workflow rests on it."""
    scenario = SCENARIOS[rule.name]()
    steps = [s.name for s in scenario.definition.graph.steps] or [s.step for s in scenario.analysis().steps]
    named = [i.id for i in scenario.recommended(rule.name) if "." in i.id]
    assert not rule.steps or all(step_of(i, steps) is not None for i in named), named


def test_the_rules_whose_ids_name_something_else() -> None:
    others = {
        "budget",
        "objective-at-risk",
        "parallelism",
        "queue-time",
        "right-size",
        "sidecar-overhead",
        "volume-size",
    }
    assert {r.name for r in RULES if not r.steps} == others

"""``concertmaster list``: the order of its lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from concertmaster.cli import profiles
from concertmaster.cli.commands import describe, explain, top
from concertmaster.cli.commands import list as list_
from concertmaster.kube import operator_service
from concertmaster.kube.errors import Forbidden
from concertmaster.kube.objects import PROFILES
from concertmaster.kube.operator_service import OperatorService
from tests.support.controller.fakes import MemoryClient
from tests.support.json_schema import violations

CATEGORIES = {"right-size": "Cost", "timeout.load": "Reliability"}  # the others: Performance
ROWS = (  # namespace, workflow, id, severity, state, impact
    ("b", "etl", "right-size", "Low", "Active", "2 USD a month"),
    ("b", "etl", "timeout.load", "Medium", "Dismissed", "9 failed runs a month"),
    ("a", "report", "io-bound.read", "High", "Active", "80 run-hours (60 to 90) a month"),
    ("a", "nightly", "cache-step.join", "Critical", "Active", "40 run-hours (30 to 50) a month"),
)
BY_NAME = ["a/cache-step.join", "a/io-bound.read", "b/right-size", "b/timeout.load"]
ORDERS = {
    "impact": ["a/io-bound.read", "a/cache-step.join", "b/right-size", "b/timeout.load"],
    "severity": ["a/cache-step.join", "a/io-bound.read", "b/right-size", "b/timeout.load"],
    "state": BY_NAME,
    "namespace": BY_NAME,
    "workflow": ["b/right-size", "b/timeout.load", "a/cache-step.join", "a/io-bound.read"],
    "id": ["a/cache-step.join", "a/io-bound.read", "b/right-size", "b/timeout.load"],
}


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch) -> MemoryClient:
    made = MemoryClient()
    of: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for namespace, workflow, identifier, severity, state, impact in ROWS:
        category = CATEGORIES.get(identifier, "Performance")
        item = {"action": "x", "category": category, "confidence": "90", "id": identifier, "impact": impact}
        of.setdefault((namespace, workflow), []).append({**item, "severity": severity, "state": state})
    for (namespace, workflow), items in of.items():
        status = {"recommendations": items, "summary": {"target": f"CronJob/{workflow}"}}
        made.put(PROFILES, namespace, f"cronjob-{workflow}", status=status)
    monkeypatch.setattr(profiles, "connect", lambda *_: made)
    return made


@pytest.mark.parametrize("key", ORDERS)
def test_sort_by_orders_the_lines_of_every_form(key: str) -> None:
    def shown(output: str) -> str:
        result = CliRunner().invoke(list_.command, ["-A", "--sort-by", key, "-o", output])
        assert result.exit_code == 0, result.output
        return result.output

    names = [line.split("/") for line in shown("name").splitlines()]
    assert [f"{n[0]}/{n[2]}" for n in names] == ORDERS[key]
    assert [f"{e['namespace']}/{e['id']}" for e in json.loads(shown("json"))] == ORDERS[key]
    rows = [line.split() for line in shown("table").splitlines()[1:]]
    assert [f"{row[0]}/{row[2]}" for row in rows] == ORDERS[key]


@pytest.mark.parametrize(
    ("option", "ids"),
    [
        (["--severity", "high"], ["io-bound.read", "cache-step.join"]),
        (["--severity", "Medium"], ["io-bound.read", "cache-step.join", "timeout.load"]),
        (["--state", "Dismissed"], ["timeout.load"]),
        (["--state", "Implemented"], []),
        (["--category", "Cost"], ["right-size"]),
        (["--category", "performance", "--severity", "Critical"], ["cache-step.join"]),
    ],
)
def test_filters_leave_those_they_name(option: list[str], ids: list[str]) -> None:
    result = CliRunner().invoke(list_.command, ["-A", "-o", "name", *option])
    assert [line.split("/")[2] for line in result.output.splitlines()] == ids


@pytest.mark.parametrize("option", [["--category", "Cst"], ["--severity", "huge"], ["--state", "Open"]])
def test_a_filter_that_does_not_exist_is_refused(option: list[str]) -> None:
    result = CliRunner().invoke(list_.command, ["-A", *option])
    assert result.exit_code == 2
    assert f"'{option[1]}' is not one of" in result.output


@pytest.mark.parametrize("output", ["table", "wide", "json", "yaml", "name"])
def test_a_recommendation_of_a_newer_operator_is_listed_without_what_is_not_known(
    output: str, client: MemoryClient
) -> None:
    newer = {"action": "move it to the night", "id": "carbon.load", "category": "Sustainability", "severity": "Urgent"}
    newer |= {"state": "Snoozed", "risk": "None", "effort": "Tiny", "impact": "1 USD a month", "confidence": "90"}
    ref = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "new"}
    status = {"recommendations": [newer], "summary": {"target": "CronJob/new"}}
    client.put(PROFILES, "c", "cronjob-new", spec={"workflowRef": ref}, status=status)
    listed = CliRunner().invoke(list_.command, ["-n", "c", "-o", output])
    assert listed.exit_code == 0, listed.output
    assert "carbon.load" in listed.output and "Minor" not in listed.output
    if output == "json":
        (entry,) = json.loads(listed.output)
        assert {entry[k] for k in ("state", "severity", "category", "risk", "effort")} == {None}
        assert (entry["action"], entry["minor"]) == ("move it to the night", False)
    for words in (["cronjob-new"], ["cronjob-new", "carbon.load"]):
        explained = CliRunner().invoke(explain.command, [*words, "-n", "c"])
        assert explained.exit_code == 0, explained.output
        assert "move it to the night  (carbon.load)" in explained.output


def test_minor_items_come_from_the_operator_and_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    amount = {"low": 0.1, "likely": 0.2, "high": 0.3}
    small = {"id": "variance.load", "action": "x", "category": "Performance", "severity": "Info",
             "impact": {"moneyPerMonth": amount}}  # fmt: skip
    document = {"cost": {"currency": "EUR"}, "minor": [small]}
    of_each = lambda _, profile: (document if "etl" in str(profile["metadata"]) else {}, "")  # noqa: E731
    monkeypatch.setattr(OperatorService, "document", of_each)

    def entries(*option: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            CliRunner().invoke(list_.command, ["-A", "-o", "json", *option]).output
        )
        return found

    assert [e["minor"] for e in entries()] == [False] * len(ROWS)
    (item,) = (e for e in entries("--all") if e["minor"])
    assert (item["namespace"], item["workflow"], item["id"], item["state"]) == ("b", "etl", "variance.load", None)
    assert item["interval"] == {**amount, "unit": "EUR/month"}


@pytest.mark.parametrize(("problem", "asked"), [("no right", 1), (operator_service.NOT_ANALYSED, 3)])
def test_what_keeps_the_operator_from_answering_is_said_once(
    problem: str, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With thousands of workflows nobody would wait for as many timeouts, or read as many lines."""
    calls: list[Any] = []
    monkeypatch.setattr(OperatorService, "document", lambda *given: calls.append(given) or ({}, problem))
    result = CliRunner().invoke(list_.command, ["-A", "--all", "-o", "name"])
    assert (result.exit_code, len(result.stdout.splitlines()), len(calls)) == (0, len(ROWS), asked)
    assert result.stderr.count(problem) == 1
    assert all(name in result.stderr for name in ("a/cronjob-nightly", "a/cronjob-report", "b/cronjob-etl"))


def test_what_is_printed_follows_the_published_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = json.loads((Path(__file__).parents[4] / "docs" / "reference" / "list.schema.json").read_text())
    document = {"cost": {"currency": "EUR"}, "minor": [{"id": "variance.load", "action": "x", "items": [
        "load/main requests.cpu: not set -> 2 (peak 1.5)"]}]}  # fmt: skip
    monkeypatch.setattr(OperatorService, "document", lambda *_: (document, ""))
    found = json.loads(CliRunner().invoke(list_.command, ["-A", "-o", "json", "--all"]).output)
    assert len(found) == len(ROWS) + 3 and violations(found, schema) == []
    fields = {"namespace", "kind", "workflow", "id", "state", "severity", "action", "because", "proposed", "expected",
              "interval", "impact", "confidence", "items", "minor"}  # fmt: skip
    entry = schema["$defs"]["ListEntry"]
    assert fields <= set(entry["required"]) == set(entry["properties"])
    for wrong in ({**found[0], "minor": "no"}, {k: v for k, v in found[0].items() if k != "items"}, "text"):
        assert violations([wrong], schema)


def test_the_most_valuable_come_first_where_nothing_is_said() -> None:
    result = CliRunner().invoke(list_.command, ["-A", "-o", "name"])
    assert [line.split("/")[2] for line in result.output.splitlines()] == [i.split("/")[1] for i in ORDERS["impact"]]


def test_a_key_that_does_not_exist_is_refused_with_those_that_do() -> None:
    result = CliRunner().invoke(list_.command, ["--sort-by", "colour"])
    assert result.exit_code == 2
    assert all(f"'{key}'" in result.output for key in ORDERS)


@pytest.mark.parametrize(("output", "parse"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_explain_and_describe_print_the_same_entries_for_other_programs(
    output: str, parse: Callable[[str], Any]
) -> None:
    def printed(command: click.Command, *options: str) -> Any:
        result = CliRunner().invoke(command, [*options, "-o", output])
        assert result.exit_code == 0, result.output
        return parse(result.stdout)

    listed = printed(list_.command, "-n", "b")
    assert [e["id"] for e in listed] == ["right-size", "timeout.load"]
    assert printed(explain.command, "cronjob-etl", "-n", "b") == listed
    assert printed(explain.command, "cronjob-etl", "timeout.load", "-n", "b") == listed[1:]
    described = printed(describe.command, "cronjob-etl", "-n", "b")
    assert described["recommendations"] == listed
    assert described["profile"]["metadata"]["name"] == "cronjob-etl"
    assert described["changes"] == []


def test_explain_prints_minor_items_for_other_programs_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"id": "variance.load", "action": "x", "category": "Performance", "severity": "Info"}
    monkeypatch.setattr(OperatorService, "document", lambda *_: ({"minor": [small]}, None))

    def ids(*options: str) -> list[tuple[str, bool]]:
        result = CliRunner().invoke(explain.command, ["cronjob-etl", "-n", "b", "-o", "json", *options])
        return [(e["id"], e["minor"]) for e in json.loads(result.stdout)]

    assert ("variance.load", True) not in ids()
    assert ids("--all")[-1] == ("variance.load", True)
    assert ids("variance.load") == [("variance.load", True)]


def test_without_the_right_to_read_a_profile_the_role_to_ask_for_is_named(client: MemoryClient) -> None:
    path = PROFILES.path("b", "cronjob-etl")
    client.faults["GET", path] = [Forbidden("workflowprofiles: forbidden", status=403)]
    result = CliRunner().invoke(describe.command, ["cronjob-etl", "-n", "b"])
    assert str(result.exception).startswith("workflowprofiles: forbidden; ask for the ClusterRole view in namespace b")


def test_money_beside_a_gain_in_time_is_shown_in_its_currency(client: MemoryClient) -> None:
    impact = "40 run-hours (30 to 50), 7 EUR (5 to 9) a month"
    item = {"action": "x", "category": "Performance", "id": "cache-step.a", "impact": impact, "state": "Active"}
    client.put(PROFILES, "c", "cronjob-c", status={"recommendations": [item]})
    result = CliRunner().invoke(list_.command, ["-n", "c"])
    assert "40 run-hours (30 to 50), 7 EUR a month" in result.output


def test_an_empty_list_says_why(client: MemoryClient) -> None:
    def shown(*arguments: str) -> str:
        result = CliRunner().invoke(list_.command, list(arguments))
        assert (result.exit_code, result.stdout) == (0, "")
        return result.stderr

    assert shown("-A", "--severity", "Critical", "--category", "Cost") == (
        "None of 4 recommendations matches --severity Critical --category Cost.\n"
    )
    assert shown("-n", "elsewhere") == (
        "No recommendations: no WorkflowProfile in namespace elsewhere was found; -A shows all namespaces. Policies with"
        " discover create them; to see what is missing: kubectl concertmaster doctor\n"
    )
    few = {"advice": ["Insufficient data: 2 of 5 required runs in 14d."], "summary": {"target": "CronJob/new"}}
    client.put(PROFILES, "c", "cronjob-new", status={**few, "runs": {"observed": 2}})
    client.put(PROFILES, "c", "cronjob-newer")
    said = "No recommendations for 2 workflows: 1 with insufficient data, 1 not analyzed yet.\n"
    assert shown("-n", "c") == said
    top_ = CliRunner().invoke(top.command, ["-n", "c"])
    assert (top_.exit_code, top_.stdout) == (0, said)


def test_old_figures_are_said_to_be_old(client: MemoryClient) -> None:
    status = {"dataUntil": "2026-01-03T00:00:00Z", "summary": {"target": "CronJob/old"}}
    client.put(PROFILES, "c", "cronjob-old", status=status)
    said = (
        "1 of 4 workflows is not up to date: showing figures based on data up to 2026-01-03 00:00 UTC. To find out why:"
    )
    assert said in CliRunner().invoke(list_.command, ["-A"]).stderr
    assert said in CliRunner().invoke(top.command, ["-A"]).stdout
    assert "up to date" not in CliRunner().invoke(list_.command, ["-A", "-o", "json"]).output

"""The most valuable recommendations of all workflows, in every form that is printed."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from concertmaster.cli import profiles
from concertmaster.cli.commands import list as list_
from concertmaster.cli.commands import top
from concertmaster.cli.errors import UserError
from concertmaster.kube.errors import Forbidden
from concertmaster.kube.objects import CLUSTER_POLICIES, PROFILES
from tests.support.controller.fakes import MemoryClient


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> MemoryClient:
    made = MemoryClient()
    for namespace, name, impact in (("a", "small", "2 USD a month"), ("b", "large", "40 run-hours (30 to 50) a month")):
        item = {
            "action": f"Do something about {name}",
            "category": "Cost" if "USD" in impact else "Performance",
            "confidence": "90",
            "id": "right-size",
            "impact": impact,
            "severity": "Low",
            "state": "Active",
        }
        status = {"minor": 2, "recommendations": [item], "summary": {"target": f"CronJob/{name}"}}
        made.put(PROFILES, namespace, name, status=status)
    monkeypatch.setattr(profiles, "connect", lambda *_: made)
    return made


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(top.command, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_the_table_has_totals_above_and_what_is_left_out_and_the_command_for_details_beneath(
    client: MemoryClient,
) -> None:
    first, header, *rows, _, _, below, last = shown().splitlines()
    assert first == "2 recommendations for 2 workflows: together they save 40 run-hours and 2 USD a month"
    assert header.split() == [
        "#",
        "NAMESPACE",
        "WORKFLOW",
        "CHANGE",
        "IMPACT",
        "PER",
        "MONTH",
        "CONFIDENCE",
        "EFFORT",
        "RISK",
        "ID",
    ]
    assert [row.split()[:3] for row in rows] == [["1", "b", "CronJob/large"], ["2", "a", "CronJob/small"]]
    assert "Do something about large" in rows[0]
    assert below == "4 minor items below the thresholds: kubectl concertmaster list --all -A"
    assert last == "Details: kubectl concertmaster explain CronJob/large right-size -n b"


def test_of_two_profiles_of_one_workflow_the_details_name_the_profile(client: MemoryClient) -> None:
    client.put(PROFILES, "b", "other", status={"summary": {"target": "CronJob/large"}})
    assert shown().splitlines()[-1] == "Details: kubectl concertmaster explain large right-size -n b"


def test_copies_of_a_workflow_are_one_line_and_programs_get_each(client: MemoryClient) -> None:
    copied = client.items(PROFILES.path("b"))
    (status,) = [p["status"] for p in copied]
    client.put(PROFILES, "c", "large", status=status)
    row = shown().splitlines()[2]
    assert row.split("   ")[1:4] == ["b and 1 more", "CronJob/large", "Do something about large"]
    assert "80 run-hours (60 to 100)" in row
    assert "More namespaces: the impact is that of" in shown()
    assert shown("-o", "name").splitlines() == ["b/large/right-size", "c/large/right-size", "a/small/right-size"]


def test_a_profile_is_found_by_the_name_of_its_workflow_unless_others_have_it(client: MemoryClient) -> None:
    client.put(PROFILES, "d", "new", spec={"workflowRef": {"kind": "CronJob", "name": "not-analysed-yet"}})
    assert profiles.read(client, "d", "not-analysed-yet")["metadata"]["name"] == "new"
    client.put(PROFILES, "d", "cronjob-etl", status={"summary": {"target": "CronJob/etl"}})
    assert profiles.read(client, "d", "etl")["metadata"]["name"] == "cronjob-etl"
    client.put(PROFILES, "d", "wftmpl-etl", status={"summary": {"target": "WorkflowTemplate/etl"}})
    with pytest.raises(UserError, match="in namespace d are about etl: cronjob-etl and wftmpl-etl; choose one"):
        profiles.read(client, "d", "etl")
    with pytest.raises(UserError, match="no WorkflowProfile or workflow other in namespace d"):
        profiles.read(client, "d", "other")


@pytest.mark.parametrize("name", ["CronJob/large", "cronjob/large", "large"])
def test_a_profile_is_found_by_what_the_column_of_workflows_shows(client: MemoryClient, name: str) -> None:
    assert profiles.read(client, "b", name)["metadata"]["name"] == "large"
    client.put(PROFILES, "b", "own", status={"summary": {"target": "WorkflowProfile/own"}})
    assert profiles.read(client, "b", "WorkflowProfile/own")["metadata"]["name"] == "own"
    with pytest.raises(UserError, match="no kind deployments of workflow"):
        profiles.read(client, "b", "deployments/large")


@pytest.mark.parametrize(
    ("given", "listed"),
    [
        (["-A"], "-A"),
        (["-n", "a"], "-n a"),
        (["-n", "a", "-n", "b"], "-n a,b"),
        (["-l", "team in (x,y)"], "-A -l 'team in (x,y)'"),
    ],
)
def test_what_is_below_the_thresholds_is_listed_by_a_command_for_the_same_profiles(
    given: list[str], listed: str, client: MemoryClient
) -> None:
    assert f"below the thresholds: kubectl concertmaster list --all {listed}\n" in shown(*given)


def test_where_everything_is_below_the_thresholds_their_number_still_stands(client: MemoryClient) -> None:
    status = {"minor": 3, "runs": {"observed": 9}, "summary": {"target": "CronJob/minor"}}
    client.put(PROFILES, "c", "minor-only", status=status)
    assert shown("-n", "c").splitlines() == [
        "No recommendations for 1 workflow: 1 analyzed.",
        "3 minor items below the thresholds: kubectl concertmaster list --all -n c",
    ]


def test_the_scale_is_an_option(client: MemoryClient) -> None:
    assert shown("-o", "name").splitlines() == ["b/large/right-size", "a/small/right-size"]
    assert shown("-o", "name", "--run-hour", "0.01").splitlines() == ["a/small/right-size", "b/large/right-size"]
    assert shown("-o", "name", "-n", "a").splitlines() == ["a/small/right-size"]


@pytest.mark.parametrize("option", ["--run-hour", "--failed-run"])
@pytest.mark.parametrize("value", ["nan", "inf", "-5"])
def test_a_scale_that_orders_nothing_is_refused(client: MemoryClient, option: str, value: str) -> None:
    result = CliRunner().invoke(top.command, [option, value])
    assert result.exit_code == 2, result.output
    assert "is not an amount of 0 or more" in result.output


def policy(client: MemoryClient, name: str, **pricing: str) -> None:
    client.put(CLUSTER_POLICIES, None, name, spec={"pricing": pricing} if pricing else {})


class TestTheScaleOfPolicies:
    """`top` ranks by the scale of the policies, as status.top and IMPACT do."""

    def test_one_scale_of_all_cluster_policies_is_taken_and_named(self, client: MemoryClient) -> None:
        policy(client, "baseline", runHour="0.01")
        policy(client, "second", runHour="0.01")
        assert shown("-o", "name").splitlines() == ["a/small/right-size", "b/large/right-size"]
        assert (
            "a run-hour counted as 0.01 USD and a failed run as 10 USD"
            " (ClusterOptimizationPolicy baseline, second; --run-hour, --failed-run).\n"
        ) in shown()

    def test_options_come_first_and_leave_the_other_value_to_the_policy(self, client: MemoryClient) -> None:
        policy(client, "baseline", runHour="0.01", failedRun="7")
        assert shown("-o", "name", "--run-hour", "3").splitlines() == ["b/large/right-size", "a/small/right-size"]
        assert "counted as 3 USD and a failed run as 7 USD (--run-hour, --failed-run).\n" in shown("--run-hour", "3")

    def test_where_policies_differ_the_defaults_hold_and_the_legend_says_so(self, client: MemoryClient) -> None:
        policy(client, "baseline", runHour="0.01")
        policy(client, "other")
        assert shown("-o", "name").splitlines() == ["b/large/right-size", "a/small/right-size"]
        scale = "counted as 2.5 USD and a failed run as 10 USD (cluster policies differ; --run-hour, --failed-run).\n"
        assert scale in shown()

    def test_without_the_right_to_read_them_or_without_any_the_defaults_hold(self, client: MemoryClient) -> None:
        scale = "counted as 2.5 USD and a failed run as 10 USD (the default; --run-hour, --failed-run).\n"
        assert scale in shown()
        policy(client, "baseline", runHour="0.01")
        client.lists[CLUSTER_POLICIES.path(None)] = Forbidden("clusteroptimizationpolicies: forbidden", status=403)
        unread = "(the default, as ClusterOptimizationPolicies could not be read; --run-hour, --failed-run).\n"
        assert unread in shown()

    @pytest.mark.parametrize(("option", "hour", "run"), [("--run-hour", "7", "10"), ("--failed-run", "4", "7")])
    def test_an_option_alone_leaves_the_other_value_to_the_policies(
        self, client: MemoryClient, option: str, hour: str, run: str
    ) -> None:
        policy(client, "baseline", runHour="4")
        counted = f"counted as {hour} USD and a failed run as {run} USD (--run-hour, --failed-run).\n"
        assert counted in shown(option, "7")

    def test_a_policy_that_is_not_in_force_has_no_scale(self, client: MemoryClient) -> None:
        policy(client, "broken", runHour="a lot")
        policy(client, "baseline", runHour="4")
        assert "counted as 4 USD and a failed run as 10 USD (ClusterOptimizationPolicy baseline; " in shown()


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ([], "--limit 2 -A"),
        (["-n", "a,b"], "--limit 2 -n a,b"),
        (["-l", "team in (x,y)"], "--limit 2 -A -l 'team in (x,y)'"),
        (["--sort-by", "money", "-o", "wide"], "--limit 2 -A --sort-by money -o wide"),
        (["--run-hour", "3", "--failed-run", "0.5"], "--limit 2 -A --run-hour 3 --failed-run 0.5"),
    ],
)
def test_what_a_limit_leaves_out_is_shown_by_a_command_for_the_same_table(
    given: list[str], command: str, client: MemoryClient
) -> None:
    rows = shown(*given, "--limit", "1").splitlines()
    assert f"1 more: kubectl concertmaster top {command}" in rows
    whole = shown(*shlex.split(command)).splitlines()
    assert len([line for line in whole if re.match(r"[12] +[ab] ", line)]) == 2
    assert not any(" more: " in line for line in whole)


@pytest.mark.parametrize("command", [top.command, list_.command])
@pytest.mark.parametrize(("place", "path"), [(["-A"], None), (["-n", "a"], "a")])
def test_only_profiles_with_the_labels_are_shown(
    command: click.Command, place: list[str], path: str | None, client: MemoryClient
) -> None:
    assert CliRunner().invoke(command, [*place, "-l", "team=data"]).exit_code == 0
    lists = [call for call in client.calls if call[1] != CLUSTER_POLICIES.path(None)]
    assert lists == [("LIST", PROFILES.path(path), {"label_selector": "team=data"})]


def test_yaml_and_json_are_one_document(client: MemoryClient) -> None:
    document: dict[str, Any] = json.loads(shown("-o", "json"))
    assert yaml.safe_load(shown("-o", "yaml")) == document
    assert [e["workflow"] for e in document["top"]] == ["large", "small"]
    assert document["totals"]["minor"] == 4


KEYS = {
    "impact": ["large", "failing", "small"],
    "run-time": ["large", "failing", "small"],
    "failed-runs": ["failing", "large", "small"],
    "money": ["small", "large", "failing"],
    "confidence": ["failing", "large", "small"],
    "namespace": ["small", "large", "failing"],
    "workflow": ["small", "failing", "large"],
}


@pytest.mark.parametrize("key", KEYS)
def test_sort_by_orders_the_lines_and_equal_ones_by_impact(client: MemoryClient, key: str) -> None:
    item = {"action": "x", "confidence": "95", "id": "timeout.a", "impact": "4 failed runs a month", "state": "Active"}
    status = {"recommendations": [item], "summary": {"target": "CronJob/failing"}}
    client.put(PROFILES, "b", "failing", status=status)
    assert [line.split("/")[1] for line in shown("-o", "name", "--sort-by", key).splitlines()] == KEYS[key]
    assert [e["profile"] for e in json.loads(shown("-o", "json", "--sort-by", key))["top"]] == KEYS[key]
    rows = shown("--sort-by", key).splitlines()[2:-4]
    assert [row.split()[2].removeprefix("CronJob/") for row in rows] == KEYS[key]


def test_what_top_sorts_by_is_what_it_offers() -> None:
    result = CliRunner().invoke(top.command, ["--sort-by", "colour"])
    assert result.exit_code == 2
    assert all(f"'{key}'" in result.output for key in KEYS)


class TestWithoutTheRightForAllNamespaces:
    """A tenant may list the profiles of a namespace, and no others."""

    @pytest.fixture(autouse=True)
    def _forbidden(self, client: MemoryClient, monkeypatch: pytest.MonkeyPatch) -> None:
        client.lists[PROFILES.path(None)] = Forbidden("listing workflowprofiles: forbidden", status=403)
        monkeypatch.setattr(profiles, "default_namespace", lambda *_: "a")

    def test_top_shows_the_namespace_of_the_context_and_says_so(self) -> None:
        result = CliRunner().invoke(top.command, ["-o", "name"])
        assert result.exit_code == 0
        assert result.stdout.splitlines() == ["a/small/right-size"]
        assert result.stderr.strip() == (
            "no right to list WorkflowProfiles in all namespaces: showing namespace a; -n a,OTHER shows others too"
        )

    def test_what_is_below_the_thresholds_is_listed_in_that_namespace(self) -> None:
        assert "2 minor items below the thresholds: kubectl concertmaster list --all\n" in shown()

    def test_a_namespace_that_may_be_read_is_read_without_a_word(self) -> None:
        result = CliRunner().invoke(top.command, ["-o", "name", "-n", "b"])
        assert (result.stdout.splitlines(), result.stderr) == (["b/large/right-size"], "")

    @pytest.mark.parametrize("given", [["-n", "a,b"], ["-n", "a", "-n", "b"], ["-n", "a, b,,a"]])
    @pytest.mark.parametrize("command", [top.command, list_.command])
    def test_several_namespaces_are_shown_together(self, command: click.Command, given: list[str]) -> None:
        result = CliRunner().invoke(command, ["-o", "name", *given])
        assert sorted(result.stdout.splitlines()) == ["a/small/right-size", "b/large/right-size"]
        assert (result.exit_code, result.stderr) == (0, "")

    @pytest.mark.parametrize("command", [top.command, list_.command])
    def test_who_asks_for_all_is_told_what_to_do(self, command: click.Command) -> None:
        error = CliRunner().invoke(command, ["-A"]).exception
        assert isinstance(error, UserError)
        assert str(error).endswith("forbidden; name namespaces that you may read with -n NAMESPACE")

    def test_no_right_in_the_own_namespace_says_what_to_ask_for(self, client: MemoryClient) -> None:
        client.lists[PROFILES.path("a")] = Forbidden("listing workflowprofiles: forbidden", status=403)
        error = CliRunner().invoke(top.command, []).exception
        assert isinstance(error, UserError)
        assert str(error).endswith(
            "forbidden; ask for the ClusterRole view in namespace a, or name another with -n NAMESPACE"
        )

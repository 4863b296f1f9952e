"""Deciding about many recommendations and changes at once."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner

from concertmaster.cli import cli, main, profiles, selection
from concertmaster.cli.commands import approve, describe, dismiss, explain
from concertmaster.cli.errors import CallError, UserError
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.kube.errors import Conflict, Forbidden
from concertmaster.kube.objects import CLUSTER_POLICIES, PROFILES
from tests.support.controller.changes_bed import Bed
from tests.support.controller.fakes import MemoryClient


def published(identifier: str, impact: str, state: str = "Active") -> dict[str, Any]:
    return {"id": identifier, "impact": impact, "state": state, "action": f"do {identifier}"}


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> MemoryClient:
    client = MemoryClient()
    shown = [published("right-size", "0.4 USD a month"), published("timeout.load", "12 USD a month")]
    client.put(PROFILES, "demo", "etl", status={"recommendations": shown})
    client.put(PROFILES, "demo", "report", status={"recommendations": [published("right-size", "0.1 USD a month")]})
    done = [published("right-size", "0.1 USD a month", "Implemented")]
    client.put(PROFILES, "other", "nightly", status={"recommendations": done})
    monkeypatch.setattr(profiles, "connect", lambda *_: client)
    return client


def test_what_is_worth_less_is_dismissed_and_the_rest_is_not(fleet: MemoryClient) -> None:
    call = ["--below", "1usd", "-n", "demo", "--reason", "trifles", "--print"]
    result = CliRunner().invoke(dismiss.command, call)
    assert result.exit_code == 0, result.output
    assert result.output.count("recommendation: right-size") == 2
    assert "timeout.load" not in result.output


def test_what_has_no_figure_is_not_below_any_amount(fleet: MemoryClient) -> None:
    at_risk = {**published("objective-at-risk.duration-p95", ""), "impact": None}
    fleet.put(
        PROFILES, "quiet", "etl", status={"recommendations": [at_risk, published("right-size", "0.1 USD a month")]}
    )
    result = CliRunner().invoke(dismiss.command, ["--below", "1usd", "-n", "quiet", "--reason", "trifles", "--print"])
    assert result.output.count("recommendation: right-size") == 1
    assert "objective-at-risk" not in result.output


def test_all_namespaces_and_all_active_recommendations(fleet: MemoryClient) -> None:
    result = CliRunner().invoke(dismiss.command, ["--all", "-A", "--reason", "new start"], input="n\n")
    lines = [line for line in result.output.splitlines() if ": do " in line]
    assert lines == [
        "demo/etl/right-size: do right-size",
        "demo/etl/timeout.load: do timeout.load",
        "demo/report/right-size: do right-size",
    ]
    assert "Dismiss 3 recommendations?" in result.output
    assert fleet.writes() == []


@pytest.mark.parametrize(
    ("answer", "reason"), [("n\n", "nothing was changed"), ("", "there is no answer on stdin; --yes")]
)
def test_without_a_yes_nothing_is_changed_and_that_is_said(fleet: MemoryClient, answer: str, reason: str) -> None:
    result = CliRunner().invoke(dismiss.command, ["--all", "-A", "--reason", "new start"], input=answer)
    assert isinstance(result.exception, UserError)
    assert reason in str(result.exception)
    assert fleet.writes() == []


@pytest.mark.parametrize("command", [dismiss.command, approve.command])
def test_only_profiles_with_the_labels_are_decided_about(command: click.Command, fleet: MemoryClient) -> None:
    reason = ["--reason", "trifles", "--print"] if command is dismiss.command else []
    CliRunner().invoke(command, ["--below", "1usd", "-A", "-l", "team=data", "-y", *reason])
    listed = [options for verb, path, options in fleet.calls if (verb, path) == ("LIST", PROFILES.path(None))]
    assert listed == [{"label_selector": "team=data"}]


def test_one_that_fails_leaves_the_others(fleet: MemoryClient) -> None:
    fleet.faults["PATCH", PROFILES.path("demo", "etl")] = [Conflict("the object has been modified", status=409)]
    result = CliRunner().invoke(dismiss.command, ["--all", "-A", "-y", "--reason", "new start"])
    assert str(result.exception) == "1 of 3 were not decided, for the reasons above; try these again"
    assert "the profile was changed at the same time, try again" in result.stderr
    assert [path for verb, path, _ in fleet.calls if verb == "PATCH"][-1] == PROFILES.path("demo", "report")
    assert result.stdout.count("is dismissed until") == 2


def test_all_with_a_label_leaves_what_has_it_not_alone(fleet: MemoryClient) -> None:
    shown = {"recommendations": [published("right-size", "0.4 USD a month")]}
    for name, labels in (("mine", {"team": "data"}), ("web", {"team": "web"})):
        fleet.put(PROFILES, "demo", name, status=shown, metadata={"labels": labels})
    call = ["--all", "-n", "demo", "-l", "team=data", "--reason", "replaced in May"]
    asked = CliRunner().invoke(dismiss.command, call, input="n\n")
    assert "Dismiss 1 recommendation?" in asked.output
    result = CliRunner().invoke(dismiss.command, [*call, "-y"])
    assert result.exit_code == 0, result.output
    assert [path for verb, path, _ in fleet.calls if verb == "PATCH"] == [PROFILES.path("demo", "mine")]


def test_below_is_on_the_scale_of_the_cluster_policies(fleet: MemoryClient) -> None:
    """Six run-hours are 15 USD by default, and 0.6 where an hour is worth a tenth."""
    hours = published("io-bound.a", "6 run-hours a month")
    fleet.put(PROFILES, "slow", "etl", status={"recommendations": [hours]})
    call = ["--below", "1usd", "-n", "slow", "--reason", "trifles", "--print"]
    assert "no active recommendation is selected" in CliRunner().invoke(dismiss.command, call).output
    spec = {"pricing": {"runHour": "0.1"}}
    fleet.put(CLUSTER_POLICIES, None, "baseline", spec=spec)
    assert "recommendation: io-bound.a" in CliRunner().invoke(dismiss.command, call).output


def test_below_says_when_the_cluster_policies_could_not_be_read(
    fleet: MemoryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default prices may be ten times those that the policies set, and many are dismissed at once."""
    fleet.lists[CLUSTER_POLICIES.path(None)] = Forbidden("clusteroptimizationpolicies: forbidden", status=403)
    hours = published("io-bound.a", "6 run-hours a month")
    fleet.put(PROFILES, "slow", "etl", status={"recommendations": [hours]})
    call = ["-n", "slow", "--reason", "trifles", "--print"]
    said = CliRunner().invoke(dismiss.command, ["--below", "100usd", *call])
    assert "recommendation: io-bound.a" in said.stdout
    unread = "ClusterOptimizationPolicies could not be read"
    assert said.stderr == f"--below counts a run-hour as 2.5 and a failed run as 10, the default: {unread}\n"
    assert CliRunner().invoke(dismiss.command, ["--all", *call]).stderr == ""


def test_names_and_texts_of_a_cluster_do_not_command_the_terminal(
    fleet: MemoryClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is shown for a decision would otherwise be what an author of workflows wants to be seen."""
    hostile = "lower a\x1b[2K\rnothing\x1b]52;c;aGk=\x07\u202e of x"
    fleet.put(
        PROFILES, "bad", "etl", status={"recommendations": [{**published("x", "1 USD a month"), "action": hostile}]}
    )
    outputs = [CliRunner().invoke(dismiss.command, ["--all", "-n", "bad", "--reason", "x"], input="n\n").output]
    change = WorkflowChangeView({"metadata": {}, "spec": {}, "status": {"predicted": {"text": hostile}}})
    monkeypatch.setattr(approve, "_read", lambda *_: change)
    monkeypatch.setattr(approve, "_assert_decidable", lambda *_, **__: None)
    outputs.append(CliRunner().invoke(approve.command, ["-n", "bad", "one"], input="n\n").output)

    def refuse(*_: object) -> None:
        raise UserError(hostile)

    monkeypatch.setattr(profiles, "connect", refuse)
    monkeypatch.setattr("sys.argv", ["concertmaster", "dismiss", "--all", "-n", "bad", "--reason", "x"])
    with pytest.raises(SystemExit):
        main()
    outputs.append(capsys.readouterr().err)
    for output in outputs:
        assert "lower a" in output
        assert output.replace("\n", "").isprintable(), output


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ([], "name PROFILE and RECOMMENDATION, or select many"),
        (["etl"], "name PROFILE and RECOMMENDATION, or select many"),
        (["etl", "right-size", "--all"], "give neither PROFILE nor --undo"),
        (["--all", "--undo"], "give neither PROFILE nor --undo"),
        (["etl", "right-size", "-A"], "-A and -l select for --all and --below only"),
        (["etl", "right-size", "-l", "team=data"], "-A and -l select for --all and --below only"),
    ],
)
def test_a_call_that_names_both_or_neither_is_refused(call: list[str], said: str, fleet: MemoryClient) -> None:
    result = CliRunner().invoke(dismiss.command, [*call, "-n", "demo", "--reason", "x"])
    assert isinstance(result.exception, CallError)
    assert said in str(result.exception)
    assert fleet.calls == []


def test_an_amount_is_a_number_with_or_without_a_currency() -> None:
    read = [selection.amount(t) for t in ("1usd", "2.5 EUR", "3", None)]
    assert read == [
        selection.MinimumValue(1.0, "USD"),
        selection.MinimumValue(2.5, "EUR"),
        selection.MinimumValue(3.0),
        None,
    ]
    with pytest.raises(UserError, match="--below: 'cheap' is not an amount such as 1usd"):
        selection.amount("cheap")


@pytest.mark.parametrize("command", [dismiss.command, approve.command])
def test_an_amount_in_another_currency_is_refused(command: click.Command, fleet: MemoryClient) -> None:
    reason = ["--reason", "trifles"] if command is dismiss.command else []
    result = CliRunner().invoke(command, ["--below", "1eur", "-n", "demo", "-y", *reason])
    assert str(result.exception) == (
        "--below: demo/etl/right-size is priced in USD, not in EUR, and amounts are not converted;"
        " give the amount in USD, or select profiles priced in EUR by -n and -l"
    )
    assert fleet.writes() == []


@pytest.mark.parametrize("below", ["1", "1usd", "1eur"])
def test_amounts_of_two_currencies_are_not_compared_with_one(below: str, fleet: MemoryClient) -> None:
    fleet.put(PROFILES, "euro", "etl", status={"recommendations": [published("right-size", "0.1 EUR a month")]})
    result = CliRunner().invoke(dismiss.command, ["--below", below, "-A", "--reason", "trifles", "--print"])
    assert isinstance(result.exception, UserError)
    assert "priced in" in str(result.exception)
    assert "amounts are not converted" in str(result.exception)
    own = CliRunner().invoke(dismiss.command, ["--below", "1eur", "-n", "euro", "--reason", "trifles", "--print"])
    assert own.output.count("recommendation: right-size") == 1


def test_what_saves_only_time_has_no_currency_to_differ(fleet: MemoryClient) -> None:
    fleet.put(PROFILES, "slow", "etl", status={"recommendations": [published("io-bound.a", "6 run-minutes a month")]})
    result = CliRunner().invoke(dismiss.command, ["--below", "1eur", "-n", "slow", "--reason", "trifles", "--print"])
    assert result.output.count("recommendation: io-bound.a") == 1


def _one_proposed(monkeypatch: pytest.MonkeyPatch) -> tuple[Bed, WorkflowChangeView]:
    """A cluster with one change that waits for a decision, which commands read."""
    bed = Bed(mode="Approve")
    bed.run()
    monkeypatch.setattr(profiles, "connect", lambda *_: bed.client)
    return bed, bed.one()


def test_every_change_that_waits_is_decided_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    bed, change = _one_proposed(monkeypatch)
    decided: list[str] = []
    monkeypatch.setattr(approve, "decide", lambda _, one, decision: decided.append(f"{decision} {one.name}") or "ana")
    path = PROFILES.path("demo", change.profile)
    bed.client.objects[path]["status"] = {"recommendations": [published(change.recommendation, "3 USD a month")]}
    cheap = CliRunner().invoke(approve.command, ["--below", "1usd", "-n", "demo", "-y"])
    assert (cheap.output.strip(), decided) == ("no change waits for a decision", [])
    result = CliRunner().invoke(approve.command, ["--all", "-n", "demo", "-y"])
    assert result.exit_code == 0, result.output
    assert decided == [f"Approve {change.name}"]
    decided.clear()
    bed.client.objects[path]["metadata"]["labels"] = {"team": "web"}
    for labels, taken in (("team=data", []), ("team=web", [f"Approve {change.name}"])):
        CliRunner().invoke(approve.command, ["--all", "-n", "demo", "-l", labels, "-y"])
        assert decided == taken
    bed.decide("Reject")
    again = CliRunner().invoke(approve.command, ["--all", "-n", "demo", "-y"])
    assert "no change waits" in again.output


def test_a_decision_shows_the_patch_as_kubectl_takes_it_and_one_that_cannot_be_reversed_says_how_to_undo_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bed, change = _one_proposed(monkeypatch)
    shown = CliRunner().invoke(approve.command, ["-n", "demo", change.name], input="n\n").output
    assert "Approve it?" in shown
    patch = [json.loads(line) for line in shown.splitlines() if line.startswith("    {")]
    assert patch == change.operations("patch")
    bed.decide("Approve")
    bed.run()
    again = CliRunner().invoke(approve.command, ["-n", "demo", change.name, "--reject", "-y"])
    assert isinstance(again.exception, UserError)
    assert str(again.exception).endswith(f"; to roll it back, delete it: kubectl delete wfc -n demo {change.name}")


def test_a_plan_that_the_operator_did_not_propose_is_rejected_but_never_approved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bed, change = _one_proposed(monkeypatch)
    plan = bed.client.objects[change.ref.path]["status"]["plan"]
    patch = json.loads(plan["patch"])
    plan["patch"] = json.dumps([*patch[:-1], patch[-1] | {"value": "64"}])
    one = ["-n", "demo", change.name, "-y"]
    refused = CliRunner().invoke(approve.command, one)
    assert str(refused.exception) == (
        f"demo/{change.name} must not be approved: the plan in its status is not the one of spec.planDigest"
    )
    assert "no change waits" in CliRunner().invoke(approve.command, ["--all", "-n", "demo", "-y"]).output
    assert bed.one().decision is None
    assert "Reject it?" in CliRunner().invoke(approve.command, [*one[:-1], "--reject"], input="n\n").output


@pytest.mark.parametrize(
    ("command", "call"),
    [
        (describe.command, [""]),
        (explain.command, [""]),
        (dismiss.command, ["", "right-size", "--reason", "known"]),
        (approve.command, [""]),
    ],
)
def test_an_empty_name_is_reported_and_the_list_at_its_address_is_not_taken_for_an_object(
    fleet: MemoryClient, monkeypatch: pytest.MonkeyPatch, command: click.Command, call: list[str]
) -> None:
    monkeypatch.setattr(fleet, "get", lambda *_, **__: {"kind": "List", "metadata": {}, "items": []})
    result = CliRunner().invoke(command, [*call, "-n", "demo"])
    assert isinstance(result.exception, UserError), result.exception
    assert "is empty: kubectl get wf" in str(result.exception)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            ["dismiss", "etl", "right-size", "-n", "demo", "--reason", "known"],
            "ask for the ClusterRole edit in namespace demo; --print prints what to commit instead",
        ),
        (["approve", "x", "-n", "demo"], "ask for the ClusterRole *-approve of the chart in namespace demo"),
    ],
)
def test_whoever_lacks_a_right_learns_which_to_ask_for(
    call: list[str], said: str, fleet: MemoryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = fleet.request

    def request(method: str, path: str, **options: Any) -> dict[str, Any]:
        if method != "GET" or "/workflowchanges/" in path:
            raise Forbidden(f"{method} {path}: forbidden", status=403)
        return read(method, path, **options)

    monkeypatch.setattr(fleet, "request", request)
    answer = CliRunner().invoke(cli, call)
    assert isinstance(answer.exception, UserError)
    assert said in str(answer.exception)

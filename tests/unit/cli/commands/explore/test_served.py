"""``runs`` and ``compare`` in a cluster: all runs that the operator keeps, or the newest of an older operator."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from concertmaster.api.views.runs import RunComparisonView, RunView, WorkflowRuns
from concertmaster.cli import cli
from concertmaster.cli.commands.explore import runs
from concertmaster.cli.errors import UserError
from concertmaster.web.workflow import WorkflowView
from tests.support.controller.apiserver import Answer, ApiServer, Request, failure
from tests.support.web.analysed import analysed, past

PROFILE, DOCUMENT = analysed()


def answers(request: Request, *, older: bool = False) -> Answer:
    if request.path.endswith("/runs"):
        found = past(request.query.get("run", "")) if request.query["uid"] == "uid-nightly" and not older else {}
        return Answer(body=found) if found else failure(404, "NotFound")
    if "/proxy/" in request.path:
        return Answer(body=DOCUMENT) if request.query["uid"] == "uid-nightly" else failure(404, "NotFound")
    return Answer(body={"items": [PROFILE], "metadata": {}})


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    yield from served(tmp_path, answers)


@pytest.fixture
def older(tmp_path: Path) -> Iterator[Path]:
    """The cluster of an operator that serves the newest runs only."""
    yield from served(tmp_path, partial(answers, older=True))


def served(tmp_path: Path, by: Callable[[Request], Answer]) -> Iterator[Path]:
    server = ApiServer(by)
    server.start()
    file = tmp_path / "kubeconfig"
    parts = {"name": "x", "cluster": {"server": server.url}, "user": {}, "context": {"cluster": "x", "user": "x"}}
    lists = {f"{k}s": [{"name": "x", k: parts[k]}] for k in ("cluster", "user", "context")}
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x", **lists}))
    yield file
    server.stop()


def call(kubeconfig: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--kubeconfig", str(kubeconfig), "-n", "demo"])


def test_all_runs_of_the_history_are_listed(kubeconfig: Path) -> None:
    page = WorkflowRuns.model_validate_json(call(kubeconfig, "runs", "nightly", "-o", "json").output)
    assert [r.run for r in page.runs] == [f"run-{n}" for n in reversed(range(30))]
    table = call(kubeconfig, "runs", "nightly", "--limit", "4")
    assert table.exit_code == 0, table.output
    assert table.output.splitlines()[-1] == "26 more: --limit 30"
    assert "more" not in call(kubeconfig, "runs", "nightly", "--outcome", "succeeded").output


@pytest.mark.parametrize(
    "kind",
    ["wftmpl/", "WorkflowTemplate/", "WORKFLOWTEMPLATE/", "workflowtemplates/", "workflowtemplate.argoproj.io/", ""],
)
def test_a_workflow_is_named_as_kubectl_users_name_objects(kubeconfig: Path, kind: str) -> None:
    name = f"{kind}nightly-etl"
    listed = call(kubeconfig, "runs", name, "-o", "json")
    assert listed.exit_code == 0, listed.output
    compared = call(kubeconfig, "compare", "typical", "latest", "--workflow", name, "-o", "json")
    assert compared.exit_code == 0, compared.output
    replayed = call(kubeconfig, "what-if", name, "--scale", "train=0.5")
    assert replayed.exit_code == 0, replayed.output


def test_a_workflow_is_looked_for_in_every_given_namespace(tmp_path: Path) -> None:
    def answers_in_demo(request: Request) -> Answer:
        return Answer(body={"items": []}) if "/namespaces/empty/workflowprofiles" in request.path else answers(request)

    for kubeconfig in served(tmp_path, answers_in_demo):
        given = ["runs", "nightly", "--kubeconfig", str(kubeconfig), "-n", "empty,demo"]
        assert "run-29" in CliRunner().invoke(cli, given).output
        twice = CliRunner().invoke(cli, [*given[:-1], "demo,other"])
        assert "several WorkflowProfiles are about nightly" in str(twice.exception)


def test_no_more_runs_are_offered_than_can_be_asked_for(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = past("")
    many["total"] = 20_000
    monkeypatch.setattr(runs, "_MAX_RUNS", 10)
    monkeypatch.setattr(WorkflowView, "runs", WorkflowRuns.model_validate(many))
    assert call(kubeconfig, "runs", "nightly", "--limit", "4").output.splitlines()[-1].endswith("more: --limit 10")


def test_of_an_older_operator_the_newest_runs_are_listed(older: Path) -> None:
    page = WorkflowRuns.model_validate_json(call(older, "runs", "nightly", "-o", "json").output)
    assert [r.run for r in page.runs[:2]] == ["run-29", "run-28"]
    assert "19 more: older ones need --prometheus URL" in call(older, "runs", "nightly").output


def test_an_old_run_is_shown_and_compared_with_a_new_one(kubeconfig: Path) -> None:
    view = RunView.model_validate_json(call(kubeconfig, "runs", "nightly", "run-1", "-o", "json").output)
    assert (view.run, len(view.pods)) == ("run-1", 4)
    made = call(kubeconfig, "compare", "run-1", "latest", "--workflow", "nightly", "-o", "json")
    found = RunComparisonView.model_validate_json(made.output)
    assert (found.before.run, found.steps[0].step) == ("run-1", "train")


def test_one_run_is_shown_and_two_are_compared(kubeconfig: Path) -> None:
    view = RunView.model_validate_json(call(kubeconfig, "runs", "nightly", "latest", "-o", "json").output)
    assert [p.step for p in view.critical_path] == ["extract", "train", "publish"]
    made = call(kubeconfig, "compare", "typical", "latest", "--workflow", "nightly", "-o", "json")
    assert RunComparisonView.model_validate_json(made.output).after.run == "run-29"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("runs", "other"), UserError, "no WorkflowProfile is about other in namespace demo"),
        (("runs", "cronjob/nightly"), UserError, "no WorkflowProfile is about cronjob/nightly in namespace demo"),
        (("runs", "nightly", "run-99"), UserError, "older ones need --prometheus URL"),
        (("compare", "run-99", "latest", "--workflow", "nightly"), UserError, "the operator keeps no run run-99"),
        (("compare", "typical", "latest"), click.UsageError, "--workflow"),
    ],
)
def test_errors_say_what_to_do(
    kubeconfig: Path, arguments: tuple[str, ...], error: type[Exception], message: str
) -> None:
    answer = CliRunner().invoke(cli, [*arguments, "--kubeconfig", str(kubeconfig), "-n", "demo"], standalone_mode=False)
    assert isinstance(answer.exception, error)
    assert message in str(answer.exception)


def test_a_change_is_replayed_on_the_served_runs(kubeconfig: Path) -> None:
    half = call(kubeconfig, "what-if", "nightly", "--scale", "train=0.5")
    assert half.exit_code == 0, half.output
    assert "shorter per run, 90% interval" in half.output
    assert call(kubeconfig, "what-if", PROFILE["metadata"]["name"], "--scale", "train=0.5").output == half.output
    unknown = call(kubeconfig, "what-if", "nightly", "--scale", "x=0.5")
    assert isinstance(unknown.exception, UserError)
    assert "nightly has no step x; it has check" in str(unknown.exception)

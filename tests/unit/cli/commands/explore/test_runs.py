"""``runs`` and ``compare`` as a user meets them, on the recorded example."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from concertmaster.api.views.runs import RunComparisonView, RunView, WorkflowRuns
from concertmaster.cli import cli
from concertmaster.cli.errors import UserError

FACTS = Path(__file__).resolve().parents[5] / "examples" / "facts" / "demo.jsonl.gz"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--facts", str(FACTS)], terminal_width=200)


def output(*arguments: str) -> str:
    answer = call(*arguments)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_runs_are_listed_newest_first_with_what_changed() -> None:
    page = WorkflowRuns.model_validate_json(output("runs", "blast-search", "-o", "json", "--limit", "20"))
    assert page.total == 42
    assert len(page.runs) == 20
    ends = [r.ended or "" for r in page.runs]
    assert ends == sorted(ends, reverse=True)
    changed = [r for r in page.runs if r.changed]
    assert [r.ended for r in changed] == ["2026-11-11T11:36:57Z"]
    assert changed[0].changed == "image of search from registry.example/blast:2.14 to registry.example/blast:2.15"
    table = output("runs", "blast-search", "--limit", "20")
    assert "22 more: --limit 42" in table
    assert "image of search from registry.example/blast:2.14" in table


def test_where_no_run_is_listed_the_command_says_so() -> None:
    answer = call("runs", "blast-search", "--outcome", "failed")
    assert (answer.exit_code, answer.stdout) == (0, "")
    assert answer.stderr == "No finished run of demo/blast-search with outcome Failed is known.\n"


def test_why_was_last_night_slow() -> None:
    text = output("compare", "typical", "latest", "--workflow", "blast-search")
    first, second = text.splitlines()[:2]
    assert first == "blast-search-hns55 took 35m26s: 5m30s (18%) longer than blast-search-9s7rn (29m56s)."
    assert second == (
        "search: +5m28s (execution +5m30s); image registry.example/blast:2.14 -> registry.example/blast:2.15."
    )


def test_both_runs_by_name_need_no_workflow() -> None:
    view = RunComparisonView.model_validate_json(
        output("compare", "blast-search-9s7rn", "blast-search-hns55", "-o", "json")
    )
    assert view.workflow == "blast-search"
    assert view.before_path == view.after_path == ("split", "search", "join")
    assert sum(s.extra_seconds for s in view.steps) == pytest.approx(view.extra_seconds)


def test_one_run_shows_its_critical_path_and_its_pods() -> None:
    view = RunView.model_validate_json(output("runs", "blast-search", "latest", "-o", "json"))
    assert [p.step for p in view.critical_path] == ["split", "search", "join"]
    assert sum(p.seconds for p in view.critical_path) == pytest.approx(view.duration_seconds)
    assert len(view.pods) == 9
    assert [p.item for p in view.pods if p.critical and p.step == "search"] == ["0:shard-0"]
    assert "CRITICAL PATH" in output("runs", "blast-search", "latest")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("runs", "nothing"), "named nothing was found among 826 pods: analyze -o table lists the workflows"),
        (("runs", "blast-search", "x"), "has no finished run x; concertmaster runs blast-search lists them"),
        (("compare", "typical", "latest"), "choose one with --workflow"),
        (("compare", "blast-search-9s7rn", "y"), "no workflow has both runs, blast-search-9s7rn and y"),
    ],
)
def test_errors_say_what_to_do(arguments: tuple[str, ...], message: str) -> None:
    error = call(*arguments).exception
    assert isinstance(error, UserError)
    assert message in str(error)


def test_json_is_in_camel_case() -> None:
    document = json.loads(output("runs", "align-reads", "-o", "json", "--limit", "1"))
    assert {"durationSeconds", "timeSplit", "slowestStep", "failedAttempts"} <= set(document["runs"][0])

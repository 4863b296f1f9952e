"""The command line as a user meets it: output, messages and exit statuses. Nothing here needs a cluster."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from concertmaster.cli import COMMANDS, cli, main
from concertmaster.cli.errors import CallError, UserError

ROOT = Path(__file__).resolve().parents[3]
FACTS = ROOT / "examples" / "facts" / "demo.jsonl.gz"


def call(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "concertmaster", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def test_help_lists_every_command_and_each_has_its_own() -> None:
    text = call("--help").stdout
    for name in COMMANDS:
        assert f"  {name} " in text
        own = CliRunner().invoke(cli, [name, "--help"], prog_name="concertmaster")
        assert own.exit_code == 0, own.output
        assert own.output.startswith(f"Usage: concertmaster {name} ")


def test_what_analyze_says_to_try_runs_as_printed() -> None:
    """With the facts, namespace, window and end of the call."""
    span = ["-n", "demo", "--window", "10d", "--until", "2026-11-15T00:00:00Z"]
    said = call("analyze", "--facts", FACTS, *span, "--workflow", "sra-search").stdout
    (line,) = re.findall(r"^ *concertmaster (what-if .*)$", said, re.MULTILINE)
    assert "--scale fetch=0.5" in line
    given = ["--facts", FACTS, *span, "--scale", "fetch=0.5"]
    assert call(*shlex.split(line)).stdout == call("what-if", "sra-search", *given).stdout != ""


def test_analyze_finds_the_regression_in_the_example_facts() -> None:
    answer = call("analyze", "--facts", FACTS, "-o", "json")
    assert answer.returncode == 0, answer.stderr
    found = {w["workflow"]["name"]: w for w in json.loads(answer.stdout)["workflows"]}
    assert set(found) == {"blast-search", "align-reads", "sra-search"}
    ids = [r["id"] for r in found["blast-search"]["recommendations"]]
    assert "degradation.search" in ids
    assert "right-size" in [
        r["id"] for r in (*found["blast-search"]["minor"], *found["blast-search"]["recommendations"])
    ]
    change = found["blast-search"]["trend"]["changes"]
    assert len(change) == 1
    assert change[0]["ratio"] == pytest.approx(1.3, abs=0.06)  # drawn: 1.3 (examples/demo/data/NOTICE.md)
    assert change[0]["since"].startswith("2026-11-11")  # drawn: five days before the end


def test_trends_are_printed_and_come_as_json() -> None:
    table = call("analyze", "--facts", FACTS, "--workflow", "blast-search", "--trends", "--time-zone", "Europe/Berlin")
    assert table.returncode == 0, table.stderr
    assert "in time zone Europe/Berlin" in table.stdout
    for title in ("HOURLY", "DAILY", "WEEKLY", "MONTHLY"):
        assert title in table.stdout
    assert "2026-11-12 Thu   3      100%      34m09s" in table.stdout
    answer = call("analyze", "--facts", FACTS, "--period", "weekly", "-o", "json")
    trends = {w["workflow"]["name"]: w["trends"] for w in json.loads(answer.stdout)["workflows"]}["blast-search"]
    assert set(trends) == {"timeZone", "currency", "countedBy", "weekly"}
    weeks = trends["weekly"]["periods"]
    assert [w["runs"]["total"] for w in weeks] == [20, 21, 1]
    assert weeks[1]["figures"]["durationSeconds"]["mean"] == pytest.approx(2044, abs=2)
    assert set(trends["weekly"]["steps"]) == {"split", "index", "search", "join"}


def test_what_if_replays_the_observed_runs() -> None:
    half = call("what-if", "blast-search", "--facts", FACTS, "--scale", "search=0.5")
    assert half.returncode == 0, half.stderr
    assert re.search(r"^15m\d\ds \(49%\) shorter per run, .* over 42 runs with a mean of 31m\d\ds\.$", half.stdout)
    narrow = call("what-if", "blast-search", "--facts", FACTS, "--limit", "2")
    assert "longer" in narrow.stdout, narrow.stdout + narrow.stderr


def test_a_workflow_may_be_named_with_its_kind() -> None:
    plain = call("what-if", "blast-search", "--facts", FACTS, "--scale", "search=0.5").stdout
    for kind in ("WorkflowTemplate", "wftmpl"):
        assert call("what-if", f"{kind}/blast-search", "--facts", FACTS, "--scale", "search=0.5").stdout == plain
    assert call("analyze", "--workflow", "cronjob/align-reads", "--facts", FACTS, "-o", "table").stdout.count("\n") == 2
    answer = call("runs", "cronjob/blast-search", "--facts", FACTS)
    assert (answer.returncode, "cronjob/blast-search" in answer.stderr) == (1, True)


def test_without_definitions_the_graph_is_inferred_and_that_is_said(tmp_path: Path) -> None:
    lines = gzip.decompress(FACTS.read_bytes()).decode().splitlines()
    kept = [line for line in lines if not line.startswith('{"object"')]
    kept[-1] = json.dumps({"end": {**json.loads(kept[-1])["end"], "objects": 0}})
    bare = tmp_path / "bare.jsonl"
    bare.write_text("\n".join(kept) + "\n")
    answer = call("analyze", "--facts", bare, "--workflow", "blast-search")
    assert answer.returncode == 0, answer.stderr
    assert "the graph was inferred from observed times" in answer.stdout
    assert "blastall" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["analyze"], 2, "give --facts FILE, --prometheus URL, or --config FILE"),
        (["analyze", "--facts", "/nowhere.jsonl"], 1, "/nowhere.jsonl: cannot be read"),
        (["analyze", "--trends", "--time-zone", "Mars/Base"], 2, "there is no time zone Mars/Base"),
        (["analyze", "--trends", "--time-zone", "../etc/passwd"], 2, "there is no time zone ../etc/passwd"),
        (["analyze", "--trends", "--facts", str(FACTS), "-o", "markdown"], 2, "not as markdown"),
        (["analyze", "--facts", str(FACTS), "--prometheus", "http://x"], 2, "not both"),
        (["analyze", "--prometheus", "ftp://x"], 2, "error: --prometheus: write it as http://host"),
        (["analyze", "--prometheus", "http://x", "--matcher", "1a=b"], 2, "error: --matcher: must be a label name"),
        (
            ["analyze", "--facts", str(FACTS), "--trends", "--history", str(FACTS)],
            1,
            "is no history file of the operator",
        ),
        (["analyze", "--prometheus", "http://127.0.0.1:1", "--window", "1h"], 1, "127.0.0.1:1"),
        (["analyze", "--facts", str(FACTS), "--workflow", "nope"], 1, "no workflow named nope"),
        (["analyze", "--facts", str(FACTS), "--window", "soon"], 2, "write it as 14d"),
        (["analyze", "--facts", str(FACTS), "--definitions", "/nowhere"], 1, "cannot be read"),
        (["record", "/nowhere/f", "--prometheus", "http://127.0.0.1:1", "--window", "1h"], 1, "127.0.0.1:1"),
        (["check-config"], 2, "give the FILE"),
        (["check-config", "/nowhere.yaml"], 1, "cannot be read"),
        (["doctor", "--skip-cluster"], 2, "nothing to check"),
        (["frobnicate"], 2, "No such command"),
        (["dismiss"], 2, "name PROFILE and RECOMMENDATION"),
        (["dismiss", "etl", "right-size"], 2, "give a reason"),
        (["dismiss", "etl", "right-size", "-r", "x", "--for", "soon"], 2, "--for: "),
        (["approve"], 2, "name a CHANGE"),
        (["approve", "--below", "cheap"], 2, "--below: 'cheap' is not an amount"),
        (["explain", "etl", "--operator", "concertmaster"], 2, "NAMESPACE/SERVICE, not concertmaster"),
        (["what-if", "blast-search", "--facts", str(FACTS), "--limit", "2.5"], 2, "--limit: 2.5 is not a whole number"),
        (["what-if", "blast-search", "--facts", str(FACTS), "--drop", "spilt:search"], 1, "spilt"),
        (["what-if", "blast-search", "--facts", str(FACTS), "--limit", "=2"], 2, "--limit is written [STEP=]N"),
        (["what-if", "blast-search", "--facts", str(FACTS), "--batch", "search=1.5"], 2, "is not a whole number"),
        (["what-if", "blast-search", "--facts", str(FACTS)], 2, "name a change"),
        (["what-if", "blast-search", "--facts", str(FACTS), "--scale", "x=2"], 1, "has no step x; it has index"),
        (["what-if", "blast-search", "--facts", str(FACTS), "--scale", "search"], 2, "--scale is written"),
        (["what-if", "blast-search", "--facts", str(FACTS), "--limit", "0"], 2, "lets nothing run"),
        (["what-if", "blast-search", "--facts", str(FACTS), "--batch", "search=inf"], 2, "is not between"),
        (["crds", "--write", "/proc/nowhere"], 1, "cannot be written"),
        (["what-if", "blast-search", "--facts", str(FACTS), "--workers", "search"], 1, "always ran with 6 pods"),
        (["what-if", "nope", "--facts", str(FACTS), "--limit", "1"], 1, "no workflow named nope"),
    ],
)
def test_mistakes_end_with_one_message_and_no_traceback(arguments: list[str], status: int, message: str) -> None:
    answer = call(*arguments)
    assert answer.returncode == status, answer.stdout + answer.stderr
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"proxy-url": "socks5://127.0.0.1:1080"}, "a SOCKS proxy is not supported; name an HTTP proxy"),
        ({"certificate-authority": "/nowhere"}, "/nowhere"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why(tmp_path: Path, change: dict[str, str], message: str) -> None:
    cluster = {"server": "https://127.0.0.1:1", **change}
    parts = {"cluster": cluster, "user": {}, "context": {"cluster": "x", "user": "x"}}
    lists = {f"{kind}s": [{"name": "x", kind: part}] for kind, part in parts.items()}
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x", **lists}))
    answer = call("top", "--kubeconfig", file)
    assert (answer.returncode, "Traceback" in answer.stderr) == (1, False)
    assert "no connection to a cluster" in answer.stderr and message in answer.stderr


@pytest.mark.parametrize(
    ("context", "hint"), [("stagin", "did you mean staging?"), ("minikube", "it has production and staging")]
)
def test_a_context_that_is_not_in_the_kubeconfig_is_named(tmp_path: Path, context: str, hint: str) -> None:
    lists: dict[str, Any] = {f"{kind}s": [{"name": "x", kind: {}}] for kind in ("cluster", "user")}
    lists["contexts"] = [{"name": name, "context": {"cluster": "x", "user": "x"}} for name in ("staging", "production")]
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "staging", **lists}))
    answer = call("top", "--kubeconfig", file, "--context", context)
    assert (answer.returncode, answer.stderr) == (1, f"error: {file} has no context {context}: {hint}\n")


def test_broken_files_are_named_with_their_line(tmp_path: Path) -> None:
    broken = tmp_path / "w.yaml"
    broken.write_text("apiVersion: v1\nkind: [\n")
    assert f"{broken}, line" in call("analyze", "--facts", FACTS, "--definitions", broken).stderr
    other = tmp_path / "x.yaml"
    other.write_text("just: text\n")
    assert "is no Kubernetes object" in call("analyze", "--facts", FACTS, "--definitions", other).stderr
    date = tmp_path / "d.yaml"
    date.write_text("apiVersion: v1\nkind: Job\nspec: {start: 2026-02-31}\n")
    answer = call("analyze", "--facts", FACTS, "--definitions", date)
    assert f"error: {date}: a value is not what it looks like (day is out of range" in answer.stderr
    twice = tmp_path / "t.yaml"
    twice.write_text("apiVersion: batch/v1\nkind: Job\nspec:\n  parallelism: 2\n  parallelism: 4\n")
    answer = call("analyze", "--facts", FACTS, "--definitions", twice)
    assert f"error: {twice}, line 5: is not valid YAML: parallelism is set twice. Correct it." in answer.stderr
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(FACTS.read_bytes()[:-4000])
    answer = call("analyze", "--facts", cut)
    assert answer.returncode == 1
    assert str(cut) in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("levels", [101, 50_000])
def test_definitions_nested_too_deeply_are_refused_and_end_nothing(tmp_path: Path, levels: int) -> None:
    """A parser that follows each level on its stack would end the process."""
    deep = tmp_path / "deep.yaml"
    deep.write_text("kind: Job\napiVersion: batch/v1\nspec: " + "[" * levels + "]" * levels)
    answer = call("analyze", "--facts", FACTS, "--definitions", deep)
    assert answer.returncode == 1
    said = f"{deep}, line 3: is not valid YAML: it is nested too deeply, at more than 100 levels. Correct it."
    assert said in answer.stderr


def test_a_policy_given_as_a_file_changes_the_objectives(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "apiVersion: concertmaster.dev/v1alpha1\nkind: OptimizationPolicy\n"
        "metadata: {name: strict, namespace: demo}\n"
        "spec: {priority: 9, objectives: {duration: {p95: 1m}}, rules: [{name: degradation, mode: Disabled}]}\n"
    )
    answer = call("analyze", "--facts", FACTS, "--definitions", policy, "--workflow", "blast-search", "-o", "json")
    assert answer.returncode == 0, answer.stderr
    (view,) = json.loads(answer.stdout)["workflows"]
    assert next(o for o in view["objectives"] if o["name"] == "duration p95")["target"] == "1m00s"
    assert all(r["rule"] != "degradation" for r in view["recommendations"])


def test_window_until_and_namespace_hold_for_recorded_facts_too() -> None:
    week = json.loads(call("analyze", "--facts", FACTS, "--window", "7d", "-o", "json").stdout)["workflows"]
    found = {w["workflow"]["name"]: w for w in week}
    assert found["sra-search"]["runs"]["total"] == 7
    early = json.loads(call("analyze", "--facts", FACTS, "--until", "2026-11-10T00:00:00Z", "-o", "json").stdout)[
        "workflows"
    ]
    search = next(w for w in early if w["workflow"]["name"] == "blast-search")
    assert search["lastRun"] < "2026-11-10"
    assert search["trend"]["changes"] == []
    answer = call("analyze", "--facts", FACTS, "-n", "nope")
    assert answer.returncode == 1
    assert "no pod" in answer.stderr


def test_names_cannot_act_on_the_terminal_or_the_shell(tmp_path: Path) -> None:
    lines = gzip.decompress(FACTS.read_bytes()).decode().splitlines()
    odd = "x; touch pwned #"
    hostile = [line.replace('"split"', json.dumps(odd)) if line.startswith('{"object"') else line for line in lines]
    hostile = [
        line.replace('"search"', '"se\\u001b[31march"') if line.startswith('{"object"') else line for line in hostile
    ]
    file = tmp_path / "odd.jsonl"
    file.write_text("\n".join(hostile) + "\n")
    text = call("analyze", "--facts", file).stdout
    assert "\x1b" not in text
    assert odd in text


def test_analyze_needs_no_operator_for_what_it_says_to_do() -> None:
    """No command asks an operator, which need not be there; evidence and next steps are printed instead."""
    for output in ("wide", "markdown"):
        text = call("analyze", "--facts", FACTS, "-o", output).stdout
        assert "kubectl concertmaster" not in text
        for said in (
            "Evidence: ",
            "kubectl -n demo get workflowtemplate blast-search -o yaml --show-managed-fields",
            "concertmaster what-if sra-search",
            "fetch/main requests.memory: 2Gi -> 640Mi",
        ):
            assert said in text, (output, said)


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "\n"),
        (UserError("the file is gone"), 1, "error: the file is gone\n"),
        (CallError("give one of both"), 2, "error: give one of both\n"),
    ],
)
def test_what_ends_a_command_is_told_by_its_exit_status(
    raised: BaseException, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(cli.get_command(click.Context(cli), "crds"), "callback", end)
    monkeypatch.setattr("concertmaster.cli.silence_urllib3", lambda: None)  # for the whole process
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "argv", ["concertmaster", "crds"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err) == (status, said)


def test_a_closed_pipe_is_no_error() -> None:
    for reader, first, status in (
        ("head -1", "WORKFLOW", None),
        ("true", "", "141"),
    ):  # as of a program that SIGPIPE ends
        command = f"{sys.executable} -m concertmaster analyze --facts {FACTS} | {reader}; echo ${{PIPESTATUS[0]}}"
        answer = subprocess.run(
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
            timeout=120,
            check=False,
        )
        assert answer.stdout.startswith(first)
        assert status in (None, answer.stdout.splitlines()[-1])
        assert answer.stderr == ""


def test_output_is_utf_8_whatever_the_locale_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "iso-8859-1")
    answer = call("report", "--facts", FACTS, "-o", "html", encoding="utf-8")
    assert answer.returncode == 0, answer.stderr
    assert "–" in answer.stdout


def test_output_that_cannot_be_written_is_an_error_in_one_line() -> None:
    command = f"{sys.executable} -m concertmaster crds > /dev/full"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    answer = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=240, check=False
    )
    assert answer.returncode == 1
    assert answer.stderr == "error: the output cannot be written: No space left on device. Write it elsewhere.\n"


def test_crds_are_fresh_and_stale_ones_are_named(tmp_path: Path) -> None:
    assert call("crds", "--check", ROOT / "crds").returncode == 0
    assert call("crds", "--write", tmp_path).returncode == 0
    file = next(tmp_path.glob("workflowprofiles*"))
    file.write_text(file.read_text() + "# changed\n")
    answer = call("crds", "--check", tmp_path)
    assert answer.returncode == 1
    assert file.name in answer.stderr

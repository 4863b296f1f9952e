"""``report`` as a user meets it: from facts, and from a cluster with the reader's own rights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from concertmaster.api.views.fleet import PeriodReport
from concertmaster.cli import cli
from concertmaster.cli.commands.explore.report import command, figures_of, from_cluster
from concertmaster.cli.errors import UserError
from concertmaster.kube.client import KubeClient
from concertmaster.kube.operator_service import OperatorService
from concertmaster.report.period.render import document
from tests.support.controller.apiserver import Answer, Request, failure, serving
from tests.support.web.objects import change, profile

NOW = 1_801_360_000.0  # 2027-01-31
DAY = 86_400.0


def asking(client: KubeClient) -> OperatorService:
    """The operator as ``client`` asks it."""
    return OperatorService(client, "concertmaster", "concertmaster")


FACTS = Path(__file__).resolve().parents[5] / "examples" / "facts" / "demo.jsonl.gz"


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (
            0,
            "cost and waiting are those of the policy's analysis window, not of the period: its daily rows are not known.",
        ),
        (
            7,
            "cost and waiting of 7 of 10 workflows are those of the period; of the others they are those of the policy's",
        ),
        (10, "cost and waiting are those of the period. Implemented"),
    ],
)
def test_it_says_whose_figures_are_those_of_the_period(known: int, said: str) -> None:
    assert said in figures_of(known, 10)


def test_from_facts_every_amount_rests_on_the_analysis(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    answer = CliRunner().invoke(
        cli, ["report", "--facts", str(FACTS), "--by", "team", "-o", "json", "-f", str(file)], catch_exceptions=False
    )
    assert answer.exit_code == 0, answer.output
    made = PeriodReport.model_validate_json(file.read_text())
    assert made.summary.workflows == 3
    assert made.days == pytest.approx(14.0)
    assert [note for note in made.notes if "newest runs" in note] == [
        "Of some workflows only the newest runs count (analysis.maxRuns): demo/align-reads (200 of 336)."
    ]
    assert {g.name for g in made.cost_by_label} == {"genomics", "(no label)"}
    assert [d.recommendation for d in made.degradations] == ["degradation.search"]
    by_workflow = {g.name: g.cost_per_month for g in made.cost_by_workflow}
    steps = [g for g in made.cost_by_step if g.name.startswith("demo/blast-search/")]
    assert sum(g.cost_per_month for g in steps) == pytest.approx(by_workflow["demo/blast-search"], rel=0.01)
    (compute,) = made.cost_by_component
    assert (compute.name, compute.workflows, compute.runs) == ("compute", 3, made.summary.runs)
    assert compute.after_per_month is not None
    saved = compute.cost_per_month - compute.after_per_month
    available = made.summary.available.money["USD"]
    assert (
        0.8 * available < saved < available
    )  # what is saved is that of the runs since search takes longer, the cost that of all
    unchanged = {g.name.removeprefix("demo/") for g in made.cost_by_step if g.after_per_month == g.cost_per_month}
    assert unchanged == {"blast-search/split", "blast-search/index", "sra-search/index", "sra-search/merge"}
    (join,) = [g for g in made.cost_by_step if g.name == "demo/blast-search/join"]
    assert join.after_per_month is not None and join.after_per_month > join.cost_per_month  # its requests are raised
    assert any("14 of 30 days" in note for note in made.notes)
    assert any("demo/align-reads (200 of 336)" in note for note in made.notes)


def test_a_dash_is_stdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = [
        CliRunner().invoke(cli, ["report", "--facts", str(FACTS), "-o", "csv", *more], catch_exceptions=False).output
        for more in ([], ["-f", "-"])
    ]
    assert said[0] == said[1]
    assert said[0].startswith("namespace,")
    assert list(tmp_path.iterdir()) == []


def test_from_the_cluster_what_may_not_be_read_is_named() -> None:
    def answer(request: Request) -> Answer:
        if "workflowchanges" in request.path or "policies" in request.path:
            return failure(403, "Forbidden", "workflowchanges is forbidden")
        return Answer(body={"items": [profile()], "metadata": {}})

    with serving(answer) as (_, client):
        made = from_cluster(client, asking(client), ["etl"], None, days=30, label=None, now=NOW)
    assert made.summary.workflows == 1
    assert any(note.startswith("WorkflowChanges could not be read") for note in made.notes)
    assert any(note.startswith("Ranked by default prices, a run-hour counted as 2.5") for note in made.notes)


@pytest.mark.parametrize("named", [["-n", "etl", "-n", "etl"], ["-n", "etl,etl"], ["-n", " etl , "]])
def test_a_namespace_named_twice_is_counted_once(monkeypatch: pytest.MonkeyPatch, named: list[str]) -> None:
    def answer(request: Request) -> Answer:
        return Answer(body={"items": [profile()] if "/etl/workflowprofiles" in request.path else [], "metadata": {}})

    with serving(answer) as (_, client):
        monkeypatch.setattr(KubeClient, "connect", lambda *_, **__: client)
        printed = CliRunner().invoke(command, [*named, "-o", "json"])
    assert printed.exit_code == 0, printed.output
    made = json.loads(printed.output)
    assert (made["scope"], made["summary"]["workflows"]) == ("Namespaces etl", 1)


@pytest.mark.parametrize(
    ("answer", "namespaces", "remedy"),
    [
        (failure(403, "Forbidden", "no right"), ["etl"], "ask for the ClusterRole view in namespace etl"),
        (failure(403, "Forbidden", "no right"), [], "name namespaces that you may read with -n NAMESPACE"),
        (failure(404, "NotFound"), [], "install the chart, or choose another --context"),
    ],
)
def test_from_the_cluster_a_list_that_fails_has_its_remedy(answer: Answer, namespaces: list[str], remedy: str) -> None:
    with serving([answer]) as (_, client), pytest.raises(UserError, match=remedy):
        from_cluster(client, asking(client), namespaces, None, days=30, label=None, now=NOW)


def test_only_the_operator_is_asked_by_the_client_that_does_not_wait_long() -> None:
    """A list of thousands of profiles may take longer, and is tried again more often."""
    listed = Answer(body={"items": [profile()], "metadata": {}})
    with serving(lambda _: listed) as (cluster, client), serving(lambda _: listed) as (operator, hasty):
        from_cluster(client, asking(hasty), [], None, days=30, label=None, now=NOW)
    assert {"proxy" in r.path for r in cluster.requests} == {False}
    assert {"proxy" in r.path for r in operator.requests} == {True}


def test_from_the_cluster_changes_belong_to_the_profiles_selected() -> None:
    def answer(request: Request) -> Answer:
        items = [change(), change(1, profile="other")] if "workflowchanges" in request.path else [profile()]
        return Answer(body={"items": items, "metadata": {}})

    with serving(answer) as (server, client):
        made = from_cluster(client, asking(client), [], "team=data", days=30, label="team", now=NOW)
    assert made.summary.waiting_changes == 1
    assert made.scope == "All namespaces, team=data"
    assert server.requests[0].query["labelSelector"] == "team=data"


def day(date: str, runs: int, **more: object) -> dict[str, object]:
    """A daily row as the operator serves it."""
    return {
        "day": date, "runs": runs, "succeeded": runs - 1, "failed": 1, "timed": runs, "meanSeconds": 600.0,
        "p50Seconds": 500.0, "p95Seconds": 900.0, "cost": 2.0 * runs, "wastedCost": 0.5 * runs, "queueSeconds": 360.0 * runs,
        "metrics": {}, "score": 70, **more,
    }  # fmt: skip


def adoption(id_: str, state: str, first: float, since: float, verdict: str | None = None) -> dict[str, object]:
    """What became of a recommendation, as the operator serves it."""
    return {"id": id_, "state": state, "first": first, "since": since, "verdict": verdict}


def component(step: str | None, name: str, kind: str, per_run: float, after: float = 1.0) -> dict[str, object]:
    """A component of the cost, as the operator serves it; ``after`` is the share that the recommendations leave."""
    month = {"perMonth": per_run * 30, "afterPerMonth": per_run * 30 * after}
    return {"step": step, "component": name, "kind": kind, "perRun": per_run, "unusedPerRun": 0.0, **month}


COMPONENTS = [
    component("extract", "main", "container", 0.25, 0.4),
    component("extract", "proxy", "sidecar", 0.05),
    component("ask", "tokens", "metric", 0.05),
    component(None, "tokens", "metric", 0.01),  # of no step
    component("publish", "main", "container", 0.0),
]


def test_a_long_period_is_counted_from_daily_rows() -> None:
    """100 days, of which the analysis window knows 14; one workflow the operator has not analysed since it started."""
    days = [day("2026-09-01", 1000), day("2026-11-10", 30), day("2026-12-10", 40), day("2027-01-10", 50, cost=None)]

    adoptions = [
        adoption("timeout.a", "Implemented", NOW - 90 * DAY, NOW - 9 * DAY, "Improved"),
        adoption("timeout.b", "Implemented", NOW - 400 * DAY, NOW - 390 * DAY, "Improved"),
        adoption("variance.a", "Dismissed", NOW - 120 * DAY, NOW - 99 * DAY),
        adoption("right-size", "RolledBack", NOW - 9 * DAY, NOW - 8 * DAY, "Worse"),
        adoption("straggler.a", "Active", NOW - 2 * DAY, NOW - 2 * DAY),
    ]

    def answer(request: Request) -> Answer:
        if "proxy" not in request.path:
            items = [] if "workflowchanges" in request.path else [profile(0), profile(1)]
            return Answer(body={"items": items, "metadata": {}})
        if "nightly-1" in request.path:
            return failure(404, "NotFound")
        if request.path.endswith("/days"):
            return Answer(body={"days": days, "adoptions": adoptions})
        return Answer(body={"recommendations": [], "costComponents": COMPONENTS})

    with serving(answer) as (_, client):
        made = from_cluster(
            client,
            asking(client),
            [],
            None,
            days=100,
            label="team",
            now=NOW,
        )
    assert made.counted == 1
    assert "of 1 of 2 workflows" in made.notes[0]
    counted, other = sorted(made.workflows, key=lambda w: w.profile)
    assert (counted.runs, counted.failed_runs) == (120, 3)
    assert counted.p95_seconds == pytest.approx(900.0, rel=0.01)  # days keep no single runs
    assert counted.queueing_seconds == pytest.approx(360.0)
    assert counted.success_percent == 97.5
    assert other.runs == 29, "of the analysis window"
    assert made.adopted is not None
    assert made.adopted.model_dump() == {
        "recommended": 3, "implemented": 1, "improved": 1, "rolled_back": 1, "dismissed": 1, "obsolete": 0,
    }  # fmt: skip
    assert "In the period: 3 recommended, 1 implemented (1 of them measured as improved)" in document(made, "md")
    assert "1 implemented (1 of them measured as improved), 1 rolled back" in document(made, "html")
    first = 81.9  # days from 2026-11-10 to now: what lies before the first row is not known
    assert counted.runs_per_month == pytest.approx(120 / first * 30, rel=0.01)
    assert counted.cost_per_month == pytest.approx(2.0 * 70 / first * 30, rel=0.01)
    assert made.summary.queueing_hours == pytest.approx(0.1 * 120 / first * 30, rel=0.01)
    months = {m.month: m for m in made.months}
    assert list(months) == ["2026-11", "2026-12", "2027-01"], "September lies before the period"
    assert (months["2026-11"].runs, months["2026-11"].cost, months["2026-11"].wasted_cost) == (
        30,
        {"USD": 60.0},
        {"USD": 15.0},
    )
    assert months["2027-01"].cost == {}
    assert months["2026-12"].queueing_hours == pytest.approx(4.0)
    rate = 120 / first * 30
    steps = {g.name: (g.cost_per_month, g.after_per_month) for g in made.cost_by_step}
    assert steps == {
        "etl/nightly-0/extract": (pytest.approx(0.30 * rate, rel=0.01), pytest.approx(0.15 * rate, rel=0.01)),
        "etl/nightly-0/ask": (pytest.approx(0.05 * rate, rel=0.01), pytest.approx(0.05 * rate, rel=0.01)),
    }
    assert {g.name: (round(g.cost_per_month / rate, 2), g.workflows) for g in made.cost_by_component} == {
        "compute": (0.25, 1), "tokens": (0.06, 1), "sidecar proxy": (0.05, 1),
    }  # fmt: skip


def test_an_operator_that_cannot_be_reached_is_asked_once_and_named() -> None:
    def answer(request: Request) -> Answer:
        if "proxy" in request.path:
            return failure(403, "Forbidden", "services/proxy is forbidden")
        items = [] if "workflowchanges" in request.path else [profile(i) for i in range(20)]
        return Answer(body={"items": items, "metadata": {}})

    with serving(answer) as (server, client):
        made = from_cluster(client, asking(client), [], None, days=100, label=None, now=NOW)
    assert sum("proxy" in r.path for r in server.requests) == 1
    assert any("--role=concertmaster-explain" in note for note in made.notes)
    assert (made.counted, made.months, made.cost_by_step, made.adopted) == (0, (), (), None)
    assert "In the period" not in document(made, "md")


@pytest.mark.parametrize("option", [["--until", "0001-01-01"], ["--days", "nan"], ["--days", "inf"]])
def test_a_period_that_is_none_is_refused(option: list[str]) -> None:
    printed = CliRunner().invoke(command, ["--facts", str(FACTS), *option])
    assert printed.exit_code == 2, printed.exception
    assert "Invalid value" in printed.output

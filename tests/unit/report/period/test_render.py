"""The report over a period in its four forms."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest

from concertmaster.api.views.fleet import PeriodReport
from concertmaster.core.model.daily import DailyRow, RecommendationOutcome
from concertmaster.core.times import parse_time
from concertmaster.report.costs.groups import PricedWorkflow
from concertmaster.report.period.document import ReportScope, period_report
from concertmaster.report.period.render import FORMATS, document
from concertmaster.report.workflows.fleet import FleetView
from tests.support.web.objects import Raw, change, hostile, profile, recommendation, result

NOW = parse_time("2027-01-31T01:00:00Z")


def report(*profiles: Raw, changes: tuple[Raw, ...] = ()) -> PeriodReport:
    scope = ReportScope(NOW - 30 * 86400.0, NOW, "cluster", "All namespaces", "team")
    return period_report(FleetView(profiles, changes, NOW), scope, notes=["one", "one"], priced=())


class Elements(HTMLParser):
    """All elements of a document with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_is_one_file_that_loads_nothing_and_runs_nothing() -> None:
    html = document(report(profile(), changes=(change(),)), "html")
    elements = Elements(html).found
    assert not {tag for tag, _ in elements} & {"script", "link", "img", "iframe", "object", "form", "base"}
    assert not [a for _, attributes in elements for a in attributes if a.startswith("on") or a in ("src", "style")]
    assert "url(" not in html
    assert "default-src 'none'" in html
    assert "12.5 USD" in html


def test_old_figures_and_the_reason_for_no_recommendation_are_notes_of_the_report() -> None:
    assert report(profile()).notes == ("one",)
    old = report(profile(dataUntil="2027-01-20T20:19:00Z", recommendations=[]))
    for form in ("html", "md"):
        text = document(old, form)
        assert "1 of 1 workflow is not up to date: showing figures based on data up to 2027-01-20 20:19 UTC." in text
        assert "No recommendations for 1 workflow: 1 analyzed." in text


def test_workflows_not_analysed_yet_are_not_said_to_lack_runs() -> None:
    few = profile(1, recommendations=[], advice=["Insufficient data: 2 of 5 required runs in 14d."])
    new = [profile(n) | {"status": {}} for n in (2, 3)]
    for form in ("html", "md"):
        assert "0 healthy, 1 with insufficient data, 2 not analyzed yet" in document(report(few, *new), form)
        assert "0 healthy, 2 not analyzed yet" in document(report(*new), form)


def test_copies_of_a_workflow_are_one_action_of_the_report() -> None:
    made = report(*(profile(namespace=f"team-{n}") for n in range(12)))
    assert "team-0/nightly-0 and 11 more namespaces" in document(made, "html")
    assert "| team-0/nightly-0 and 11 more namespaces | Right-size CPU request" in document(made, "md")


def test_copies_of_a_workflow_are_one_line_of_each_table() -> None:
    slow = recommendation(id="degradation.search", action="Investigate regression in search")
    flows = [profile(namespace=f"team-{n}", recommendations=[slow]) for n in range(3)]
    for n, flow in enumerate(flows):
        flow["status"]["objectives"] = [f"success: Missed, {80 - n}% (target >= 99%)"]
        flow["status"]["summary"]["costPerMonth"] = f"{10 + n}"
    made = report(*flows)
    assert len(made.degradations) == len(made.objectives) == len(made.cost_by_workflow) == 3
    text = document(made, "md")
    for line in (
        "| team-0/nightly-0 and 2 more namespaces | Investigate regression in search |",
        "| team-2/nightly-0 and 2 more namespaces | success | Missed | 78% (target >= 99%) |",
        "| nightly-0 in 3 namespaces | 87 | 33 USD |",
    ):
        assert line in text
    for section in ("Degradations", "Objectives", "Cost by workflow"):
        assert text.partition(f"## {section}\n")[2].partition("\n## ")[0].count("nightly-0") == 1
    assert document(made, "html").count("nightly-0 in 3 namespaces") == 1


def test_a_cost_that_is_not_known_is_not_zero() -> None:
    flow = profile()
    flow["status"]["summary"].pop("costPerMonth", None)
    text = document(report(flow), "md")
    assert "- Cost per month: –" in text
    assert "Cost by workflow" not in text


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_texts_stay_text(form: str) -> None:
    text = document(report(*hostile()), form)
    if form == "html":
        assert not {tag for tag, _ in Elements(text).found} & {"script", "img", "svg"}
        assert "&lt;script&gt;" in text
        assert "{{ 7919 * 7907 }}" in text
    if form == "md":
        assert "\x00" not in text
        assert not re.search(r"(?<!\\)<[a-zA-Z/!]", text), "a wiki may let HTML pass"
    if form == "json":
        assert json.loads(text)["summary"]["workflows"] == len(hostile())
    if form == "csv":
        assert len(list(csv.reader(io.StringIO(text)))) == len(hostile()) + 1


def test_what_tenants_write_is_no_table_link_or_image_of_the_markdown() -> None:
    because = "it failed: a|b\\|c ![](http://x.example/p.png) <img src=x> 2 -> 3 <= 4"
    made = report(profile(recommendations=[recommendation(id="degradation.load", action="x", because=because)]))
    row = next(line for line in document(made, "md").splitlines() if "it failed" in line)
    assert row.startswith(
        "| etl/nightly-0 | x | it failed: a\\|b\\\\\\|c ![]\\(http://x.example/p.png) \\<img src=x> 2 -> 3 <= 4 |"
    )


def test_a_share_is_the_same_in_both_forms() -> None:
    days = {("etl", "nightly-0"): [DailyRow(int(NOW // 86400) - 2, "", 40, 37, 3)]}
    scope = ReportScope(NOW - 30 * 86400.0, NOW, "cluster", "All namespaces")
    made = period_report(FleetView([profile()], (), NOW), scope, notes=(), priced=(), days=days)
    assert made.months[0].success_percent == 92.5
    assert "| 92.5% |" in document(made, "md")
    assert ">92.5%<" in document(made, "html")


def test_a_cell_is_never_a_formula() -> None:
    top = {"target": "=HYPERLINK(1)/@SUM(A1)", "top": "-2+3"}
    rows = list(csv.DictReader(io.StringIO(document(report(profile(summary=top)), "csv"))))
    assert rows[0]["kind"].startswith("'=")
    assert rows[0]["workflow"].startswith("'@")
    assert rows[0]["top"].startswith("'-")
    assert rows[0]["team"] == "data"


@pytest.mark.parametrize("begin", ["=", "+", "-", "@"])
def test_whatever_a_spreadsheet_takes_for_a_formula_is_quoted(begin: str) -> None:
    (row,) = csv.DictReader(io.StringIO(document(report(profile(summary={"target": f"{begin}1/x", "top": ""})), "csv")))
    assert row["kind"] == f"'{begin}1"


def test_json_is_the_model() -> None:
    made = report(profile(), profile(1, results=[result()]))
    assert PeriodReport.model_validate_json(document(made, "json")) == made
    assert {g.name: g.cost_per_month for g in made.cost_by_label} == pytest.approx({"data": 30.0, "ml": 30.0})
    assert made.summary.realised.money == pytest.approx({"USD": 30.0})
    assert made.notes == ("one",)


def test_only_results_of_the_period_are_listed() -> None:
    old = result(id="right-size.old", since="2026-12-01T00:00:00Z")
    assert [r.recommendation for r in report(profile(results=[result(), old])).results] == ["right-size.transform"]


def test_degradations_and_the_demand_forecast_are_named() -> None:
    slow = recommendation(
        id="degradation.search", action="Investigate regression in search", impact="3 run-hours a month"
    )
    made = report(profile(recommendations=[slow], insights=["Plan for 5 cores (demand-forecast)"]))
    assert [d.action for d in made.degradations] == ["Investigate regression in search"]
    assert made.demand == ("etl/nightly-0: Plan for 5 cores",)
    text = document(made, "md")
    assert "## Degradations" in text
    assert "- etl/nightly-0: Plan for 5 cores" in text


def test_every_part_is_on_the_page() -> None:
    """What the Markdown says is in tests/golden."""
    slow = recommendation(id="degradation.search", action="Investigate regression in search", because="image 1 to 2")
    flow = profile(recommendations=[slow, recommendation()], results=[result()], insights=["5 cores (demand-forecast)"])
    flow["status"]["objectives"] = ["success: Missed, 80% of 99%"]
    scope = ReportScope(NOW - 30 * 86400.0, NOW, "cluster", "All namespaces", "team")
    cost = {
        "step": "transform",
        "component": "proxy",
        "kind": "sidecar",
        "perRun": 0.5,
        "perMonth": 15,
        "afterPerMonth": 9,
    }
    priced = [PricedWorkflow("etl/nightly-0", "USD", 29, 30.0, [cost])]
    adopted = [
        RecommendationOutcome("timeout.a", "Implemented", NOW - 9 * 86400.0, NOW - 8 * 86400.0, verdict="Improved")
    ]
    made = period_report(FleetView((flow,), (change(),), NOW), scope, priced=priced, adoptions=adopted, notes=())
    text = " ".join(Elements(document(made, "html")).text.split())
    for part, shown in (
        ("savings available", "12.5 USD"),
        ("savings realized", "30 USD"),
        ("Most valuable actions", "Right-size CPU request of transform"),
        ("Degradations", "Investigate regression in search image 1 to 2"),
        ("Objectives", "success"),
        ("1 implemented (1 of them measured as improved)", ""),
        ("Verdict", "Lower the memory request of transform"),
        ("Demand forecast", "etl/nightly-0: 5 cores"),
        ("Cost by label team", "data"),
        ("Cost by namespace", "etl"),
        ("Cost by namespace Namespace Workflows Runs", ""),
        ("Cost by workflow Workflow Runs", "etl/nightly-0"),
        ("Cost by component Component Workflows Runs", "sidecar proxy 1 29 15 USD 9 USD"),
        ("Cost by step Step Runs", "etl/nightly-0/transform 29 15 USD 9 USD"),
    ):
        assert part.lower() in text.lower(), part
        assert shown in text, shown


def test_ten_thousand_workflows_make_a_file_that_opens() -> None:
    made = report(*(profile(i) for i in range(10_000)))
    html = document(made, "html")
    assert len(html) < 1_000_000
    assert re.search(r"9500 more; the CSV and JSON forms have all", html)
    assert len(made.top) == 10


CACHES = [
    {"name": "etl-cache", "lookups": 40, "hits": 30, "savedSeconds": 7200, "entries": 12, "stale": 2},
    {"name": "private", "lookups": 10, "hits": 0, "savedSeconds": 0},
]


def test_caches_of_all_workflows_are_added_up() -> None:
    whole = report(
        profile(name="one", caches=CACHES), profile(name="two", caches=[CACHES[0] | {"savedSeconds": 14_400}])
    )
    assert [(c.profile, c.cache, c.saved_seconds) for c in whole.caches] == [
        ("two", "etl-cache", 14_400),
        ("one", "etl-cache", 7200),
        ("one", "private", 0),
    ]
    total = "67% of 90 lookups hit, 6h00m of work saved in the runs analyzed."
    lines = document(whole, "md").splitlines()
    assert total in lines
    cells = [[c.strip() for c in line.split("|")[2:-1]] for line in lines if "cache |" in line or "private" in line]
    assert cells[-1] == ["private", "10", "0%", "–", "–", "–"]
    assert ["etl-cache", "40", "75%", "2h00m", "12", "2"] in cells
    page = " ".join(Elements(document(whole, "html")).text.split())
    assert total in page
    assert "etl-cache 40 75%" in page


def test_without_caches_there_is_no_section() -> None:
    for form in ("md", "html"):
        assert "Caches" not in document(report(profile()), form)


@pytest.mark.parametrize("form", ["html", "md"])
def test_objectives_that_are_met_are_a_number(form: str) -> None:
    both = ["success: Missed, 81.5% (target >= 95.0%), steady", "duration p95: Met, 5m00s (target <= 6m00s), steady"]
    shown = document(report(profile(1, objectives=both), profile(2)), form)
    plain = Elements(shown).text if form == "html" else shown
    assert "81.5% (target" in plain
    assert "Met: 2; the JSON form has them." in plain
    assert "5m00s (target" not in plain
    only = document(report(profile()), form)
    assert "Met: 1; the JSON form has them." in only
    assert "No objective is set" not in only


def test_success_reads_as_in_the_status_of_the_profile() -> None:
    assert ">96.7%<" in document(report(profile()), "html")

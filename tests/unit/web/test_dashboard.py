"""The dashboard over HTTP: who may open it, what its pages say, and that nothing of a cluster becomes markup."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from concertmaster.core.changes.phases.proposed import ASKS
from concertmaster.core.model.daily import RUN, Baseline, DailyRow
from concertmaster.report import daily
from concertmaster.report.workflows.fleet import FleetView
from concertmaster.web.readers import MemoryReader, Unavailable
from concertmaster.web.vendored import INTEGRITY
from tests.support.web.analysed import analysed, past
from tests.support.web.objects import HOSTILE, change, hostile, profile, recommendation, result, running
from tests.support.web.server import NOW, Dashboard, dashboard, memory


class Elements(HTMLParser):
    """Elements of a document with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {k: v or "" for k, v in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def names(self) -> set[str]:
        return {tag for tag, _ in self.found}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Dashboard]:
    flow, document = analysed()
    profiles = [profile(0, results=[result()]), profile(1, namespace="ml"), flow]
    reader = memory(
        *profiles, changes=(change(),), details={("demo", "nightly"): document}, notes=("one thing is missing",)
    )
    with dashboard(reader) as running:
        yield running


def test_the_page_says_where_it_ranks_by_default_prices() -> None:
    view = FleetView([profile(0)], (), NOW)
    for policies_read in (True, False):
        with dashboard(MemoryReader(replace(view, policies_read=policies_read))) as served:
            text = Elements(served.get("/").text).text
            assert (
                "Ranked by default prices, a run-hour counted as 2.5 and a failed run as 10" in text
            ) is not policies_read


def test_late_runs_stand_on_the_first_page_and_all_in_progress_on_that_of_their_workflow() -> None:
    late = profile(0, running=[running(late=True), running(name="nightly-calm", step="load")])
    with dashboard(memory(late, profile(1))) as served:
        first = Elements(served.get("/").text).text
        assert "late runs: 1 of 2 in progress" in first
        assert "Runs late" in first and "nightly-x7k2p" in first and "nightly-calm" not in first
        own = Elements(served.get("/workflows/etl/nightly-0").text).text
        for shown in (
            "Runs in progress",
            "nightly-calm",
            "2027-01-31 00:50 UTC",
            "2027-01-31 01:00 UTC to 2027-01-31 01:20 UTC",
        ):
            assert shown in own
        assert "Runs in progress" not in served.get("/workflows/etl/nightly-1").text
        listed = served.get("/api/v1/running").json
        assert [(r["run"], r["late"]) for r in listed["items"]] == [("nightly-x7k2p", True), ("nightly-calm", False)]
        assert served.get("/api/v1/workflows/etl/nightly-0").json["running"] == listed["items"]
        assert served.get("/api/v1/running?q=nightly-1").json["total"] == 0


def test_the_page_of_a_workflow_has_the_months_that_the_operator_remembers() -> None:
    flow, document = analysed()
    days = [
        DailyRow(
            day,
            RUN,
            2,
            2,
            0,
            2,
            1800.0,
            p50=900.0,
            p95=950.0,
            cost=0.5,
            wasted=0.1,
            queue=4.0,
            metrics={"tokens": tokens},
            score=80,
        )
        for day, tokens in ((20_400, 1200.0), (20_439, 30_000.0), (20_440, 45_000.0))
    ]
    first = Baseline(days[0].start, 30, p50=1800.0, p95=2000.0, success=1.0, cost=0.5, score=60)
    place = ("demo", "nightly")
    for kept, shown in (({place: daily.view(days, RUN, first)}, True), ({}, False)):
        with dashboard(memory(flow, details={place: document}, kept=kept)) as served:
            page = served.get("/workflows/demo/nightly").text
        text = Elements(page).text
        assert ("Months" in text) is shown
        assert ("median duration 30m00s -> 15m00s (-50%" in text) is shown
        for row in (r"2025-11</td>[^\n]*>1200</td></tr>", r"2025-12</td>[^\n]*>75000</td></tr>"):
            assert (re.search(row, page) is not None) is shown
        assert (">tokens</th>" in page) is shown


def test_insights_have_a_heading_of_their_own() -> None:
    flow = profile(0, insights=["Next run: about 9m25s"])
    with dashboard(memory(flow)) as served:
        text = " ".join(Elements(served.get("/workflows/etl/nightly-0").text).text.split())
    assert "Insights Next run: about 9m25s" in text


def test_every_run_that_is_kept_is_listed_shown_and_compared() -> None:
    flow, document = analysed()
    reader = memory(flow, details={("demo", "nightly"): document}, past=lambda _, run: past(run))
    at = "/workflows/demo/nightly"
    with dashboard(reader) as served:
        assert f'href="{at}/runs"' in served.get(at).text
        first, rest = (served.get(f"{at}/runs?limit=20&offset={n}") for n in (0, 20))
        rows = [re.findall(rf'<a href="{at}\?run=(run-\d+)">', page.text) for page in (first, rest)]
        assert rows[0] + rows[1] == [f"run-{n}" for n in reversed(range(30))]
        assert "1 to 20 of 30" in first.text and "21 to 30 of 30" in rest.text
        assert ("Older" in first.text, "Older" in rest.text) == (True, False)
        shown = served.get(f"{at}?run=run-1").text
        assert "<strong>run-1</strong>" in shown and '<option value="run-1" selected>' in shown
        assert "run-29 took" in Elements(served.get(f"{at}/compare?before=run-1&after=latest").text).text
        assert "does not keep both" in served.get(f"{at}/compare?before=run-99").text
        listed = served.get(f"/api/v1{at}/runs?limit=7&offset=25").json
        assert (listed["total"], [r["run"] for r in listed["runs"]]) == (30, [f"run-{n}" for n in (4, 3, 2, 1, 0)])
        assert served.get(f"/api/v1{at}/runs/run-1").json["run"] == "run-1"


def test_a_run_of_the_history_is_shown_where_the_analysis_has_none() -> None:
    flow, document = analysed()
    bare = {**document, "recent": {**document["recent"], "runs": [], "typical": None}}
    reader = memory(flow, details={("demo", "nightly"): bare}, past=lambda _, run: past(run))
    with dashboard(reader) as served:
        shown = served.get("/workflows/demo/nightly?run=run-1")
    assert shown.status == 200 and "<strong>run-1</strong>" in shown.text


def test_pages_of_the_fleet_stay_as_long_as_the_first() -> None:
    with dashboard(memory(profile(0), profile(1), profile(2))) as served:
        following = re.search(r'rel="next" href="([^"]+)"', served.get("/?limit=1").text)
        assert following is not None
        assert "2 to 2 of 3" in served.get(following[1].replace("&amp;", "&")).text


def test_where_the_history_cannot_be_asked_the_newest_runs_are_listed(fleet: Dashboard) -> None:
    text = fleet.get("/workflows/demo/nightly/runs").text
    assert "Only the newest 11 of 30 runs are at hand" in text
    assert "run-29" in text


# --- who may open it


def test_without_the_secret_nothing_is_shown(fleet: Dashboard) -> None:
    for path in ("/", "/api/v1/summary", "/static/style.css", "/workflows/etl/nightly-0"):
        assert fleet.get(path, Authorization="").status == 403
        assert fleet.get(path, Authorization="Bearer x").status == 403
    assert fleet.get("/?token=wrong", Authorization="").status == 403
    for undecodable in ({"Authorization": "Bearer \xff"}, {"Authorization": "", "Cookie": "concertmaster=\xff"}):
        answer = fleet.get("/", **undecodable)
        assert answer.status == 403 and "Content-Security-Policy" in answer.headers


def test_the_secret_moves_from_the_address_into_a_cookie(fleet: Dashboard) -> None:
    first = fleet.get(f"/?token={fleet.secret.value}&sort=name", Authorization="")
    assert first.status == 303
    assert first.headers["Location"] == "/?sort=name"
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert fleet.get("/", Authorization="", Cookie=cookie.partition(";")[0]).status == 200
    assert fleet.secret.value not in repr(fleet.secret)


def test_a_name_that_was_rebound_to_the_loopback_is_refused(fleet: Dashboard) -> None:
    assert fleet.get("/", Host="evil.example:80").status == 421
    assert fleet.get("/", Host="localhost:1234").status == 200


@pytest.mark.parametrize("path", ["/", "/workflows/demo/nightly", "/nothing", "/api/v1/summary", "/static/page.js"])
def test_every_answer_has_the_headers(fleet: Dashboard, path: str) -> None:
    headers = fleet.get(path).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_nothing_can_be_written(fleet: Dashboard) -> None:
    request = urllib.request.Request(
        f"{fleet.url}/api/v1/changes", b"", {"Authorization": f"Bearer {fleet.secret.value}"}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 405


# --- what it says


def test_the_fleet_page_sums_up_and_lists(fleet: Dashboard) -> None:
    text = " ".join(Elements(fleet.get("/").text).text.split())
    assert "3workflows, 3 healthy" in text
    assert "one thing is missing" in text
    assert "kubectl concertmaster approve change-0 -n etl" in text
    assert "1 to 3 of 3" in text
    filtered = Elements(fleet.get("/?namespace=ml").text).text
    assert "ml/nightly-1" in filtered
    assert "etl/nightly-0" not in filtered
    empty = fleet.get("/?q=zzz").text
    assert "No workflow matches" in empty


def test_the_fleet_page_holds_what_its_guide_lists() -> None:
    """Every item of docs/dashboard.md by its figures, not by its heading."""
    missed = ["success: Missed, 80% of 99%", "duration p95: Met, 7m11s (target <= 10m00s), steady"]
    overdue = {"runs": profile()["status"]["runs"] | {"nextExpected": "2027-01-30T20:00:00Z"}}
    flows = [profile(0, results=[result()], objectives=missed), profile(1, **overdue), profile(2)]
    with dashboard(memory(*flows, changes=(change(),))) as served:
        page = Elements(served.get("/").text)
        summary = served.get("/api/v1/summary").json
    text = " ".join(page.text.split())
    for card in (
        "3workflows, 2 healthy",
        "37.5 USDsavings available per month",
        "30 USDsavings realized per month",
        "90 USDcost per month",
        "scheduling latency per month",
        "1objectives missed",
        "1late runs: 0 of 0 in progress, 1 not started",
        "1changes waiting for approval",
    ):
        assert card in text, card
    assert summary["available"]["money"] == {"USD": 37.5}
    for heading, shown in (
        ("Most valuable actions", "12.5 USD (10 to 15)"),
        ("Changes waiting for approval", "kubectl concertmaster approve change-0 -n etl"),
        ("Scheduled runs not started", "etl/nightly-12027-01-30 20:00 UTC"),
        ("Objectives missed", "etl/nightly-0success"),
    ):
        section = text.partition(f" {heading} ")[2]
        assert shown in section[:600], (heading, section[:600])


def test_a_change_that_others_share_says_so_beside_the_command_that_approves_it() -> None:
    """The list showed the predicted effect only: an approver did not learn that further Pipelines change with it."""
    said = "memory request from 4Gi to 2Gi; 1 other Pipeline (deploy) runs Task build too and would change with it"
    message = f"{said}, unverified{ASKS}kubectl concertmaster approve -n etl change-0"
    waits = change(conditions=[{"type": "Approved", "status": "Unknown", "reason": "Waiting", "message": message}])
    with dashboard(memory(profile(0), changes=(waits,))) as served:
        text = " ".join(Elements(served.get("/").text).text.split())
    assert f"{said}, unverifiedkubectl concertmaster approve change-0 -n etl" in text


def test_the_fleet_page_says_which_figures_are_old_and_why_nothing_is_recommended() -> None:
    stale = [{"type": "Ready", "status": "False", "reason": "Stale", "message": "the source does not answer"}]
    old = profile(0, recommendations=[], conditions=stale, dataUntil="2027-01-30T20:19:00Z")
    few = profile(1, recommendations=[], advice=["Insufficient data: 2 of 5 required runs in 14d."])
    with dashboard(memory(old, few)) as served:
        text = " ".join(Elements(served.get("/").text).text.split())
        assert served.get("/api/v1/summary").json["stale"] == 1
    assert "1 of 2 workflows is not up to date: showing figures based on data up to 2027-01-30 20:19 UTC." in text
    assert "etl/nightly-0 data until 2027-01-30 20:19 UTC" in text and "etl/nightly-1 insufficient data" in text
    assert "No recommendations for 2 workflows: 1 analyzed, 1 with insufficient data." in text


def test_the_first_page_after_an_installation_says_that_nothing_is_analysed_yet() -> None:
    with dashboard(memory(*(profile(n) | {"status": {}} for n in range(2)))) as served:
        text = " ".join(Elements(served.get("/").text).text.split())
    assert "Healthy: enough runs, no missed objective" in text
    assert "workflows, 0 healthy, 2 not analyzed yet" in text and "insufficient data" not in text
    assert "No recommendations for 2 workflows: 2 not analyzed yet." in text and "up to date" not in text


def test_a_workflow_is_as_old_alone_as_it_is_in_the_list() -> None:
    """One whose operator is gone still says that it is Ready."""
    with dashboard(memory(profile(0, dataUntil="2027-01-20T20:19:00Z"))) as served:
        listed = served.get("/api/v1/workflows").json["items"]
        alone = served.get("/api/v1/workflows/etl/nightly-0").json
    assert [row["stale"] for row in listed] == [True] and alone["row"]["stale"]


def test_lists_of_the_fleet_page_that_are_cut_say_so() -> None:
    """The cards count all of them: 12 missed objectives above a list of ten must not be a riddle."""
    missed = {"objectives": ["success: Missed, 80% (target >= 99%)"], "running": [running(late=True)]}
    overdue = {"runs": profile()["status"]["runs"] | {"nextExpected": "2027-01-30T20:00:00Z"}}
    flows = [profile(n, **missed, **overdue) for n in range(12)]
    with dashboard(memory(*flows, changes=[change(n, profile=f"nightly-{n}") for n in range(12)])) as served:
        assert served.get("/").text.count("2 more: choose a namespace or a name above to see them.") == 4
        assert "more: choose" not in served.get("/?q=nightly-1").text


def test_copies_of_a_workflow_miss_an_objective_in_one_line() -> None:
    missed = ["success: Missed, 80% (target >= 99%)"]
    with dashboard(memory(*[profile(0, namespace=f"team-{n}", objectives=missed) for n in range(3)])) as served:
        text = " ".join(Elements(served.get("/").text).text.split())
    assert "team-0/nightly-0 and 2 more namespacessuccess" in text


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("namespace=ml", ["nightly-2"]),
        ("label=team%3Dml", ["nightly-1"]),
        ("kind=CronJob", ["nightly-3"]),
        ("severity=High", ["nightly-0"]),
        ("q=NIGHTLY-3", ["nightly-3"]),
        ("label=team%3Ddata&severity=Medium", ["nightly-0", "nightly-2"]),
    ],
)
def test_every_filter_of_the_fleet_page_chooses(query: str, names: list[str]) -> None:
    other = profile(3, summary=profile(3)["status"]["summary"] | {"target": "CronJob/nightly-3"})
    other["metadata"]["labels"] = {"team": "ops"}
    high = [recommendation(severity="High")]
    with dashboard(memory(profile(0, recommendations=high), profile(1), profile(2, namespace="ml"), other)) as served:
        text = served.get(f"/?sort=name&{query}").text
        listed = served.get(f"/api/v1/workflows?sort=name&{query}").json["items"]
    offered = re.findall(r"<option[^>]*>([^<]+)</option>", text)
    assert {"etl", "ml", "CronJob", "WorkflowTemplate", "team=data", "team=ml", "team=ops", "High"} <= {*offered}
    rows = text.partition("All workflows")[2]
    assert list(dict.fromkeys(re.findall(r'href="/workflows/\w+/([\w-]+)"', rows))) == names
    assert [row["profile"] for row in listed] == names


def test_pages_are_cut_on_the_server() -> None:
    with dashboard(memory(*(profile(i) for i in range(120)))) as running:
        first = running.get("/?limit=50&sort=name").text
        assert first.count('<a href="/workflows/etl/') == 60, "fifty lines and ten actions"
        following = re.search(r'rel="next" href="([^"]+)"', first)
        assert following is not None
        second = running.get(following[1].replace("&amp;", "&")).text
        assert "51 to 100 of 120" in second
        assert 'rel="prev"' in second


def test_the_workflow_page_has_every_part(fleet: Dashboard) -> None:
    page = fleet.get("/workflows/demo/nightly")
    assert page.status == 200
    elements = Elements(page.text)
    labels = [a.get("aria-label", "") for tag, a in elements.found if tag == "svg"]
    assert any(label.startswith("Step graph: 4 steps") for label in labels)
    assert any(label.startswith("Gantt chart of 4 pods") for label in labels)
    assert any(re.match(r"Durations of 30 runs over time; they changed since .*: \+4\d%", label) for label in labels)
    assert any("recommended request" in label for label in labels)
    text = " ".join(elements.text.split())
    assert "Critical path: extract" in text
    assert "train (" in text
    assert any(tag == "pre" and "data-copy" in a for tag, a in elements.found)


def test_marks_of_a_step_name_the_resources_they_are_about() -> None:
    flow, document = analysed()
    for step in document["steps"]:
        if step["name"] == "train":
            found = {"inconsistent": True, "overAllocated": True, "overAllocatedResources": ["cpu", "memory"]}
            step["marks"] = step["marks"] | found
    with dashboard(memory(flow, details={("demo", "nightly"): document})) as served:
        text = Elements(served.get("/workflows/demo/nightly").text).text
    assert "inconsistent, over-allocated (cpu, memory)" in text


def test_a_change_point_says_what_is_known_of_its_cause() -> None:
    """The step, and what was changed at the same time; a change ten runs later is not taken for the cause."""
    image = "image of train from registry.example/etl:1 to registry.example/etl:2"
    (after,) = causes(changed_at=15)
    since = r"Since \d{4}-\d\d-\d\d \d\d:\d\d UTC: \+4\d% \(95% interval \+4\d to \+[45]\d%\), train 10m05s -> 15m05s"
    assert re.fullmatch(rf"{since}, at the same time as: {re.escape(image)}", after)
    for changed_at in (25, None):
        (none,) = causes(changed_at)
        assert re.fullmatch(rf"{since}; no change of image, template or resources then", none)


def test_of_an_operator_that_names_no_causes_the_change_points_are_shown_alone() -> None:
    flow, document = analysed(changed_at=15)
    older = {**document, "insights": {k: v for k, v in document["insights"].items() if k != "causes"}}
    with dashboard(memory(flow, details={("demo", "nightly"): older})) as served:
        text = served.get("/workflows/demo/nightly").text
    assert re.search(r"<li><strong>Since [^<]*%</strong> \(95% interval [^)]*%\)</li>", text)


def causes(changed_at: int | None) -> list[str]:
    """What the page says of the change points of a workflow that got another image in that run."""
    flow, document = analysed(changed_at=changed_at)
    with dashboard(memory(flow, details={("demo", "nightly"): document})) as served:
        text = served.get("/workflows/demo/nightly").text
    return [Elements(line).text for line in re.findall(r"<li><strong>Since .*?</li>", text)]


def test_without_the_operator_the_status_is_shown_and_said_to_be(fleet: Dashboard) -> None:
    text = fleet.get("/workflows/etl/nightly-0").text
    assert "Showing only what the status contains" in text
    assert "transform: 30 executions" in text
    assert "Cost -50% (-60 to -40%)" in text
    assert "Right-size CPU request of transform" in text


def test_without_the_operator_nothing_is_said_of_which_runs_it_keeps(fleet: Dashboard) -> None:
    at = "/workflows/etl/nightly-0/compare?before=run-1&after=run-2"
    for text in (fleet.get(at).text, fleet.get(f"/api/v1{at}").json["error"]):
        assert "No runs from the operator: " in text
        assert "keep" not in text


def test_two_runs_are_compared(fleet: Dashboard) -> None:
    newest = fleet.get("/api/v1/workflows/demo/nightly/runs").json["runs"]
    assert [r["run"] for r in newest[:2]] == ["run-29", "run-28"]
    page = fleet.get("/workflows/demo/nightly/compare?before=run-29&after=run-28")
    assert "run-28 took" in page.text
    text = Elements(page.text)
    assert {"Time split", "Steps of both runs"} <= {a.get("aria-label") for _, a in text.found}
    assert "Critical path of run-28: extract → train → publish" in text.text
    older = fleet.get("/workflows/demo/nightly/compare?before=run-1&after=run-28").text
    assert "The operator does not keep both of these runs" in older
    assert "concertmaster compare run-1 run-28 --workflow nightly-etl -n demo --prometheus URL" in older


def test_every_part_of_the_time_is_compared() -> None:
    """Also what happens to few workflows; what took no time in either run is left out."""
    flow, document = analysed()
    for run in document["recent"]["runs"]:
        run["timeSplit"] |= {"suspended": 90.0 if run["run"] == "run-29" else 20.0, "work": 600.0}
    with dashboard(memory(flow, details={("demo", "nightly"): document})) as served:
        compared = served.get("/workflows/demo/nightly/compare?before=run-29&after=run-28").text
        whole = served.get("/workflows/demo/nightly?run=run-29").text
    (split,) = re.findall(r'aria-label="Time split">.*?</table>', compared, flags=re.S)
    rows = [re.findall(r"<t[dh][^>]*>([^<]*)", row) for row in split.split("<tr>")[1:]]
    assert rows == [
        ["Time on the critical path", "run-29", "run-28", "Difference"],
        ["execution", "10m00s", "10m00s", "0s"],
        ["startup", "6s", "6s", "0s"],
        ["scheduling latency", "3s", "3s", "0s"],
        ["suspended", "1m30s", "20s", "-1m10s"],
    ]
    assert re.search(r"suspended</td><td class=\"num\">1m30s", whole)


def test_errors_are_pages_for_people_and_json_for_programs(fleet: Dashboard) -> None:
    page = fleet.get("/workflows/demo/nothing")
    assert page.status == 404
    assert "There is no WorkflowProfile nothing in namespace demo" in page.text
    assert "There is no page at this address." in fleet.get("/nothing").text
    answer = fleet.get("/api/v1/workflows/demo/nothing")
    assert answer.status == 404
    assert answer.json == {"error": "There is no WorkflowProfile nothing in namespace demo."}


def test_a_cluster_that_cannot_be_read_says_why() -> None:
    class Broken(MemoryReader):
        def fleet(self) -> None:  # type: ignore[override]
            raise Unavailable("workflowprofiles is forbidden. Name namespaces you may read: --namespace NAME.")

    with dashboard(Broken(memory().view)) as running:
        page = running.get("/")
        assert page.status == 503
        assert "Name namespaces you may read" in page.text


def test_an_empty_cluster_says_what_to_do() -> None:
    with dashboard(memory()) as running:
        assert "kubectl concertmaster doctor" in running.get("/").text


# --- nothing of a cluster becomes markup


def _safe(text: str) -> None:
    elements = Elements(text)
    scripts = [a for tag, a in elements.found if tag == "script"]
    assert scripts[0] == {"src": "/static/page.js", "defer": ""}
    pinned = {"src": "/static/uplot.min.js", "integrity": INTEGRITY["uplot.min.js"], "defer": ""}
    assert scripts[1:] in ([], [pinned, {"src": "/static/trend.js", "defer": ""}])
    assert not elements.names() & {"img", "iframe", "object", "embed", "base", "style"}
    for tag, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        assert attributes.get("href", "/").startswith(("/", "#")), (tag, attributes)
    assert "62615533" not in text, "no text is evaluated as a template"


def test_hostile_names_and_texts_stay_text() -> None:
    changes = tuple(
        change(
            i, profile=f"hostile-{i}", conditions=[{"type": "Approved", "message": attack}], predicted={"text": attack}
        )
        for i, attack in enumerate(HOSTILE)
    )
    with dashboard(memory(*hostile(), changes=changes, notes=HOSTILE)) as running:
        front = running.get("/")
        assert front.status == 200
        _safe(front.text)
        assert "&lt;script&gt;" in front.text
        for number in range(len(HOSTILE)):
            page = running.get(f"/workflows/etl/hostile-{number}")
            assert page.status == 200
            _safe(page.text)


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_steps_and_queries_stay_text(attack: str) -> None:
    flow, document = analysed(step_name=attack)
    with dashboard(memory(flow, details={("demo", "nightly"): document})) as running:
        for path in (
            "/workflows/demo/nightly",
            f"/workflows/demo/nightly?run={quote(attack)}",
            f"/workflows/demo/nightly/compare?before={quote(attack)}&after=latest",
            "/workflows/demo/nightly/compare",
            f"/?q={quote(attack)}&namespace={quote(attack)}&label={quote(attack)}&sort={quote(attack)}",
            f"/workflows/{quote(attack, safe='')}/x",
        ):
            page = running.get(path)
            assert page.status in (200, 404), (path, page.text)
            _safe(page.text)


# --- large


def test_ten_thousand_workflows_stay_fluent() -> None:
    reader = memory(*(profile(i, namespace=f"team-{i % 40}") for i in range(10_000)))
    with dashboard(reader) as running:
        for path in ("/", "/?offset=5000", "/?sort=score&reverse=1", "/?namespace=team-7", "/api/v1/summary"):
            begun = time.perf_counter()
            page = running.get(path)
            assert page.status == 200
            assert len(page.text) < 200_000
            print(f"{path}: {time.perf_counter() - begun:.3f} s")  # 8 s for the first, then at most 0.2

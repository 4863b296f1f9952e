"""The JSON API: its description is fresh, every address answers with its model, and lists are cut into pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from concertmaster.web.api import Api, Route
from concertmaster.web.openapi import encoded
from concertmaster.web.queries import PARAMETERS
from tests.support.web.analysed import analysed
from tests.support.web.objects import change, profile, recommendation
from tests.support.web.objects import running as running_now
from tests.support.web.server import Dashboard, dashboard, memory

FILE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "openapi.json"
FLOW, DOCUMENT = analysed()
READER = memory(profile(), profile(1), FLOW, changes=(change(),), details={("demo", "nightly"): DOCUMENT})
ROUTES = Api().routes()


@pytest.fixture(scope="module")
def running() -> Iterator[Dashboard]:
    with dashboard(READER) as found:
        yield found


def test_the_description_in_the_repository_is_fresh() -> None:
    assert FILE.read_text() == encoded(ROUTES), "make generate"


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: r.path)
def test_every_address_answers_with_its_model(running: Dashboard, route: Route) -> None:
    path = re.sub(r"\{run\}", "latest", route.path.format(namespace="demo", profile="nightly", run="latest"))
    answer = running.get(path)
    assert answer.status == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    kind = list[route.model] if route.many else route.model  # type: ignore[name-defined]
    assert TypeAdapter(kind).validate_json(answer.text)
    assert set(route.parameters) <= set(PARAMETERS)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("workflows?severity=high", "severity is one of Info, Low, Medium, High, Critical."),
        ("summary?severity=high", "severity is one of Info, Low, Medium, High, Critical."),
        ("workflows?sort=size", "sort is one of impact, name, namespace, score, success, p95, cost, open."),
        ("recommendations?state=Open", "state is one of Active, Dismissed, Implemented, Obsolete."),
        (
            "workflows/demo/nightly/recommendations?state=open",
            "state is one of Active, Dismissed, Implemented, Obsolete.",
        ),
        ("workflows/demo/nightly/trends?period=yearly", "period is one of hourly, daily, weekly, monthly."),
        ("workflows/demo/nightly/what-if?scale.trian=0.5", "there is no step trian"),
    ],
)
def test_a_value_that_is_not_taken_is_said_and_not_ignored(running: Dashboard, query: str, said: str) -> None:
    answer = running.get(f"/api/v1/{query}")
    assert (answer.status, answer.json) == (400, {"error": said})


def test_the_page_about_it_names_every_address() -> None:
    text = (FILE.parent.parent / "api.md").read_text()
    workflow = "/api/v1/workflows/{namespace}/{profile}"
    for route in ROUTES:
        assert f"`{route.path.replace(f'{workflow}/', '.../')}`" in text, route.path
    for period in ("hourly", "daily", "weekly", "monthly"):
        assert period in text


def test_the_description_is_served(running: Dashboard) -> None:
    document = running.get("/api/v1/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {r.path for r in ROUTES}
    references = set(re.findall(r'"#/components/schemas/(\w+)"', encoded(ROUTES)))
    assert references <= set(document["components"]["schemas"])


def test_lists_are_cut_into_pages_with_their_total(running: Dashboard) -> None:
    page = running.get("/api/v1/workflows?limit=2&offset=2&sort=name").json
    assert (page["total"], page["offset"], len(page["items"])) == (3, 2, 1)
    assert running.get("/api/v1/workflows?limit=99999&offset=x").status == 200
    found = running.get("/api/v1/recommendations?limit=1").json
    assert found["total"] > len(found["items"]) == 1
    assert running.get("/api/v1/recommendations?state=Dismissed").json["total"] == 0
    assert running.get("/api/v1/changes?namespace=ml").json["total"] == 0


@pytest.mark.parametrize(
    "address",
    [
        "workflows?sort=name",
        "workflows?sort=name&reverse=1",
        "recommendations",
        "recommendations?state=Active",
        "recommendations?state=Dismissed",
        "changes",
        "running",
    ],
)
def test_pages_one_after_the_other_are_the_list(address: str) -> None:
    """The answers for one and two items a page, from the first to beyond the last."""
    items = [recommendation(n, state="Dismissed" if n % 2 else "Active", impact=f"{n} USD a month") for n in range(6)]
    flows = [profile(n, recommendations=items, running=[running_now(name=f"run-{n}")]) for n in range(3)]
    path = f"/api/v1/{address}{'&' if '?' in address else '?'}"
    with dashboard(memory(*flows, changes=tuple(change(n) for n in range(3)))) as served:
        whole = served.get(f"{path}limit=100").json
        assert whole["total"] == len(whole["items"]) >= 3
        for size in (1, 2):
            pages = [served.get(f"{path}limit={size}&offset={at}").json for at in range(0, whole["total"] + size, size)]
            assert [item for page in pages for item in page["items"]] == whole["items"]
            assert {page["total"] for page in pages} == {whole["total"]}
            assert pages[1]["offset"] == size


def test_of_a_workflow_everything_is_said_that_its_status_says(running: Dashboard) -> None:
    found, status = running.get("/api/v1/workflows/etl/nightly-0").json, profile()["status"]
    assert (found["advice"], found["insights"]) == (status["advice"], status["insights"])
    assert [f"{o['name']}: {o['text']}" for o in found["objectives"]] == status["objectives"]
    assert [e["id"] for e in found["recommendations"]] == [e["id"] for e in status["recommendations"]]
    assert [c["name"] for c in found["changes"]] == ["change-0"]
    assert (found["nodes"], found["problem"]) == ([], "no analysis of this workflow is at hand")


def test_bottlenecks_are_ordered_by_what_a_run_would_lose(running: Dashboard) -> None:
    found = running.get("/api/v1/workflows/demo/nightly/bottlenecks").json
    assert [n["name"] for n in found][:2] == ["train", "extract"]
    assert found[0]["dependsOn"] == ["extract"]


@pytest.mark.parametrize("period", ["hourly", "daily", "weekly", "monthly"])
def test_trends_come_by_period(running: Dashboard, period: str) -> None:
    trends = running.get(f"/api/v1/workflows/demo/nightly/trends?period={period}").json["trends"]
    assert sum(p["runs"]["total"] for p in trends[period]["periods"]) == 30


def test_the_comparison_answers_why(running: Dashboard) -> None:
    found = running.get("/api/v1/workflows/demo/nightly/compare?before=typical&after=latest").json
    assert found["after"]["run"] == "run-29"
    assert sum(s["extraSeconds"] for s in found["steps"]) == pytest.approx(found["extraSeconds"], abs=0.01)
    assert running.get("/api/v1/workflows/demo/nightly/compare?before=run-1").status == 404

"""Reading the fleet from a cluster: with the reader's own rights, not more often than needed, and honest about faults."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from concertmaster.kube.operator_service import OperatorService
from concertmaster.report.workflows.coverage import scale_text
from concertmaster.report.workflows.fleet import Filter
from concertmaster.web.readers import CACHE_SECONDS, STALE, ClusterReader, NotAllowed, Unavailable
from tests.support.clock import Clock
from tests.support.controller.apiserver import Answer, Request, failure, serving
from tests.support.waiting import until
from tests.support.web.objects import change, profile, recommendation

START = 1_801_360_000.0

OPERATOR = ("concertmaster", "concertmaster")


def answers(request: Request) -> Answer:
    if "proxy" in request.path:
        assert request.query["uid"] == "uid-etl-nightly-0"
        part = request.path.rpartition("/")[2]
        parts = {"days": {"days": [{"day": "2027-01-01"}]}, "runs": {"runs": []}}
        return Answer(body=parts.get(part, {"recommendations": []}))
    if request.path.endswith("/workflowprofiles/nightly-0"):
        return Answer(body=profile())
    if request.path.endswith("/workflowprofiles/gone"):
        return failure(404, "NotFound")
    return Answer(body={"items": [change()] if "workflowchanges" in request.path else [profile()], "metadata": {}})


def test_a_list_is_read_once_for_a_while_and_then_beside_the_pages() -> None:
    clock = Clock(START)
    with serving(answers) as (server, client):
        reader = ClusterReader(OperatorService(client, *OPERATOR), selector="team=data", clock=clock)
        first, notes = reader.fleet()
        assert (len(first.profiles), len(first.changes), notes) == (1, 1, ())
        assert server.requests[0].query["labelSelector"] == "team=data"
        reader.fleet()
        assert len(server.requests) == 3  # profiles, changes, and the policies that say how to rank
        clock.now += CACHE_SECONDS + 1
        assert reader.fleet()[0] is first, "the page does not wait"
        until(lambda: reader.fleet()[0] is not first)
        assert reader.fleet()[0].now == clock.now


def test_recommendations_are_ranked_by_the_prices_of_the_policies_where_they_may_be_read() -> None:
    """As ``top`` ranks them: the same list must not have two orders."""

    def served(request: Request) -> Answer:
        if request.path.endswith("/workflowprofiles"):
            dear = recommendation(id="right-size", impact="12.5 USD a month")
            slow = recommendation(id="io-bound.load", impact="2 run-hours a month")
            return Answer(body={"items": [profile(recommendations=[dear, slow])], "metadata": {}})
        if request.path.endswith("/clusteroptimizationpolicies"):
            policy = {"metadata": {"name": "baseline"}, "spec": {"pricing": {"runHour": "10"}}, "status": {"new": 1}}
            return Answer(body={"items": [policy], "metadata": {}}) if allowed else failure(403, "Forbidden", "no")
        return answers(request)

    with serving(served) as (server, client):
        allowed = True
        view, notes = ClusterReader(OperatorService(client, *OPERATOR)).fleet()
        assert scale_text(view) == scale_text(view.chosen(Filter(text="nightly"))) == ""
        assert ([e.id for e in view.top()], notes) == (["io-bound.load", "right-size"], ())
        assert [e.id for e in view.chosen(Filter(text="nightly")).top_actions()] == ["io-bound.load", "right-size"]
        allowed = False
        view, notes = ClusterReader(OperatorService(client, *OPERATOR)).fleet()
        assert ([e.id for e in view.top()], notes) == (["right-size", "io-bound.load"], ())
        assert "ClusterOptimizationPolicies could not be read" in scale_text(view.chosen(Filter(text="nightly")))
        asked = len(server.requests)
        view, _ = ClusterReader(OperatorService(client, *OPERATOR, own=False), namespaces=["etl"]).fleet()
        assert scale_text(view).startswith("Ranked by default prices, a run-hour counted as ")
        assert not [r for r in server.requests[asked:] if "polic" in r.path], "its account has no right to"


def test_pages_that_come_at_once_read_the_list_once() -> None:
    with serving(answers) as (server, client), ThreadPoolExecutor(8) as pages:
        reader = ClusterReader(OperatorService(client, *OPERATOR), clock=Clock(START))
        views = [page.result()[0] for page in [pages.submit(reader.fleet) for _ in range(8)]]
        assert all(view is views[0] for view in views)
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("answer", "kind"), [(failure(403, "Forbidden", "no"), NotAllowed), (failure(409, "Conflict", "odd"), Unavailable)]
)
def test_a_workflow_that_cannot_be_read_is_not_taken_for_one_that_is_gone(
    answer: Answer, kind: type[Unavailable]
) -> None:
    with serving(lambda _: answer) as (_, client), pytest.raises(kind) as raised:
        ClusterReader(OperatorService(client, *OPERATOR), clock=Clock(START)).profile("etl", "nightly-0")
    assert type(raised.value) is kind
    with serving(answers) as (_, client):
        assert ClusterReader(OperatorService(client, *OPERATOR), clock=Clock(START)).profile("etl", "gone") is None


def test_a_list_that_is_too_old_is_not_shown() -> None:
    clock = Clock(START)
    healthy = [True]
    with serving(lambda r: answers(r) if healthy[0] else failure(403, "Forbidden", "no")) as (_, client):
        reader = ClusterReader(OperatorService(client, *OPERATOR), clock=clock)
        reader.fleet()
        healthy[0] = False
        clock.now += STALE + 1
        with pytest.raises(NotAllowed, match="--namespace NAME"):
            reader.fleet()


def test_namespaces_are_read_one_by_one() -> None:
    with serving(answers) as (server, client):
        view, _ = ClusterReader(OperatorService(client, *OPERATOR), namespaces=["a", "b"], clock=Clock(START)).fleet()
        assert len(view.profiles) == 2
        assert "/namespaces/a/" in server.requests[0].path


def test_missing_kinds_and_rights_are_named() -> None:
    with serving([failure(404, "NotFound")]) as (_, client), pytest.raises(Unavailable, match="not installed"):
        ClusterReader(OperatorService(client, *OPERATOR), clock=Clock(START)).fleet()

    def no_changes(request: Request) -> Answer:
        return failure(403, "Forbidden", "no changes") if "workflowchanges" in request.path else answers(request)

    with serving(no_changes) as (_, client):
        view, notes = ClusterReader(OperatorService(client, *OPERATOR), clock=Clock(START)).fleet()
        assert len(view.profiles) == 1
        assert notes[0].startswith("WorkflowChanges could not be read")


def test_one_workflow_comes_from_the_api_server_and_its_analysis_from_the_operator() -> None:
    with serving(answers) as (server, client):
        reader = ClusterReader(OperatorService(client, *OPERATOR), clock=Clock(START))
        found = reader.profile("etl", "nightly-0")
        assert found is not None
        assert reader.detail(found) == ({"recommendations": []}, "")
        assert reader.days(found)["days"]
        assert reader.runs(found) == {"runs": []}
        assert reader.runs(found, "run-1") == {}, "no run, but the answer about all of them"
        assert server.requests[-1].query["run"] == "run-1"
        assert "/services/concertmaster:http/proxy/api/v1/namespaces/etl/" in server.requests[-1].path
        assert reader.profile("etl", "gone") is None

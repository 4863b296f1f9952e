"""The pages in the cluster: a token on every request, and never a word or a number of another tenant."""

from __future__ import annotations

import copy
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from concertmaster.kube.errors import KubeError
from concertmaster.report.workflows.fleet import FleetView
from concertmaster.web.api import ROOT, Api
from concertmaster.web.app import LIMITS
from concertmaster.web.auth.tenants import Tenants
from concertmaster.web.readers import MemoryReader
from tests.support.web.analysed import analysed
from tests.support.web.objects import change, profile, result
from tests.support.web.tenants import Bed, TwoTenants, in_cluster

NAME = "nightly"
# Whatever shows one of these in an answer to team-a has disclosed team-b.
OF_B = ("team-b", "secret-b", "owner-b", "WorkloadB", "step-of-b", "run-of-b", "EUR")


def harness() -> TwoTenants:
    """team-a and team-b with one analysed workflow each, results, and a change that waits."""
    profiles, documents = [], {}
    for place in ("team-a", "team-b"):
        flow, document = analysed(NAME, "step-of-b" if place == "team-b" else None)
        flow, document = copy.deepcopy((flow, document))
        flow["metadata"] |= {"namespace": place, "uid": f"uid-{place}"}
        if place == "team-b":
            document = json.loads(json.dumps(document).replace("run-", "run-of-b-"))
        documents[f"uid-{place}"] = document
        profiles.append(flow)
    other = profile(7, namespace="team-b", name="secret-b", results=[result()])
    other["metadata"]["labels"] = {"team": "owner-b"}
    other["status"]["summary"] |= {"target": "WorkloadB/secret-b", "costPerRun": "123456"}
    other["status"]["objectives"] = ["duration p95: Missed, 7m11s (target <= 1m00s), degrading"]
    other["status"]["recommendations"][0]["impact"] = "9999 EUR (10 to 15) a month"
    mine = profile(3, namespace="team-a", name="mine", results=[result()])
    changes = [change(1, namespace="team-a", profile="mine"), change(2, namespace="team-b", profile="secret-b")]
    found = TwoTenants([*profiles, other, mine], changes, documents=documents)
    found.person("alice", "team-a")
    found.person("bob", "team-b")
    found.person("admin", "*")
    found.person("nobody")
    return found


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    with in_cluster(harness()) as made:
        yield made


def addresses() -> list[str]:
    """Every address of pages and API that is about the fleet, with queries that ask for the other tenant."""
    fleet = [
        "/",
        "/?limit=1&offset=1",
        "/?namespace=team-b",
        "/?label=team%3Downer-b",
        "/?kind=WorkloadB",
        "/?q=secret",
    ]
    api = [r.path for r in Api().routes() if "{" not in r.path]
    queries = ["", "?namespace=team-b", "?limit=1", "?limit=1&offset=1", "?offset=3", "?q=secret", "?state=Active"]
    return fleet + [p + q for p in api for q in queries]


def about(place: str) -> list[str]:
    """Every address of pages and API that is about one workflow."""
    page = f"/workflows/{place}/{NAME}"
    one = [r.path for r in Api().routes() if "{profile}" in r.path]
    paths = [p.replace("{namespace}", place).replace("{profile}", NAME) for p in one]
    queries = {"what-if": "?scale.train=0.5", "compare": "?before=typical&after=latest", "trends": "?period=weekly"}
    found = [p.replace("{run}", "latest") + queries.get(p.rpartition("/")[2], "") for p in paths]
    return [page, f"{page}?run=run-28&scale.train=2", f"{page}/compare", *found]


@pytest.mark.parametrize("path", addresses())
def test_lists_sums_and_pages_of_one_tenant_say_nothing_of_the_other(bed: Bed, path: str) -> None:
    answer = bed.get(path, "alice")
    assert answer.status == 200
    text = answer.text.replace('value="team-b"', "").replace("<option selected>team-b</option>", "")
    text = text.replace("<option selected>team=owner-b</option>", "").replace("<option selected>WorkloadB</option>", "")
    assert [word for word in OF_B if word in text] == []
    whole = bed.get(path, "admin")
    assert whole.status == 200


def test_sums_are_those_of_what_one_may_read(bed: Bed) -> None:
    mine, others, all_ = (bed.get(f"{ROOT}/summary", who).json for who in ("alice", "bob", "admin"))
    assert (mine["workflows"], others["workflows"], all_["workflows"]) == (2, 2, 4)
    assert (mine["missedObjectives"], others["missedObjectives"]) == (0, 1)
    assert (mine["waitingChanges"], all_["waitingChanges"]) == (1, 2)
    for name in ("runs", "failedRuns", "recommendations", "minor"):
        assert mine[name] + others[name] == all_[name]
    assert bed.get(f"{ROOT}/workflows?limit=1&offset=1", "alice").json["total"] == 2
    assert [c["name"] for c in bed.get(f"{ROOT}/changes", "alice").json["items"]] == ["change-1"]


@pytest.mark.parametrize(("path", "other"), list(zip(about("team-a"), about("team-b"), strict=True)))
def test_a_workflow_is_shown_to_its_readers_only(bed: Bed, path: str, other: str) -> None:
    assert bed.get(path, "alice").status == 200
    assert bed.get(path, "admin").status == 200
    for address, who in ((other, "alice"), (path, "bob"), (path, "nobody")):
        answer = bed.get(address, who)
        assert answer.status == 403
        assert "step-of-b" not in answer.text
        absent = bed.get(address.replace(NAME, "no-such-thing"), who)
        assert absent.status == 403, "whether there is one is not told either"
        assert absent.text == answer.text.replace(NAME, "no-such-thing")


def test_what_the_replay_and_the_comparison_answer_is_about_ones_own_runs(bed: Bed) -> None:
    """The same addresses give the other tenant's runs to its own reader: there is something to leak."""
    assert "run-of-b" in bed.get(f"{ROOT}/workflows/team-b/{NAME}/runs", "bob").text
    assert bed.get(f"{ROOT}/workflows/team-b/{NAME}/what-if?scale.train=0.5", "bob").json["runsUsed"] > 0
    assert bed.get(f"{ROOT}/workflows/team-a/{NAME}/runs/run-of-b-28", "alice").status == 404


def test_whoever_may_read_nothing_learns_what_to_ask_for(bed: Bed) -> None:
    answer = bed.get(f"{ROOT}/workflows", "nobody")
    assert answer.status == 403
    assert "--clusterrole=view --user=user-nobody" in answer.json["error"]
    assert not [word for word in ("team-a", *OF_B) if word in answer.text]


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", "Bearer garbage", "Basic YWxpY2U6YWxpY2U=", "alice", "Bearer alice alice", "Bearer ali\tce",
     "Bearer alice,bob", f"Bearer {'x' * 20_000}"],
)  # fmt: skip
def test_without_an_accepted_token_there_is_nothing(bed: Bed, given: str) -> None:
    for path in (
        "/",
        f"{ROOT}/summary",
        f"/workflows/team-a/{NAME}",
        "/static/style.css",
        "/nothing",
        f"{ROOT}/openapi.json",
    ):
        answer = bed.pages.get(path, Authorization=given)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert "team-" not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"


def test_two_tokens_at_once_are_none(bed: Bed) -> None:
    parts = urlsplit(bed.pages.url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        connection.putrequest("GET", f"{ROOT}/summary")
        connection.putheader("Authorization", "Bearer alice")
        connection.putheader("Authorization", "Bearer bob")
        connection.endheaders()
        assert connection.getresponse().status == 401


def test_headers_that_name_somebody_are_not_believed(bed: Bed) -> None:
    names = {"X-Remote-User": "user-admin", "X-Forwarded-User": "user-admin", "Impersonate-User": "user-admin",
             "X-Auth-Request-Email": "user-admin", "Cookie": "concertmaster=admin; token=admin"}  # fmt: skip
    assert bed.get(f"{ROOT}/summary", "alice", **names).json["workflows"] == 2
    assert bed.pages.get(f"{ROOT}/summary", **names).status == 401
    assert bed.pages.get(f"{ROOT}/summary?token=admin", **names).status == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_written_and_no_other_site_may_read(bed: Bed, method: str) -> None:
    parts = urlsplit(bed.pages.url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        connection.request(
            method, f"{ROOT}/changes", headers={"Authorization": "Bearer admin", "Origin": "https://evil.example"}
        )
        answer = connection.getresponse()
        assert answer.status == 405
        assert not [h for h in answer.headers if h.lower().startswith("access-control")]
        assert answer.headers["Set-Cookie"] is None


def test_whoever_may_list_profiles_but_not_changes_sees_no_change() -> None:
    flows = harness()
    flows.person("carol", "team-a", plurals=("workflowprofiles",))
    with in_cluster(flows) as made:
        assert made.get(f"{ROOT}/changes", "carol").json["items"] == []
        text = made.get("/", "carol").text
        assert "You may not list WorkflowChanges in team-a" in text
        assert "change-1" not in text
        assert "change-1" not in made.get("/workflows/team-a/mine", "carol").text


def test_whoever_may_get_one_profile_without_listing_sees_that_one() -> None:
    flows = harness()
    flows.person("dave")
    flows.rights["user-dave"] = {("get", "workflowprofiles", "team-a")}
    with in_cluster(flows) as made:
        assert made.get("/", "dave").status == 403
        assert made.get("/workflows/team-a/mine", "dave").status == 200
        assert made.get("/workflows/team-b/secret-b", "dave").status == 403


def test_changes_of_a_namespace_without_workflows_are_confined_too() -> None:
    """Whoever may list in every namespace that has workflows may still not list everywhere."""
    flows = harness()
    flows.changes.append(change(9, namespace="team-c", profile="orphan"))
    flows.person("erin", "team-a", "team-b")
    with in_cluster(flows) as made:
        assert "change-9" not in made.get(f"{ROOT}/changes", "erin").text
        assert made.get(f"{ROOT}/summary", "erin").json["workflows"] == 4
        assert "change-9" in made.get(f"{ROOT}/changes", "admin").text


def test_an_api_server_that_is_down_lets_nobody_in() -> None:
    flows = harness()
    now = [0.0]
    with in_cluster(flows, clock=lambda: now[0]) as made:
        assert made.get("/", "alice").status == 200
        flows.down = True
        now[0] += 60.0  # verdicts are older than they may be
        for path in ("/", f"{ROOT}/summary", f"/workflows/team-a/{NAME}"):
            answer = made.get(path, "alice")
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "5"
            assert "team-a" not in answer.text
        assert made.pages.get("/").status == 401, "without a token nobody has to be asked"
        assert made.pages.get("/healthz").status == 200, "the process itself is well"
        flows.down = False
        assert made.get("/", "alice").status == 200


def test_rights_that_cannot_be_asked_are_none() -> None:
    flows = harness()
    now = [0.0]
    with in_cluster(flows, clock=lambda: now[0]) as made:
        assert made.reviewer.identity("alice") is not None
        assert made.get("/", "alice").status == 200
        now[0] += 16.0
        assert made.reviewer.identity("alice") is not None
        now[0] += 14.5  # who she is is still known then, what she may read is not
        flows.down = True
        assert made.reviewer.identity("alice") is not None
        assert made.get("/", "alice").status == 503
        assert made.get(f"/workflows/team-a/{NAME}", "alice").status == 503


def test_probes_need_no_token_and_tell_nothing() -> None:
    flows = harness()
    with in_cluster(flows) as made:
        assert made.pages.get("/readyz").status == 503
        assert made.get("/", "alice").status == 200
        assert (made.pages.get("/readyz").status, made.pages.get("/readyz").text) == (200, "ok\n")
        assert made.pages.get("/healthz").text == "ok\n"


def test_whoever_opens_connections_without_end_stops_no_probe() -> None:
    with in_cluster(harness()) as made, ExitStack() as flood:
        port = urlsplit(made.pages.url).port
        for _ in range(LIMITS.connections + 100):
            flood.enter_context(socket.create_connection(("127.0.0.1", port or 0))).sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(3):
            assert made.pages.get("/healthz").status == 200
        assert made.get("/", "alice").status == 200


def test_a_fault_of_the_dashboards_own_rights_names_no_namespace() -> None:
    flows = harness()

    def answers(request: Any) -> Any:
        from tests.support.controller.apiserver import failure

        if request.path.endswith("/workflowprofiles"):
            return failure(403, "Forbidden", "workflowprofiles is forbidden in the namespace team-b")
        return TwoTenants.__call__(flows, request)

    class Broken(TwoTenants):
        __call__ = staticmethod(answers)  # type: ignore[assignment]

    with in_cluster(Broken(flows.profiles)) as made:
        answer = made.get("/", "alice")
        assert answer.status == 503
        assert "team-b" not in answer.text
        assert "its log says why" in answer.text


def test_a_document_is_asked_for_with_the_rights_of_the_dashboard(bed: Bed) -> None:
    text = bed.get("/workflows/team-a/mine", "alice").text
    assert "it has not analyzed this profile since it started" in text
    with pytest.raises(KubeError):
        bed.client.get("/apis/concertmaster.dev/v1alpha1/namespaces/team-a/workflowprofiles/none")


def test_a_tenant_sees_the_list_that_was_read_last(bed: Bed) -> None:
    alice = bed.reviewer.identity("alice")
    assert alice is not None

    class Source(MemoryReader):
        def fleet(self) -> tuple[FleetView, tuple[str, ...]]:
            return views[-1], ()

    flows = [profile(n, namespace=place) for n, place in enumerate(("team-a", "team-b"))]
    views = [FleetView(flows, (), 1.0)]
    reader = Tenants(Source(views[0]), bed.reviewer).reader(alice)
    first, _ = reader.fleet()
    assert reader.fleet()[0] is first, "paging makes no new list"
    views.append(FleetView([*flows, profile(2, namespace="team-a")], (), 2.0))
    assert [p["metadata"]["name"] for p in reader.fleet()[0].profiles] == ["nightly-0", "nightly-2"]

"""The dashboard in the cluster on a real API server: two tenants with tokens of their own, and the rights of the chart."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from concertmaster.controller.health import Health
from concertmaster.controller.reporting.details import Details
from concertmaster.controller.reporting.server import Server
from concertmaster.controller.reporting.telemetry import Telemetry
from testbed.process import TemporaryDirectory
from tests.support.chart.bed import Bed, Helm, find, source
from tests.support.chart.pages import Pages, certificate, pages, reader, resigned, token
from tests.support.chart.place import namespaces
from tests.support.chart.proxy import Fault, Proxy
from tests.support.chart.rights import used
from tests.support.cluster.operator_bed import wait_for
from tests.support.cluster.published import own_address, publish
from tests.support.web.analysed import analysed

pytestmark = pytest.mark.timeout(600)

ON = {"web": {"enabled": True}}
AUDIENCE = "dashboard"
API = "/api/v1"


# --- on paper


def test_without_it_there_is_nothing_of_it(helm: Helm) -> None:
    assert "web" not in json.dumps([o["metadata"]["labels"] for o in helm.template() if "labels" in o["metadata"]])
    granted = json.dumps([o.get("rules") for o in helm.template()])
    assert "tokenreviews" not in granted
    assert "subjectaccessreviews" not in granted


def test_its_pod_is_restricted_and_the_operators_service_does_not_reach_it(helm: Helm) -> None:
    objects = helm.template({**ON, "networkPolicy": {"enabled": True, "webFrom": [{"podSelector": {}}]}})
    deployment = find(objects, "Deployment", "cm-concertmaster-web")["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert "memory" in container["resources"]["limits"]
    labels = deployment["template"]["metadata"]["labels"]
    for other in (find(objects, "Service", "cm-concertmaster")["spec"]["selector"],
                  find(objects, "Deployment", "cm-concertmaster")["spec"]["selector"]["matchLabels"]):  # fmt: skip
        assert not other.items() <= labels.items()
    assert find(objects, "Service", "cm-concertmaster-web")["spec"]["selector"].items() <= labels.items()
    policy = find(objects, "NetworkPolicy", "cm-concertmaster-web")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["ingress"] == [{"ports": [{"port": "web", "protocol": "TCP"}], "from": [{"podSelector": {}}]}]


def test_https_changes_command_mount_and_probes(helm: Helm) -> None:
    def container(**web: Any) -> dict[str, Any]:
        found = find(helm.template({"web": {"enabled": True, **web}}), "Deployment", "cm-concertmaster-web")
        return dict(found["spec"]["template"]["spec"]["containers"][0])

    plain, secure = container(), container(tls={"secretName": "cert"}, audiences=["a"], port=9000)
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    assert {plain[p]["httpGet"]["scheme"] for p in probes} == {"HTTP"}
    assert {secure[p]["httpGet"]["scheme"] for p in probes} == {"HTTPS"}
    assert {"--audience=a", "--port=9000", "--tls-cert=/etc/concertmaster/tls/tls.crt"} <= set(secure["args"])
    assert "/etc/concertmaster/tls" in {m["mountPath"] for m in secure["volumeMounts"]}
    assert not [a for a in plain["args"] if "tls" in a]


def test_listed_namespaces_give_roles_there_and_reviews_only_elsewhere(helm: Helm) -> None:
    objects = helm.template({**ON, "namespaces": ["a", "b"]})
    (rule, other) = find(objects, "ClusterRole", "cm-concertmaster-web")["rules"]
    assert (rule["resources"], other["resources"]) == (["tokenreviews"], ["subjectaccessreviews"])
    roles = [o for o in objects if o["kind"] == "Role" and o["metadata"]["name"] == "cm-concertmaster-web"]
    assert [r["metadata"]["namespace"] for r in roles] == ["a", "b"]
    arguments = find(objects, "Deployment", "cm-concertmaster-web")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--namespace=a", "--namespace=b"} <= set(arguments)


# --- on an API server


@dataclass(frozen=True)
class Harness:
    """A release with the dashboard, and two tenants with one workflow each."""

    ops: str
    a: str
    b: str
    directory: Path
    proxy: Proxy
    pages: Pages
    alice: str
    bob: str


@pytest.fixture(scope="module")
def harness(bed: Bed) -> Iterator[Harness]:
    with TemporaryDirectory("concertmaster-web-") as directory, namespaces(bed, "ops", "team-a", "team-b") as places:
        ops, a, b = places
        bed.install(
            "cm", ops,
            {"sources": [source("http://127.0.0.1:9")], "fullnameOverride": "concertmaster",
             "approvals": {"admissionPolicy": False},
             "web": {"enabled": True, "audiences": [AUDIENCE], "tls": {"secretName": "web-tls"}}},
        )  # fmt: skip
        certificate(bed, ops, directory)
        bed.cluster.kubectl("delete", "service,deployment", "concertmaster", "-n", ops)
        details = Details()
        for place, who, step in ((a, "alice", "step-of-a"), (b, "bob", "step-of-b")):
            reader(bed, place, who, place, role="concertmaster-view")
            workflow(bed, details, place, step)
        reader(bed, a, "nobody", role="concertmaster-view")
        proxy = Proxy(bed.cluster)
        with operator_port(details) as port:
            publish(bed.cluster, ops, own_address(), port)
            with pages(bed, ops, directory, server=proxy.url) as running:
                yield Harness(
                    ops,
                    a,
                    b,
                    directory,
                    proxy,
                    running,
                    token(bed, a, "alice", AUDIENCE),
                    token(bed, b, "bob", AUDIENCE),
                )
        proxy.stop()


def workflow(bed: Bed, details: Details, place: str, step: str) -> None:
    """An analysed profile with a change that waits, and the operator's document about it."""
    flow, document = analysed("nightly", step)
    spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly"}}
    head = {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile"}
    meta = {"name": "nightly", "namespace": place, "labels": {"team": place}}
    bed.cluster.apply({**head, "metadata": meta, "spec": spec})
    status = json.dumps({"status": flow["status"]})
    bed.cluster.kubectl("patch", "wfp", "nightly", "-n", place, "--subresource=status", "--type=merge", "-p", status)
    bed.cluster.apply(
        {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowChange",
         "metadata": {"name": f"change-{place}", "namespace": place},
         "spec": {"profileRef": {"name": "nightly"}, "recommendation": "right-size.train", "planDigest": "0" * 64}},
    )  # fmt: skip
    uid = bed.cluster.get("wfp", "nightly", "-n", place)["metadata"]["uid"]
    text = json.dumps(document).replace("run-", f"run-of-{step}-")
    details.put(place, "nightly", uid, text.encode())


class operator_port:
    """The operator's HTTP side alone, which serves ``details``."""

    def __init__(self, details: Details) -> None:
        self._server = Server("0.0.0.0", 0, Health(stall_after=600.0), Telemetry(), details)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> int:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(30)
        return self._server.bound_port

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)


def test_each_tenant_sees_their_own(harness: Harness) -> None:
    for place, who, step in ((harness.a, harness.alice, "step-of-a"), (harness.b, harness.bob, "step-of-b")):
        page = f"{API}/workflows/{place}/nightly"
        assert harness.pages.json(f"{API}/summary", who)["workflows"] == 1
        assert [w["namespace"] for w in harness.pages.json(f"{API}/workflows", who)["items"]] == [place]
        assert [c["name"] for c in harness.pages.json(f"{API}/changes", who)["items"]] == [f"change-{place}"]
        assert step in [n["name"] for n in harness.pages.json(f"{page}/nodes", who)]
        assert harness.pages.json(f"{page}/runs", who)["runs"]
        assert harness.pages.json(f"{page}/what-if?scale.train=0.5", who)["runsUsed"] > 0
        status, text = harness.pages.get(f"/workflows/{place}/nightly", who)
        assert status == 200
        assert "Gantt chart of 4 pods" in text


def test_a_reader_of_one_team_never_sees_the_other(harness: Harness) -> None:
    hidden = (harness.b, "step-of-b")
    lists = ["/", f"/?namespace={harness.b}", f"/?label=team%3D{harness.b}", f"{API}/summary?namespace={harness.b}",
             *(f"{API}/{p}{q}" for p in ("summary", "workflows", "recommendations", "changes")
               for q in ("", "?limit=1&offset=1", "?sort=name&reverse=1", "?q=nightly", "?state=Dismissed"))]  # fmt: skip
    for path in lists:
        status, text = harness.pages.get(path, harness.alice)
        assert status == 200
        shown = text.replace(f"<option selected>{harness.b}</option>", "")  # what was asked for is shown as asked
        shown = shown.replace(f"<option selected>team={harness.b}</option>", "")
        assert not [word for word in hidden if word in shown], path
    parts = ("", "/nodes", "/bottlenecks", "/recommendations", "/cache", "/trends?period=daily", "/runs", "/runs/latest",
             "/what-if?scale.train=0.5", "/compare?before=typical&after=latest")  # fmt: skip
    one = f"/workflows/{harness.b}/nightly"
    for path in (one, f"{one}/compare", *(f"{API}{one}{part}" for part in parts)):
        status, text = harness.pages.get(path, harness.alice)
        assert status == 403, path
        assert "step-of-b" not in text
        assert harness.pages.get(path.replace("nightly", "absent"), harness.alice)[0] == 403
    assert harness.pages.json(f"{API}/summary?namespace={harness.b}", harness.alice)["workflows"] == 0


def test_whoever_was_given_nothing_sees_nothing(bed: Bed, harness: Harness) -> None:
    nobody = token(bed, harness.a, "nobody", AUDIENCE)
    status, text = harness.pages.get(f"{API}/workflows", nobody)
    assert status == 403
    assert f"system:serviceaccount:{harness.a}:nobody may not list WorkflowProfiles" in text


def test_tokens_that_are_not_good_are_refused(bed: Bed, harness: Harness) -> None:
    key = bed.cluster.directory / "certificates" / "apiserver.key"
    assert harness.pages.get("/", resigned(harness.alice, key, 0.0))[0] == 200, "the key is the right one"
    bad = {
        "absent": "",
        "garbage": "garbage",
        "expired": resigned(harness.alice, key, 7200.0),
        "tampered": harness.alice[:-6] + "AAAAAA",
        "of another audience": token(bed, harness.a, "alice"),
    }
    for what, given in bad.items():
        for path in ("/", f"{API}/summary", f"{API}/workflows/{harness.a}/nightly"):
            assert harness.pages.get(path, given)[0] == 401, what
    names = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters", "Impersonate-User": "admin"}
    assert harness.pages.get(f"{API}/summary", "", **names)[0] == 401


def test_a_token_that_is_revoked_is_refused_within_seconds(bed: Bed, harness: Harness) -> None:
    reader(bed, harness.a, "gone", harness.a, role="concertmaster-view")
    given = token(bed, harness.a, "gone", AUDIENCE)
    assert harness.pages.get("/", given)[0] == 200
    bed.cluster.kubectl("delete", "serviceaccount", "gone", "-n", harness.a)
    wait_for("the refusal", lambda: harness.pages.get("/", given)[0] == 401)


def test_an_api_server_that_is_down_lets_nobody_in(bed: Bed, harness: Harness) -> None:
    fresh = token(bed, harness.a, "alice", AUDIENCE)
    harness.proxy.rule = lambda _: Fault(code=503)
    try:
        for path in ("/", f"{API}/summary", f"{API}/workflows/{harness.a}/nightly"):
            status, text = harness.pages.get(path, fresh)
            assert status == 503
            assert harness.a not in text
        assert harness.pages.get("/healthz")[0] == 200
    finally:
        harness.proxy.rule = lambda _: None
    assert harness.pages.get("/", fresh)[0] == 200


def test_it_uses_the_rights_it_has_and_no_others(bed: Bed, harness: Harness) -> None:
    """Runs last: everything above was asked for by then."""
    harness.pages.get(f"/workflows/{harness.a}/nightly", harness.alice)
    rights, denied = used(bed, harness.ops, "concertmaster-web")
    assert denied == set()
    assert rights == {
        ("authentication.k8s.io", "tokenreviews", "create"),
        ("authorization.k8s.io", "subjectaccessreviews", "create"),
        ("concertmaster.dev", "workflowprofiles", "get"),
        ("concertmaster.dev", "workflowprofiles", "list"),
        ("concertmaster.dev", "workflowchanges", "list"),
        ("concertmaster.dev", "clusteroptimizationpolicies", "list"),
        ("", "services/proxy", "get"),
    }

"""People log in before the dashboard: the real oauth2-proxy as documented, an OpenID Connect issuer, and an API server that
trusts it."""

from __future__ import annotations

import json
import os
import re
import shlex
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from testbed.install.build import ensure
from testbed.ports import free_port
from testbed.process import TemporaryDirectory
from testbed.pytest_plugin import require_binaries
from testbed.services.controlplane import ControlPlane, Options
from tests.support.chart.bed import CHART, ROOT, Audit, Bed, Helm
from tests.support.chart.pages import Pages, certificate, pages
from tests.support.cluster.operator_bed import wait_for
from tests.support.web.issuer import CLIENT, SECRET, Issuer, issuer

pytestmark = pytest.mark.timeout(300)

ALICE = {"sub": "1", "email": "alice@example.com"}
BOB = {"sub": "2", "email": "bob@example.com", "groups": ["team-b"]}
CAROL = {"sub": "3", "email": "carol@example.com"}
API = "/api/v1"
SERVICE = "http://concertmaster-web.concertmaster.svc:8090"
OPTIONS = Options()
LIFETIME = 4  # seconds
OWN_AUDIENCE = "https://kubernetes.default.svc"  # the API server's, by its --service-account-issuer


def documented() -> list[str]:
    """The command of docs/dashboard.md."""
    (line,) = re.findall(r"^oauth2-proxy --.*$", (ROOT / "docs" / "dashboard.md").read_text(), re.MULTILINE)
    return shlex.split(line)


@dataclass(frozen=True)
class Answer:
    """What a browser got, and where it ended up."""

    status: int
    path: str
    text: str
    headers: Message


@dataclass(frozen=True)
class Harness:
    """A dashboard with a workflow in each of two namespaces, and the issuer that its API server trusts."""

    bed: Bed
    issuer: Issuer
    pages: Pages
    directory: Path

    def signed_in(self, address: str, who: dict[str, Any]) -> Callable[..., Answer]:
        """A browser of somebody who has logged in."""
        self.issuer.person = who
        get = self.browser(address)
        assert get("/oauth2/start?rd=%2F").path in ("/", "/oauth2/callback")
        return get

    def browser(self, address: str) -> Callable[..., Answer]:
        """A browser without a session."""
        trust = ssl.create_default_context(cafile=str(self.issuer.certificate))
        opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(), urllib.request.HTTPSHandler(context=trust)
        )

        def get(path: str, **headers: str) -> Answer:
            try:
                found = opener.open(urllib.request.Request(address + path, headers=headers), timeout=60)
            except urllib.error.HTTPError as error:
                found = error
            with found:
                place = found.url.removeprefix(address).partition("?")[0]
                return Answer(found.status, place, found.read().decode(), found.headers)

        return get


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    require_binaries([*OPTIONS.binaries(), "helm", "oauth2-proxy"])
    with TemporaryDirectory("concertmaster-login-") as directory, issuer(directory) as trusted:
        flags = [
            f"--oidc-issuer-url={trusted.url}",
            f"--oidc-client-id={CLIENT}",
            f"--oidc-ca-file={trusted.certificate}",
            "--oidc-username-claim=email",
            "--oidc-groups-claim=groups",
        ]
        with ControlPlane(Options(apiserver_args=flags)) as plane:
            bed = Bed(plane, plane.cluster, Helm(directory, plane.cluster.kubeconfig()), Audit(directory), directory)
            bed.namespace("ops")
            bed.install("cm", "ops", values())
            for place, subject in (("team-a", f"--user={ALICE['email']}"), ("team-b", "--group=team-b")):
                bed.namespace(place)
                binding = ("create", "rolebinding", "readers", "-n", place, "--clusterrole=concertmaster-view", subject)
                bed.cluster.kubectl(*binding)
                ref = {"apiVersion": "batch/v1", "kind": "CronJob", "name": f"nightly-{place}"}
                kind = {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile"}
                meta = {"name": f"nightly-{place}", "namespace": place}
                bed.cluster.apply({**kind, "metadata": meta, "spec": {"workflowRef": ref}})
            with pages(bed, "ops", directory) as running:
                made = Harness(bed, trusted, running, directory)
                # The API server asks the issuer for its keys beside everything else, after its start.
                token = trusted.id_token(**ALICE)
                wait_for("the API server to trust the issuer", lambda: running.get("/", token)[0] == 200)
                yield made


def values(**web: Any) -> dict[str, Any]:
    return {
        "sources": [{"name": "default", "url": "http://127.0.0.1:9"}],
        "fullnameOverride": "concertmaster",
        "approvals": {"admissionPolicy": False},
        "web": {"enabled": True, **web},
    }


@contextmanager
def short_lived(harness: Harness, *, refreshes: bool) -> Iterator[None]:
    """ID tokens that live for seconds."""
    harness.issuer.lifetime, harness.issuer.refreshes = LIFETIME, refreshes
    try:
        yield
    finally:
        harness.issuer.lifetime, harness.issuer.refreshes = 3600.0, True


@contextmanager
def proxy(harness: Harness, *more: str, upstream: str = "") -> Iterator[str]:
    """oauth2-proxy with the documented flags and ``more``; its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    known = {
        "https://ISSUER": harness.issuer.url,
        "CLIENT": CLIENT,
        "https://HOST/oauth2/callback": f"{address}/oauth2/callback",
        "0.0.0.0:4180": f"127.0.0.1:{port}",
        SERVICE: upstream or harness.pages.url,
    }
    command = [str(ensure(["oauth2-proxy"], lambda _: None)["oauth2-proxy"])]
    for flag in documented()[1:]:
        name, _, value = flag.partition("=")
        command.append(f"{name}={known.pop(value, value)}")
    assert not known, "the documented command names all of these"
    # The issuer's certificate is its own, and browsers reach the proxy without TLS here.
    command += [f"--provider-ca-file={harness.issuer.certificate}", "--cookie-secure=false", *more]
    log = harness.directory / f"oauth2-proxy-{port}.log"
    environment = {"OAUTH2_PROXY_CLIENT_SECRET": SECRET, "OAUTH2_PROXY_COOKIE_SECRET": "0123456789abcdef"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT)
    try:
        ready = harness.browser(address)

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return ready("/ping").status == 200
            except OSError:
                return False

        wait_for("oauth2-proxy", up)
        yield address
    finally:
        process.terminate()
        process.wait(15)


def test_each_person_sees_what_their_rights_in_the_cluster_allow(harness: Harness) -> None:
    with proxy(harness) as address:
        for who, mine, others in ((ALICE, "team-a", "team-b"), (BOB, "team-b", "team-a")):
            get = harness.signed_in(address, who)
            forged = {"Authorization": f"Bearer {harness.issuer.id_token(**(BOB if who is ALICE else ALICE))}"}
            for headers in ({}, forged, {"X-Forwarded-User": "admin", "Impersonate-User": "admin"}):
                fleet = get("/", **headers)
                assert fleet.status == 200, fleet.text
                assert f"nightly-{mine}" in fleet.text
                assert f"nightly-{others}" not in fleet.text
                assert get(f"/workflows/{others}/nightly-{others}", **headers).status == 403
            assert get(f"/workflows/{mine}/nightly-{mine}").status == 200
            assert json.loads(get(f"{API}/summary").text)["workflows"] == 1
            assert get("/static/style.css").status == 200


def test_without_a_session_nothing_is_passed_on(harness: Harness) -> None:
    with proxy(harness) as address:
        get = harness.browser(address)
        good = {"Authorization": f"Bearer {harness.issuer.id_token(**ALICE)}"}
        for path in ("/", "/workflows/team-a/nightly-team-a", f"{API}/summary"):
            for headers in ({}, good):
                found = get(path, **headers)
                assert (found.status, "Sign in with OpenID Connect" in found.text) == (403, True)
        get = harness.signed_in(address, ALICE)
        assert get("/").status == 200
        get("/oauth2/sign_out")
        assert get("/").status == 403


def test_whoever_logs_in_without_rights_reads_what_to_ask_for(harness: Harness) -> None:
    with proxy(harness) as address:
        found = harness.signed_in(address, CAROL)("/")
        assert found.status == 403
        assert "carol@example.com may not list WorkflowProfiles in any namespace" in found.text


def test_a_session_lives_as_long_as_its_tokens_are_renewed(harness: Harness) -> None:
    with short_lived(harness, refreshes=True), proxy(harness, "--cookie-refresh=2s") as address:
        get = harness.signed_in(address, ALICE)
        for _ in range(2 * LIFETIME):
            time.sleep(1)
            assert get("/").status == 200
        assert harness.issuer.refreshed >= 2


def test_a_session_whose_token_ended_ends_with_it(harness: Harness) -> None:
    """Although the API server remembers for 10 s that the token was good."""
    with short_lived(harness, refreshes=False):
        with proxy(harness, "--cookie-refresh=2s") as address:
            get = harness.signed_in(address, ALICE)
            assert get("/").status == 200
            time.sleep(LIFETIME + 1)
            found = get("/")
            assert (found.status, "Sign in with OpenID Connect" in found.text) == (403, True)
        with proxy(harness, "--cookie-refresh=0s") as address:
            get = harness.signed_in(address, ALICE)
            assert get("/").status == 200
            time.sleep(LIFETIME + 1)
            assert get("/").status == 401


def test_an_ingress_that_asks_the_proxy_gets_the_token(harness: Harness) -> None:
    with proxy(harness, "--set-authorization-header=true") as address:
        get = harness.signed_in(address, ALICE)
        allowed = get("/oauth2/auth")
        assert allowed.status == 202
        status, text = harness.pages.get(f"{API}/workflows", Authorization=allowed.headers["Authorization"])
        assert status == 200
        assert [w["namespace"] for w in json.loads(text)["items"]] == ["team-a"]
        assert harness.browser(address)("/oauth2/auth").status == 401


def test_tokens_need_not_cross_the_network_in_the_clear(harness: Harness) -> None:
    """docs/dashboard.md: ``web.tls`` and a proxy that knows the certificate; one that does not passes nothing on."""
    place = harness.directory / "tls"
    place.mkdir()
    trusted = certificate(harness.bed, "ops", place)
    with_tls = values(tls={"secretName": "web-tls"})
    harness.bed.helm("upgrade", "cm", str(CHART), "--namespace", "ops", values=with_tls)
    with pages(harness.bed, "ops", place) as running:
        assert running.url.startswith("https:")
        trust = (f"--provider-ca-file={trusted}", "--use-system-trust-store=true")
        with proxy(harness, *trust, upstream=running.url) as address:
            assert "nightly-team-a" in harness.signed_in(address, ALICE)("/").text
        with proxy(harness, upstream=running.url) as address:
            assert harness.signed_in(address, ALICE)("/").status == 502


def test_tokens_of_the_issuer_are_for_the_api_server_alone(harness: Harness) -> None:
    """docs/dashboard.md: with ``web.audiences`` that leave its own audience out, nobody who logs in gets in."""
    token = harness.issuer.id_token(**ALICE)
    for audiences, expected in (([CLIENT], 401), ([CLIENT, OWN_AUDIENCE], 200)):
        harness.bed.helm("upgrade", "cm", str(CHART), "--namespace", "ops", values=values(audiences=audiences))
        with pages(harness.bed, "ops", harness.directory) as running:
            assert running.get("/", token)[0] == expected, audiences

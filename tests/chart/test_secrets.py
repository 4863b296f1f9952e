"""Canaries in every credential, a store that answers with what it was sent, and names that would like to be markup."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.chart.bed import ROOT, Bed, deployed
from tests.support.chart.place import CRONJOBS, FAST, REF, get, namespaces, state
from tests.support.chart.proxy import Fault, Passing, Proxy
from tests.support.cluster.operator_bed import apply, cronjob, policy, profile, wait_for
from tests.support.local_server import QuietHandler, local_server

pytestmark = pytest.mark.timeout(600)

CANARIES = {"password": "cAnArY-password-7f31", "token": "cAnArY.token.8a42", "header": "cAnArY+header/9b53"}
ALL = (*CANARIES.values(), base64.b64encode(f"reader:{CANARIES['password']}".encode()).decode())


class Echo:
    """A store that answers every request with the credentials it was sent, each time in another way."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []

    def answer(self, number: int, headers: dict[str, str]) -> tuple[int, str, bytes, dict[str, str]]:
        """Status, type, body and further headers of the ``number``th answer."""
        echo = " ".join(f"{k}: {v}" for k, v in headers.items())
        error = json.dumps({"status": "error", "errorType": "bad_data", "error": f"parse error: {echo}"}).encode()
        warning = json.dumps(
            {"status": "success", "data": {"resultType": "vector", "result": []}, "warnings": [f"partial: {echo}"]}
        ).encode()
        page = f"<html><title>{echo}</title><script>alert(1)</script></html>".encode()
        choices: list[tuple[int, str, bytes, dict[str, str]]] = [
            (400, "application/json", error, {}),
            (200, "application/json", warning, {}),
            (401, "text/plain", echo.encode(), {"WWW-Authenticate": echo}),
            (302, "text/html", page, {"Location": f"http://127.0.0.1:9/?{echo.replace(' ', '+')}"}),
            (503, "application/json", error, {}),
            (200, "text/html", page, {}),
            (422, "application/json", error, {}),
            (200, "application/json", echo.encode(), {}),
            (500, "text/plain", echo.encode(), {}),
        ]
        return choices[number % len(choices)]


@contextmanager
def served(store: Echo) -> Iterator[str]:
    """The address at which the store answers."""

    class Handler(QuietHandler):
        def _serve(self) -> None:
            self.content()
            headers = dict(self.headers.items())
            store.seen.append(headers)
            status, kind, body, more = store.answer(len(store.seen), headers)
            self.answer(status, body, {"Content-Type": kind, **more})

        do_GET = do_POST = _serve

    with local_server(Handler) as address:
        yield address


def secret(namespace: str) -> dict[str, Any]:
    """All canaries in one Secret."""
    meta = {"name": "login", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": CANARIES}


def sources(url: str) -> list[dict[str, Any]]:
    """Three sources, one per way to authenticate; the last one's file is cut off in between."""
    ref = lambda key: {"name": "login", "key": key}  # noqa: E731
    fast = {"url": url, "delaySeconds": 5, "timeoutSeconds": 2, "deadlineSeconds": 4}
    return [
        {"name": "default", **fast, "auth": {"basic": {"username": "reader", "passwordSecret": ref("password")}}},
        {"name": "bearer", **fast, "auth": {"bearerTokenSecret": ref("token")}},
        {"name": "header", **fast, "headers": {"X-Api-Key": {"valueSecret": ref("header")}}},
    ]


def test_no_canary_leaves_the_process(bed: Bed, tmp_path: Path) -> None:
    """Logs at the finest level, status, Events and metrics, with every kind of refusal and broken answer."""
    store = Echo()
    with served(store) as url, namespaces(bed, "canary") as (place,):
        bed.cluster.apply(secret(place))
        bed.install("cm", place, {"sources": sources(url), "config": {**FAST, "logLevel": "debug"}})
        apply(bed.cluster, cronjob(place, "etl"))
        for name in ("default", "bearer", "header"):
            apply(
                bed.cluster,
                policy(place, name, metricsSource=name, selector={"matchLabels": {"store": name}}),
                profile(place, name, workflowRef=REF)
                | {"metadata": {"name": name, "namespace": place, "labels": {"store": name}}},
            )
        with deployed(bed, "cm", place, tmp_path) as op:
            wait_for("conditions", lambda: all(
                state(bed, place, n, "MetricsAvailable").get("status") == "False" for n in ("default", "bearer", "header")
            ))  # fmt: skip
            op.next_cycles(2)
            # A file that is emptied, and one that is gone, are errors too.
            (tmp_path / "etc/concertmaster/secrets/bearer/token").write_text(f"{CANARIES['token']}\nsecond line")
            (tmp_path / "etc/concertmaster/secrets/header/header-X-Api-Key").unlink()
            op.next_cycles(2)
            _, exposition = op.get("/metrics")
            text = op.log.read_text()
        sent = "".join(v for headers in store.seen for v in headers.values())
        assert all(canary in sent for canary in ALL[2:]), "the credentials were used"
        said = bed.cluster.kubectl("get", "wfp,opol,events.events.k8s.io,cm", "-n", place, "-o", "yaml")
        for where, content in (("log", text), ("metrics", exposition), ("cluster", said)):
            for canary in ALL:
                assert canary not in content, f"a credential is in the {where}"
        for line in text.splitlines():
            assert json.loads(line)["msg"]


def test_the_operators_own_token_stays_with_it(bed: Bed, tmp_path: Path) -> None:
    """An API server (or what stands before it) that answers every kind of request with the token it was sent."""
    with namespaces(bed, "token") as (place,):
        bed.install("cm", place, {"namespaces": [place], "sources": [{"name": "default", "url": "http://127.0.0.1:9"}],
                                  "config": {**FAST, "logLevel": "debug"}})  # fmt: skip
        apply(bed.cluster, cronjob(place, "etl"), policy(place, discover=CRONJOBS))
        counts: Counter[tuple[str, str]] = Counter()

        def rule(passing: Passing) -> Fault | None:
            key = (passing.method, passing.path)
            counts[key] += 1
            watched = (
                passing.method == "GET" and "concertmaster.dev" in passing.path
            )  # a refused watch ends the process
            codes = (500,) if watched else (403, 422, 500, 409)
            return Fault(codes[counts[key] // 2 % len(codes)], echo=True) if counts[key] % 2 else None

        proxy = Proxy(bed.cluster)
        try:
            with deployed(bed, "cm", place, tmp_path, server=proxy.url) as op:
                wait_for("a start", lambda: op.get("/healthz")[0] == 200)
                proxy.rule = rule
                wait_for("refusals of reads and writes", lambda: len(proxy.faults) >= 15 and len(counts) >= 5)
                _, exposition = op.get("/metrics")
                text = op.log.read_text()
                # Watches that are open end with the API server's restart, and their successors are refused.
                proxy.rule = lambda p: Fault(403, echo=True) if p.watch else None
                bed.plane.restart_apiserver()
                wait_for("refused watches", lambda: sum(p.watch for p in proxy.faults) >= 2)
                time.sleep(1.0)  # until it is logged
                text += op.log.read_text()
        finally:
            proxy.stop()
        token = json.loads((tmp_path / "concertmaster-0.kubeconfig").read_text())["users"][0]["user"]["token"]
        said = bed.cluster.kubectl("get", "wfp,opol,events.events.k8s.io,lease", "-n", place, "-o", "yaml")
        assert len(token) > 100
        assert "for the test" in text, "the answers were reported"
        for where, content in (("log", text), ("metrics", exposition), ("cluster", said)):
            for part in (token, token[:40], token[-40:]):
                assert part not in content, f"the token is in the {where}"


@pytest.mark.parametrize("command", ["doctor", "analyze", "record"])
def test_no_canary_is_printed_by_the_command_line(tmp_path: Path, command: str) -> None:
    """Every way to authenticate at a store that repeats what it is sent, in every way it answers."""
    for key, value in CANARIES.items():
        (tmp_path / key).write_text(value)
    auth = {
        "basic": {"auth": {"basic": {"username": "reader", "passwordFile": str(tmp_path / "password")}}},
        "bearer": {"auth": {"bearerTokenFile": str(tmp_path / "token")}},
        "header": {"headers": {"X-Api-Key": {"valueFile": str(tmp_path / "header")}}},
    }
    store = Echo()
    with served(store) as url:
        fast = {"url": url, "timeoutSeconds": 2, "deadlineSeconds": 2}
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps({"sources": [{"name": name, **fast, **how} for name, how in auth.items()]}))
        rest = {"doctor": ["--skip-cluster"], "analyze": ["--window", "1h"], "record": ["--window", "1h"]}[command]
        for name in auth:
            for _ in range(3):
                target = [str(tmp_path / "facts.json")] if command == "record" else []
                line = [command, "--config", str(config), "--source", name, *rest, *target]
                answer = subprocess.run(
                    [sys.executable, "-m", "concertmaster", *line],
                    env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert answer.returncode != 0, "nothing useful came from that store"
                assert "Traceback" not in answer.stderr
                for canary in ALL:
                    assert canary not in answer.stdout + answer.stderr, line
        sent = "".join(v for headers in store.seen for v in headers.values())
        assert all(canary in sent for canary in ALL[1:]), "the credentials were used"


HOSTILE = (
    '<script>alert("x")</script>',
    "a\nREADY True\n",
    "\x1b[2J\x1b[31m",
    '"}\n{"level":"error","msg":"forged"}',
    "{{ .Values.secret }} $(id) `id` ${x}",
    "\u202eevil",
)


class Hostile(Echo):
    """A store whose label values and messages would like to be markup, log lines or commands."""

    def answer(self, number: int, headers: dict[str, str]) -> tuple[int, str, bytes, dict[str, str]]:
        """An error that carries every hostile text."""
        body = json.dumps({"status": "error", "errorType": "execution", "error": " | ".join(HOSTILE)}).encode()
        return 422, "application/json", body, {}


def test_texts_of_a_store_stay_text(bed: Bed, tmp_path: Path) -> None:
    with served(Hostile()) as url, namespaces(bed, "markup") as (place,):
        bed.install("cm", place, {"sources": [{"name": "default", "url": url}], "config": FAST})
        apply(bed.cluster, cronjob(place, "etl"), policy(place, discover=CRONJOBS))
        with deployed(bed, "cm", place, tmp_path) as op:
            found = wait_for(
                "the condition",
                lambda: (
                    state(bed, place, "cronjob-etl", "MetricsAvailable").get("status") == "False"
                    and get(bed, "wfp", place, "cronjob-etl")
                ),
            )
            op.next_cycles(1)
            lines = op.read()
        for message in (c["message"] for c in found["status"]["conditions"]):
            assert not any(ord(letter) < 32 or ord(letter) == 127 for letter in message), message
            assert len(message) <= 1000
        assert not [line for line in lines if line["msg"] == "forged"]
        raw = op.log.read_text()
        assert "\x1b" not in raw, "an escape sequence would reach the terminal of whoever reads the log"
        described = bed.cluster.kubectl("describe", "wfp", "cronjob-etl", "-n", place)
        assert "\x1b" not in described
        assert not [line for line in described.splitlines() if line.strip() == "READY True"]

"""docs/operations.md, executed line by line from installation to removal."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from charts import boards
from testbed.build import ensure
from testbed.prometheus import PrometheusServer, Scrape
from tests.support.chart.bed import ROOT, Bed, deployed, find, promql_of, source
from tests.support.chart.release import LASTING, left_behind
from tests.support.cluster.operator_bed import apply, cronjob, history, runs_of_cronjob, wait_for

pytestmark = pytest.mark.timeout(300)

PAGE = ROOT / "docs" / "operations.md"
ADDRESS = "http://prometheus.monitoring:9090"


@dataclass
class Step:
    """One command with the output lines the page shows."""

    command: str
    expected: list[str] = field(default_factory=list)


def steps(text: str) -> Iterator[Step]:
    """Every command of the page's console blocks."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        step: Step | None = None
        for line in block.splitlines():
            if line.startswith("$ "):
                if step is not None:
                    yield step
                step = Step(line[2:])
            else:
                assert step is not None, f"output without a command: {line}"
                step.expected.append(line)
        assert step is not None, "an empty console block"
        yield step


def shown(expected: str, output: str) -> bool:
    """Whether some line of ``output`` is the expected one, ``*`` standing for anything."""
    pattern = " ".join(expected.split()).replace("[", "[[]")
    return any(fnmatch.fnmatchcase(" ".join(line.split()), pattern) for line in output.splitlines())


@pytest.fixture
def tools(bed: Bed, tmp_path: Path) -> dict[str, str]:
    """An environment in which helm, kubectl and concertmaster are those of this checkout and this cluster."""
    place = tmp_path / "bin"
    place.mkdir()
    built = ensure(["helm", "kubectl"], lambda _: None)
    for name, path in built.items():
        (place / name).symlink_to(path)
    script = place / "concertmaster"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m concertmaster "$@"\n')
    script.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{place}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(bed.cluster.kubeconfig()),
        "HOME": str(tmp_path),
    }


def test_the_page_is_true_from_installation_to_removal(
    bed: Bed, tools: dict[str, str], tmp_path: Path, make_prometheus: Callable[..., PrometheusServer]
) -> None:
    cluster = bed.cluster
    end = time.time() - 30.0
    prometheus = make_prometheus(history=history(*runs_of_cronjob("jobs", "etl", 30, end), end))
    bed.namespace("jobs")
    apply(cluster, cronjob("jobs", "etl"))
    # The kinds may be there from another test; what the page takes over by flag is taken over here by hand.
    found = cluster.get("crd", "-l", "app.kubernetes.io/part-of=concertmaster")["items"]
    for crd in found:
        name = crd["metadata"]["name"]
        for key, value in (("name", "concertmaster"), ("namespace", "concertmaster")):
            cluster.kubectl("annotate", "crd", name, "--overwrite", f"meta.helm.sh/release-{key}={value}")
        cluster.kubectl("label", "crd", name, "--overwrite", "app.kubernetes.io/managed-by=Helm")
    done = 0
    with ExitStack() as running:
        for step in steps(PAGE.read_text()):
            command = step.command.replace(ADDRESS, prometheus.url)
            if command.startswith("helm install"):
                # Simulated kubelets end pods after two seconds unless told otherwise.
                command += " --set-string 'podAnnotations.sim/duration=" + LASTING["sim/duration"] + "'"
                command += " --set 'sources[0].delaySeconds=5' --set config.limits.backfill=2d"
            if command.startswith("helm uninstall"):
                running.close()
            answer = subprocess.run(
                ["bash", "-c", command], cwd=ROOT, env=tools, capture_output=True, text=True, timeout=180, check=False
            )
            said = answer.stdout + answer.stderr
            assert answer.returncode == 0, f"$ {command}\n{said}"
            for line in step.expected:
                assert shown(line, said), f"$ {command}\nexpected: {line}\n{said}"
            if not step.expected and not command.startswith("helm"):
                assert not answer.stdout.strip(), f"$ {command}\n{said}"
            if command.startswith("helm install"):
                running.enter_context(deployed(bed, "concertmaster", "concertmaster", tmp_path))
            done += 1
    assert done > 20
    wait_for("nothing left of the release", lambda: not left_behind(bed))
    meta = cluster.get("cronjob", "etl", "-n", "jobs")["metadata"]
    assert "finalizers" not in meta
    assert set(meta["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    cluster.kubectl("delete", "namespace", "jobs", "--wait=false")
    wait_for(
        "the kinds are gone",
        lambda: not cluster.get("crd", "-l", "app.kubernetes.io/part-of=concertmaster")["items"],
        180,
    )


def test_every_alert_and_right_on_the_page_exists(bed: Bed) -> None:
    text = PAGE.read_text()
    rules = find(bed.helm.template({"metrics": {"prometheusRule": {"enabled": True}}}), "PrometheusRule")
    alerts = {r["alert"] for g in rules["spec"]["groups"] for r in g["rules"] if "alert" in r}
    cells = re.findall(r"^\| (Concertmaster\w+(?:, -\w+)?) \|", text, re.MULTILINE)
    named = set()
    for cell in cells:
        first, _, more = cell.partition(", -")
        named.add(first)
        if more:
            stem = {"Behind": "ConcertmasterSource", "Twice": "Concertmaster"}[more]
            named.add(f"{stem}{more}")
    assert named == alerts


def test_every_query_about_the_operator_runs_on_a_real_prometheus(
    bed: Bed, tmp_path: Path, make_prometheus: Callable[..., PrometheusServer]
) -> None:
    """Against the operator's own metrics as scraped: each is understood, and each series asked for exists."""
    place = bed.namespace("boards")
    end = time.time() - 30.0
    store = make_prometheus(history=history(*runs_of_cronjob(place, "etl", 30, end), end))
    interval = {"interval": "10s", "limits": {"backfill": "2d"}}
    bed.install("cm", place, {"sources": [source(store.url)], "config": interval})
    apply(
        bed.cluster,
        cronjob(place, "etl"),
        {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "OptimizationPolicy",
            "metadata": {"name": "team", "namespace": place},
            "spec": {
                "discover": [{"apiVersion": "batch/v1", "kind": "CronJob"}],
                "metrics": {"perWorkflow": True},
            },
        },
    )
    with deployed(bed, "cm", place, tmp_path) as op:
        op.next_cycles(2)
        wait_for("series of the workflow", lambda: "concertmaster_workflow_saving" in op.get("/metrics")[1], 90)
        own = make_prometheus([Scrape.of("concertmaster", f"http://127.0.0.1:{op.port}/metrics", "1s")])
        wait_for("a scrape", lambda: own.query("concertmaster_build_info"))
        _, exposition = op.get("/metrics")
    known = {line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE ")}
    known |= {f"{name}_bucket" for name in known}
    recorded = set()
    expressions = [promql_of(e, {"__rate_interval": "1m"}) for p in boards.OPERATOR for e, _ in p.queries]
    rules = find(bed.helm.template({"metrics": {"prometheusRule": {"enabled": True}}}), "PrometheusRule")
    for group in rules["spec"]["groups"]:
        for rule in group["rules"]:
            expressions.append(rule["expr"])
            recorded.add(rule.get("record"))
    for expression in expressions:
        own.query(expression)  # an error of the query's own fails here
        for name in re.findall(r"\bconcertmaster_\w+", expression):
            assert name in known or f"{name.removesuffix('_total')}_total" in known, f"{name} in {expression}"
    bed.remove("cm", place)
    bed.cluster.kubectl("delete", "namespace", place, "--wait=false")

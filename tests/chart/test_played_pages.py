"""docs/quickstart.md, docs/upgrade.md and docs/removal.md, played command by command as a reader would."""

from __future__ import annotations

import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from testbed.services.prometheus import PrometheusServer
from tests.support.chart.bed import ROOT, Bed, deployed
from tests.support.chart.played import PART_OF, Step, adopt, check, environment, steps
from tests.support.chart.release import LASTING
from tests.support.cluster.operator_bed import apply, cronjob, history, runs_of_cronjob, wait_for
from tests.support.cluster.published import own_address, publish

pytestmark = pytest.mark.timeout(600)

RELEASE = "concertmaster"  # and its namespace, as the pages name both
JOBS = "etl-team"
PREVIOUS = Path(__file__).parent / "releases" / "0.1.0-alpha" / "concertmaster-0.1.0-alpha.tgz"
# What a reader puts in the place of the words in capitals, and the addresses of another cluster.
OWN = {"REGISTRY": "registry.example", "PROFILE": "cronjob-etl", "RECOMMENDATION": "right-size", "NAMESPACE": JOBS}
# There is neither a container builder (tests/chart/test_image.py plays the Dockerfile) nor a pod to forward a port to.
ELSEWHERE = ("docker ", "kubectl -n monitoring port-forward ")
# Simulated kubelets end pods after two seconds unless the pod says otherwise; the rest makes the first minutes seconds.
QUICK = (
    f" --set-string 'podAnnotations.sim/duration={LASTING['sim/duration']}'"
    " --set 'sources[0].delaySeconds=5' --set config.limits.backfill=2d --set config.interval=10s"
)


def page(name: str) -> Iterator[Step]:
    """The steps of a page that can be played here."""
    for step in steps((ROOT / "docs" / f"{name}.md").read_text()):
        if not step.command.startswith(ELSEWHERE):
            yield step


class Reader:
    """Somebody with a cluster, a Prometheus and one CronJob who follows the pages."""

    def __init__(self, bed: Bed, directory: Path, prometheus: str) -> None:
        self.bed, self.directory = bed, directory
        self.shell = environment(bed, directory)
        self.addresses = {"http://prometheus.monitoring:9090": prometheus, "http://localhost:9090": prometheus}
        self.said: dict[str, str] = {}
        self.pods = ExitStack()

    def follow(self, step: Step) -> None:
        """Run one step; an installed operator is started, and one that is removed is stopped."""
        command = step.command
        for word, mine in {**OWN, **self.addresses}.items():
            command = command.replace(word, mine)
        print(f"{time.strftime('%H:%M:%S')} $ {command}", flush=True)  # what a failure shows
        if command.startswith(("helm uninstall", "helm upgrade", "helm rollback")):
            self.pods.close()
        if command.endswith(" dashboard"):
            self.said[step.command] = self.look(command)
            return
        quick = QUICK if command.startswith("helm install") else ""
        self.said[step.command] = check(step, command + quick, self.shell)
        if command.startswith("helm install"):
            self.start()

    def start(self) -> None:
        """The operator as the Deployment says, behind the release's Service."""
        operator = self.pods.enter_context(deployed(self.bed, RELEASE, RELEASE, self.directory, address="0.0.0.0"))
        remove = '[{"op": "remove", "path": "/spec/selector"}]'
        self.bed.cluster.run_kubectl("patch", "svc", RELEASE, "-n", RELEASE, "--type=json", "-p", remove)
        publish(self.bed.cluster, RELEASE, own_address(), operator.port)
        self.operator = operator

    def look(self, command: str) -> str:
        """Open the address that the dashboard prints, read the page of the workflow, press Ctrl+C."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            env={**self.shell, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"(http://127\.0\.0\.1:\d+)/\?token=(\S+)", line)
            assert found, line
            path = f"/workflows/{JOBS}/{OWN['PROFILE']}"
            request = urllib.request.Request(found[1] + path, headers={"Authorization": f"Bearer {found[2]}"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                text: str = answer.read().decode()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            return text
        finally:
            process.kill()
            process.wait(15)


@pytest.fixture
def reader(bed: Bed, tmp_path: Path, make_prometheus: Callable[..., PrometheusServer]) -> Iterator[Reader]:
    end = time.time() - 30.0
    prometheus = make_prometheus(history=history(*runs_of_cronjob(JOBS, "etl", 30, end), end))
    gone = lambda *what: not bed.cluster.run_kubectl("get", *what, "--ignore-not-found", "-o", "name").stdout  # noqa: E731
    wait_for("the last test's namespaces to go", lambda: gone("namespace", RELEASE) and gone("namespace", JOBS))
    # Those of other tests: `top` ranks the recommendations of all, and `doctor` fails for conditions of any.
    for kind in ("wfp", "opol", "wfc"):
        bed.cluster.run_kubectl("delete", kind, "--all", "-A")
    bed.namespace(JOBS)
    apply(bed.cluster, cronjob(JOBS, "etl"))
    adopt(bed, RELEASE, RELEASE)
    found = Reader(bed, tmp_path, prometheus.url)
    yield found
    found.pods.close()
    bed.remove(RELEASE, RELEASE)
    bed.cluster.run_kubectl("delete", "copol", "--all")
    bed.cluster.run_kubectl("delete", "namespace", JOBS, RELEASE, "--wait=false")


def test_quick_start_and_removal_are_true(bed: Bed, reader: Reader) -> None:
    """From nothing to recommendations and pages; then the release is removed, installed again, and everything removed."""
    for step in page("quickstart"):
        reader.follow(step)
    said = reader.said
    assert "right-size" in said["kubectl concertmaster top"]
    reported = said["kubectl concertmaster explain PROFILE RECOMMENDATION -n NAMESPACE"]
    assert "Evidence" in reported and "could not be asked" not in reported
    assert "Gantt chart of 1 pods" in said["kubectl concertmaster dashboard"]

    install = next(s for s in page("quickstart") if s.command.startswith("helm install"))
    removed = 0
    for step in page("removal"):
        reader.follow(step)
        if step.command.startswith("kubectl get copol"):
            removed += 1
            before = bed.cluster.get("wfp", OWN["PROFILE"], "-n", JOBS)["status"]
            assert before["recommendations"], "statuses stay while nobody writes them"
            reader.follow(install)
            reader.operator.next_cycles(1)
            assert bed.cluster.get("wfp", OWN["PROFILE"], "-n", JOBS)["status"]["recommendations"]
            reader.pods.close()
            bed.remove(RELEASE, RELEASE)
    assert removed == 1
    meta = bed.cluster.get("cronjob", "etl", "-n", JOBS)["metadata"]
    assert "finalizers" not in meta
    assert set(meta["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    wait_for("the kinds to go", lambda: not bed.cluster.get("crd", "-l", PART_OF)["items"])


def test_an_upgrade_from_the_last_release_and_back_is_true(bed: Bed, reader: Reader) -> None:
    """The last release with values of its user's; this checkout over it keeps them, and the page's way back leads there."""
    install = next(s for s in page("quickstart") if s.command.startswith("helm install"))
    old = install.command.replace("charts/concertmaster", str(PREVIOUS)) + QUICK
    for word, mine in {**OWN, **reader.addresses}.items():
        old = old.replace(word, mine)
    check(Step(old, install.expected), old, reader.shell)
    bed.cluster.kubectl("apply", "-f", str(ROOT / "examples" / "policy.yaml"))

    def image() -> str:
        found = bed.cluster.get("deployment", RELEASE, "-n", RELEASE)["spec"]["template"]["spec"]["containers"]
        return str(found[0]["image"]).partition("/")[2]

    assert image() == "concertmaster:0.1.0-alpha"
    done = []
    for step in page("upgrade"):
        reader.follow(step)
        done.append(step.command.split()[1])
        if "upgrade" in step.command:
            assert image() == "concertmaster:0.1.0"
            reader.start()
            wait_for("an analysis", lambda: bed.cluster.get("wfp", "-n", JOBS)["items"])
            reader.operator.next_cycles(1)
            assert yaml.safe_load(reader.operator.config.read_text())["interval"] == "10s", "the user's values are kept"
    assert done.count("upgrade") == done.count("rollback") == 1
    assert image() == "concertmaster:0.1.0-alpha"
    assert bed.cluster.get("wfp", "-n", JOBS)["items"], "profiles outlive both"

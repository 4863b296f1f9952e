"""``make demo``: the operator's main function on real components, reported step by step.

1. ``concertmaster analyze`` runs on the committed facts, immediately.
2. Meanwhile etcd, kube-apiserver, kubectl and Prometheus are located or built.
3. Prometheus is loaded with two weeks of history; workflows, a profile and policies are applied with kubectl.
4. The operator runs until every profile has recommendations; ``kubectl get wfp`` and ``kubectl describe`` show them.

On a terminal everything keeps running until Ctrl-C, with the addresses printed. Otherwise it ends by itself; the exit
status is 0 if every step succeeded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from typing import Any

from testbed.demo.facts import DATA, FILE, ROOT
from testbed.demo.history import DAYS, NAMESPACE, grid, pod_history
from testbed.install.build import ensure
from testbed.process import Process, TemporaryDirectory, TestbedError
from testbed.series.openmetrics import render
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.kinds import ARGO_CRDS, CRDS, install_kinds
from testbed.services.operator import OperatorProcess, operator_settings
from testbed.services.prometheus import PrometheusServer

COMPONENTS = ("etcd", "kube-apiserver", "kubectl", "prometheus", "promtool")
EXAMPLES = ROOT / "examples" / "demo"
PATIENCE = 180.0  # seconds for the first recommendations


def say(text: str = "") -> None:
    """Print a line immediately."""
    print(text, flush=True)


def headline(text: str) -> None:
    """Print the title of the next step."""
    say(f"\n=== {text}")


class Build(threading.Thread):
    """Locates or builds the components in the background."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.error: BaseException | None = None
        self.lines: list[str] = []

    def run(self) -> None:
        try:
            ensure(COMPONENTS, self.lines.append)
        except (TestbedError, OSError) as error:
            self.error = error

    def wait(self) -> None:
        """Print the progress until all components are ready. Raises the error of the build."""
        reported = 0
        while self.is_alive():
            self.join(1.0)
            for line in self.lines[reported:]:
                say(f"  {line}")
            reported = len(self.lines)
        if self.error is not None:
            raise self.error


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}


def analyze_facts() -> bool:
    """The first result, without cluster and Prometheus: analyze the recorded file."""
    headline(f"concertmaster analyze --facts {FILE.relative_to(ROOT)}")
    command = _python("concertmaster", "analyze", "--facts", str(FILE), "-o", "wide")
    return subprocess.run(command, env=_environment(), check=False).returncode == 0


def _recommended(cluster: Cluster) -> tuple[int, int]:
    """Number of profiles with a finished analysis, and of all profiles."""
    items: list[dict[str, Any]] = cluster.get("wfp", "-A")["items"]
    done = sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in (i.get("status") or {}).get("conditions") or ())
        for i in items
    )
    return done, len(items)


def _summed(cluster: Cluster) -> bool:
    """Whether the policies count what the profiles say: the cycle that does has also analyzed them beside each other."""
    items: list[dict[str, Any]] = [*cluster.get("opol", "-A")["items"], *cluster.get("copol")["items"]]
    return all(((i.get("status") or {}).get("totals") or {}).get("recommendations") for i in items)


def wait_for_recommendations(cluster: Cluster, operator: Process, expected: int) -> float:
    """Seconds until every profile is Ready and policies have their sums. Raises TestbedError on a timeout or if the
    operator ends."""
    start = time.monotonic()
    reported = start
    while True:
        done, total = _recommended(cluster)
        if total >= expected and done == total and _summed(cluster):
            return time.monotonic() - start
        if not operator.running:
            raise TestbedError(f"the operator ended:\n{operator.tail(30)}")
        if time.monotonic() - start > PATIENCE:
            missing = f"{done} of {total} profiles have recommendations after {PATIENCE:.0f} s"
            raise TestbedError(f"{missing}:\n{operator.tail(30)}")
        if time.monotonic() - reported > 5:
            reported = time.monotonic()
            say(f"  {done} of {total} profiles have recommendations after {reported - start:.0f} s")
        time.sleep(0.5)


def show(cluster: Cluster) -> None:
    """Print the commands of a user with their output."""
    headline("kubectl get wfp -A")
    say(cluster.kubectl("get", "wfp", "-A"))
    one = "wftmpl/blast-search"
    for words in (["top"], ["describe", one], ["explain", one, "right-size"]):
        words += ["-n", NAMESPACE]
        headline(f"kubectl concertmaster {' '.join(words)}")
        place = ["--kubeconfig", str(cluster.kubeconfig())]
        say(subprocess.run(_python("concertmaster", *words, *place), check=True, capture_output=True, text=True).stdout)
    for item in cluster.get("wfp", "-n", NAMESPACE)["items"]:
        name = item["metadata"]["name"]
        headline(f"kubectl describe wfp -n {NAMESPACE} {name}")
        say(cluster.kubectl("describe", "wfp", "-n", NAMESPACE, name))
    headline("kubectl get opol,copol -A")
    say(cluster.kubectl("get", "opol,copol", "-A"))


def stay(cluster: Cluster, prometheus: str, port: int) -> None:
    """Keep everything running for interactive use."""
    try:  # Ctrl-C may come as soon as the first of it is read
        headline("everything stays up until Ctrl-C")
        say(f"  export KUBECONFIG={cluster.kubeconfig()}")
        say(f"  kubectl        {cluster.kubectl_path}")
        say(f"  Prometheus     {prometheus}")
        say(f"  operator       http://127.0.0.1:{port}/metrics")
        say(f"  try            kubectl explain opol.spec --recursive; concertmaster list -n {NAMESPACE}")
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        say("\nstopping")


def run(keep: bool) -> int:
    """Run the whole demo; returns the exit status."""
    begin = time.monotonic()
    build = Build()
    build.start()
    good = analyze_facts()
    headline("finding or building etcd, kube-apiserver, kubectl and Prometheus (once; then they come from the cache)")
    build.wait()
    warm = time.monotonic()
    with TemporaryDirectory("concertmaster-demo-") as directory, ControlPlane(progress=say) as plane:
        cluster = plane.cluster
        headline(f"loading {DAYS} days of history into Prometheus")
        end = time.time()
        pods = pod_history(end, DATA)
        prometheus = PrometheusServer(progress=say)
        prometheus.load_openmetrics(render(pods, grid(end)))
        say(f"  {len(pods)} pods of three workflows; where the numbers come from: examples/demo/data/NOTICE.md")
        with prometheus:
            headline("kubectl apply")
            say(install_kinds(cluster, CRDS, ARGO_CRDS))
            for file in ("workflows", "profile", "policies"):
                say(cluster.kubectl("apply", "-f", str(EXAMPLES / f"{file}.yaml")).rstrip())
            headline("concertmaster run --config concertmaster.yaml")
            settings = operator_settings(
                directory / "history.db", prometheus.url, interval="30s", limits={"backfillPerCycle": "14d"}
            )
            operator = OperatorProcess(directory, settings, cluster.kubeconfig())
            try:
                operator.start_live()
                seconds = wait_for_recommendations(cluster, operator, expected=3)
                say(f"  every profile has recommendations {seconds:.0f} s after the operator started")
                now = time.monotonic()
                say(
                    f"  first recommendations {now - warm:.0f} s after the parts were there, {now - begin:.0f} s in all"
                )
                show(cluster)
                if keep:
                    stay(cluster, prometheus.url, operator.port)
            finally:
                operator.stop()
    return 0 if good else 1


def main() -> int:
    """Parse the options and turn failures into a message and an exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="stay up at the end, also without a terminal")
    parser.add_argument("--no-keep", action="store_true", help="end by itself, also on a terminal")
    options = parser.parse_args()
    try:
        return run(keep=options.keep or (sys.stdout.isatty() and not options.no_keep))
    except KeyboardInterrupt:
        return 130
    except (TestbedError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

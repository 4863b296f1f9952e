"""Fixtures for the test bed. Load with `pytest_plugins = ["testbed.pytest_plugin"]` in tests/conftest.py.

One control plane serves a whole test run: the first test that needs it starts it as a separate process, all xdist
workers find it through the environment, and it ends with the run (even if the run is killed). Every test has its own
namespace; a test that restarts or breaks parts starts its own control plane.

Set CONCERTMASTER_TESTBED_STATE to the file written by `python -m testbed up --state FILE` to run the tests against that
cluster instead.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from testbed.install.build import resolve
from testbed.locking import locked
from testbed.process import TestbedError
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.prometheus import PrometheusServer, Scrape

STATE = "CONCERTMASTER_TESTBED_STATE"
RUN = "CONCERTMASTER_TESTBED_RUN"
OWNER = "CONCERTMASTER_TESTBED_OWNER"
START_SECONDS = 90.0
ROOT = Path(__file__).resolve().parent.parent


class MakePrometheus(Protocol):
    """`make_prometheus(scrapes, history=...)`: a started server; `history` is OpenMetrics text or a file of it."""

    def __call__(
        self, scrapes: Sequence[Scrape] = (), *, history: Path | Iterable[str] | None = None
    ) -> PrometheusServer: ...


def pytest_configure(config: pytest.Config) -> None:
    """Set the directory that the workers of a run share; nothing is created or started yet."""
    if not hasattr(config, "workerinput"):
        os.environ[RUN] = str(
            Path(tempfile.gettempdir()) / f"concertmaster-testbed-run-{os.getpid()}-{secrets.token_hex(4)}"
        )
        os.environ[OWNER] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the shared cluster, if any test started it."""
    if hasattr(config, "workerinput"):
        return
    run = Path(os.environ[RUN])
    try:
        number = int((run / "pid").read_text())
    except (OSError, ValueError):
        number = 0
    if number:
        try:
            os.kill(number, signal.SIGTERM)
        except ProcessLookupError:
            number = 0  # it has ended already
    deadline = time.monotonic() + 20
    while number and _alive(number) and time.monotonic() < deadline:
        time.sleep(0.1)
    shutil.rmtree(run, ignore_errors=True)


def _alive(number: int) -> bool:
    """Whether the process is running; a zombie is not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def require_binaries(names: Sequence[str]) -> None:
    """Raise TestbedError with the command to run if a binary is missing: compiling would exceed a test's time limit."""
    _, missing = resolve(names)
    if missing:
        minutes = sum(component.seconds for component in missing) / 60
        raise TestbedError(
            f"not built yet: {', '.join(c.name for c in missing)}. Run `python -m testbed build` first "
            f"(about {minutes:.0f} min on two cores, once)."
        )


def _start_shared(run: Path, state: Path) -> None:
    """Start the shared cluster and wait for its state file; the caller holds the lock."""
    require_binaries([*Options.everything().binaries(), "prometheus", "promtool"])
    log = run / "up.log"
    command = [sys.executable, "-m", "testbed", "up", f"--state={state}", f"--scratch={run}"]
    with log.open("ab") as output:
        child = subprocess.Popen(
            [*command, f"--owner={os.environ[OWNER]}"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (run / "pid").write_text(str(child.pid))
    deadline = time.monotonic() + START_SECONDS
    while not state.exists():
        if child.poll() is not None or time.monotonic() > deadline:
            child.terminate()
            raise TestbedError(f"the test run's cluster did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)
    child.returncode = 0  # suppresses a warning: `pytest_unconfigure` stops it at the end of the run


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The shared cluster of the run with all parts; `endpoints` has prometheus, kube-state-metrics and cadvisor."""
    given = os.environ.get(STATE)
    if given:
        return Cluster.attach(Path(given))
    run = Path(os.environ[RUN])
    run.mkdir(mode=0o700, exist_ok=True)
    state = run / "state.json"
    with locked(run / "lock", "the test run's cluster", lambda _: None):
        if not state.exists():
            _start_shared(run, state)
    return Cluster.attach(state)


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new namespace of the shared cluster, ready for pods; deleted afterwards without waiting."""
    slug = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    name = f"t-{slug}-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=240s")
    yield name
    cluster.run_kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def make_control_plane() -> Iterator[Callable[..., ControlPlane]]:
    """`make_control_plane(Options(...))`: a control plane for one test, stopped at its end."""
    with ExitStack() as stack:

        def make(options: Options | None = None) -> ControlPlane:
            chosen = options or Options()
            require_binaries(chosen.binaries())
            return stack.enter_context(ControlPlane(chosen))

        yield make


@pytest.fixture
def make_prometheus() -> Iterator[MakePrometheus]:
    """A factory of Prometheus servers for one test, with history if given, stopped at its end."""
    require_binaries(["prometheus", "promtool"])
    with ExitStack() as stack:

        def make(scrapes: Sequence[Scrape] = (), *, history: Path | Iterable[str] | None = None) -> PrometheusServer:
            server = PrometheusServer(scrapes)
            stack.callback(server.close)
            if history is not None:
                server.load_openmetrics(history)
            return server.start()

        yield make

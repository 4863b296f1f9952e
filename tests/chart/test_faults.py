"""Faults of the API server, the disk and the clock, under the running operator: it goes on, and says what was wrong."""

from __future__ import annotations

import json
import resource
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.services.kinds import CRDS, install_kinds
from testbed.services.prometheus import PrometheusServer
from tests.support.chart.bed import ROOT, Bed, Operator, deployed, source
from tests.support.chart.place import CRONJOBS, FAST, get, namespaces, with_recommendations
from tests.support.chart.proxy import Fault, Passing, Pipe, Proxy
from tests.support.cluster.operator_bed import apply, cronjob, history, policy, runs_of_cronjob, wait_for

pytestmark = pytest.mark.timeout(600)
SEEN_WITHIN = 75.0  # seconds from an event on a connection that hangs until the operator knows of it


@pytest.fixture
def place(bed: Bed) -> Iterator[str]:
    """A namespace with a CronJob and a policy that discovers it."""
    with namespaces(bed, "faults") as (name,):
        yield name


@pytest.fixture
def prometheus(place: str, make_prometheus: Callable[..., PrometheusServer]) -> PrometheusServer:
    """Two days of the hourly CronJob."""
    end = time.time() - 30.0
    return make_prometheus(history=history(*runs_of_cronjob(place, "etl", 30, end), end))


@pytest.fixture
def installed(bed: Bed, place: str, prometheus: PrometheusServer) -> str:
    """The release in place, the workflow and its policy there."""
    bed.install("cm", place, {"namespaces": [place], "sources": [source(prometheus.url)], "config": FAST})
    apply(bed.cluster, cronjob(place, "etl"), policy(place, discover=CRONJOBS))
    return place


@pytest.fixture
def proxy(bed: Bed) -> Iterator[Proxy]:
    """What stands between the operator and the API server."""
    found = Proxy(bed.cluster)
    yield found
    found.stop()


@pytest.fixture
def pipe(bed: Bed) -> Iterator[Pipe]:
    """The same for connections."""
    found = Pipe(bed.cluster)
    yield found
    found.stop()


def first(times: int, code: int, wanted: Callable[[Passing], bool]) -> Callable[[Passing], Fault | None]:
    """A rule that breaks the first ``times`` requests of each kind that are ``wanted``."""
    counts: Counter[tuple[str, str]] = Counter()

    def rule(passing: Passing) -> Fault | None:
        if not wanted(passing):
            return None
        key = (passing.method, passing.path)
        counts[key] += 1
        return Fault(code, retry_after=1 if code == 429 else None) if counts[key] <= times else None

    return rule


@pytest.mark.parametrize(
    ("times", "code", "wanted"),
    [
        (2, 429, lambda p: True),
        (2, 500, lambda p: p.method != "GET"),
        (1, 409, lambda p: p.path.endswith("/status")),
        (1, 410, lambda p: p.method == "GET" and "concertmaster.dev" in p.path and p.path.count("/") > 3),
    ],
    ids=["429-everywhere", "500-on-writes", "409-on-status", "410-on-lists-and-watches"],
)
def test_refusals_of_the_api_server_are_got_over(
    bed: Bed, installed: str, proxy: Proxy, tmp_path: Path, times: int, code: int, wanted: Callable[[Passing], bool]
) -> None:
    proxy.rule = first(times, code, wanted)
    with deployed(bed, "cm", installed, tmp_path, server=proxy.url) as op:
        wait_for("recommendations nevertheless", lambda: with_recommendations(bed, installed))
        assert proxy.faults
        assert op.get("/healthz")[0] == 200


def test_mute_watches_are_noticed(bed: Bed, installed: str, proxy: Proxy, tmp_path: Path) -> None:
    """The watches are mute while lists show new objects: nothing is decided on half a picture, and it is reported."""
    with deployed(bed, "cm", installed, tmp_path, server=proxy.url) as op:
        wait_for("recommendations", lambda: with_recommendations(bed, installed))
        proxy.rule = lambda p: Fault(silent=True) if p.watch else None
        # The streams that are open are broken off with the API server's next restart; their successors are mute.
        bed.plane.restart_apiserver()
        # Where policies are listed anew only after the next one is made, their watch is not behind.
        kinds = ("/optimizationpolicies", "/workflowprofiles")
        wait_for("mute watches", lambda: all(any(p.path.endswith(k) for p in proxy.faults) for k in kinds))
        before = bed.cluster.get("wfp", "cronjob-etl", "-n", installed)["metadata"]["uid"]
        apply(bed.cluster, policy(installed, "unseen", priority=5))
        behind = "the watches are behind the cluster"
        wait_for("the report", lambda: [c for c in op.cycles() if behind in str(c.get("problems"))])
        assert get(bed, "wfp", installed, "cronjob-etl")["metadata"]["uid"] == before, "nothing was withdrawn"


def test_a_watch_whose_connection_hangs_is_opened_anew(bed: Bed, installed: str, pipe: Pipe, tmp_path: Path) -> None:
    """No byte and no end on any open connection: what happens after that arrives within the time docs/operations.md says."""
    with deployed(bed, "cm", installed, tmp_path, server=pipe.url) as op:
        wait_for("recommendations", lambda: with_recommendations(bed, installed))
        hanging = pipe.freeze()
        begun = time.monotonic()
        apply(bed.cluster, policy(installed, "after", priority=5))
        wait_for("the policy to be seen", lambda: get(bed, "opol", installed, "after").get("status"))
        took = time.monotonic() - begun
        assert took < SEEN_WITHIN + 10.0, "seconds; ten for a busy machine"
        behind = "the watches are behind the cluster"
        assert [c for c in op.cycles() if behind in str(c.get("problems"))], "it was reported meanwhile"
        assert len(hanging) >= 4, "policies, profiles, changes and the operator's own requests"
        wait_for("the dead connections to be given up", lambda: all(left.is_set() for left in hanging))
        assert op.process.poll() is None
        assert op.get("/healthz")[0] == 200


def test_kinds_may_be_removed_and_brought_back(
    bed: Bed, place: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    """With rights on the whole cluster the operator may watch CustomResourceDefinitions and notices their return.

    kopf learns from a stream that a kind is gone. A list of the kind may be refused a moment earlier, and ends it: the
    process then ends with the reason, as it does without those rights, and the next one waits for the kinds. That is seldom:
    one of three processes at the latest stays and waits.
    """
    installed = place
    bed.install("cm", place, {"sources": [source(prometheus.url)], "config": FAST})
    apply(bed.cluster, cronjob(place, "etl"), policy(place, discover=CRONJOBS))
    ours = [p.stem for p in sorted((ROOT / "crds").glob("*.yaml"))]
    for attempt in range(3):
        with deployed(bed, "cm", installed, tmp_path, pod=f"concertmaster-{attempt}") as op:
            wait_for("recommendations", lambda: with_recommendations(bed, installed))
            uid = get(bed, "wfp", installed, "cronjob-etl")["metadata"]["uid"]
            bed.cluster.kubectl("delete", "crd", "--wait=false", *ours)
            wait_for("kinds gone", lambda: not bed.cluster.run_kubectl("get", "crd", *ours).stdout.strip())
            wait_for("the report, or the end", lambda op=op: op.process.poll() is not None or _reported(op))
            waits = op.process.poll() is None
            install_kinds(bed.cluster, CRDS)
            wait_for("the policy to be taken", lambda: bed.cluster.run_kubectl(
                "apply", "-f", "-", input=_json(policy(installed, discover=CRONJOBS))).returncode == 0)  # fmt: skip
            wait_for(
                "advice again, or room for a process that watches",
                lambda op=op: with_recommendations(bed, installed) or op.process.poll() is not None,
            )
            if op.process.poll() is not None:
                assert op.process.returncode == 1
                said = _last_error(op)
                assert "their watch is not" in said or "no longer serves a watched kind" in said
        if waits:
            break
    else:
        pytest.fail("it never waited for the kinds to come back")
    with deployed(bed, "cm", installed, tmp_path, pod="next"):
        wait_for("recommendations again", lambda: with_recommendations(bed, installed))
        assert get(bed, "wfp", installed, "cronjob-etl")["metadata"]["uid"] != uid


def _reported(op: Operator) -> bool:
    """Whether a cycle has said that the kinds are gone."""
    return any("does not serve WorkflowProfile" in str(cycle.get("problems")) for cycle in op.cycles())


def _last_error(op: Operator) -> str:
    """The one error with which the process ended; no traceback belongs to it."""
    # Python may add a line of its own about tasks nobody waited for, after the last one of the operator.
    said = [json.loads(line) for line in op.log.read_text().splitlines() if line.startswith("{")]
    (last,) = [line for line in said if line["logger"] == "concertmaster" and line["level"] == "error"]
    assert "error" not in last
    return str(last["msg"])


def test_in_listed_namespaces_the_loss_of_kinds_ends_the_process_with_a_reason(
    bed: Bed, installed: str, tmp_path: Path
) -> None:
    """It may not watch CustomResourceDefinitions there; the next process waits for them, as after any start."""
    ours = [p.stem for p in sorted((ROOT / "crds").glob("*.yaml"))]
    with deployed(bed, "cm", installed, tmp_path) as op:
        wait_for("recommendations", lambda: with_recommendations(bed, installed))
        bed.cluster.kubectl("delete", "crd", "--wait=false", *ours)
        wait_for("kinds gone", lambda: not bed.cluster.run_kubectl("get", "crd", *ours).stdout.strip())
        wait_for("the end", lambda: op.process.poll() is not None)
        assert op.process.returncode == 1
        assert "no longer serves a watched kind" in _last_error(op)
    with deployed(bed, "cm", installed, tmp_path, pod="next") as op:
        wait_for("it to wait", lambda: [x for x in op.read() if x["msg"].startswith("waiting: ")])
        assert (op.get("/healthz")[0], op.get("/readyz")[0]) == (200, 503)
        install_kinds(bed.cluster, CRDS)
        wanted = _json(policy(installed, discover=CRONJOBS))
        wait_for("the policy", lambda: bed.cluster.run_kubectl("apply", "-f", "-", input=wanted).returncode == 0)
        wait_for("recommendations again", lambda: with_recommendations(bed, installed))


def _json(value: object) -> str:
    return json.dumps(value)


def test_a_full_disk_is_reported_and_got_over(bed: Bed, installed: str, tmp_path: Path) -> None:
    """No file may grow any more: the cycle says so and goes on; with room again the recommendations come."""
    with deployed(bed, "cm", installed, tmp_path) as op:
        wait_for("the history", lambda: list(tmp_path.rglob("history.db")))
        log = op.log.stat().st_size
        _, hard = resource.prlimit(op.process.pid, resource.RLIMIT_FSIZE, (log + 40_000, resource.RLIM_INFINITY))
        assert hard == resource.RLIM_INFINITY
        full = "no space left to write"
        wait_for("the report", lambda: [c for c in op.cycles() if full in str(c.get("problems"))])
        assert op.process.poll() is None
        assert op.get("/healthz")[0] == 200
        resource.prlimit(op.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_for("recommendations", lambda: with_recommendations(bed, installed))


def test_a_clock_that_was_ahead_does_no_lasting_harm(bed: Bed, installed: str, tmp_path: Path) -> None:
    """Watermarks a day in the future, as a clock that jumped ahead and back leaves them: new runs are found nevertheless."""
    with deployed(bed, "cm", installed, tmp_path) as op:
        wait_for("recommendations", lambda: with_recommendations(bed, installed))
        op.stop()
    (file,) = tmp_path.rglob("history.db")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE watermarks SET until = until + 86400 WHERE until > 0")
    database.close()
    with deployed(bed, "cm", installed, tmp_path, pod="later") as op:
        op.next_cycles(2)
        assert op.process.poll() is None
        assert op.get("/healthz")[0] == 200
        found = get(bed, "wfp", installed, "cronjob-etl")["status"]
    assert found["runs"]["observed"] == 30
    assert found["dataUntil"] < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))

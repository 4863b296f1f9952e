"""The place of the history cannot be written: read-only and full file systems, which no right of root gets around.

The operator runs in a mount namespace of its own, so the file system can be changed under it while it runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.services.prometheus import PrometheusServer
from tests.support.chart.bed import Bed, deployed, source
from tests.support.chart.place import CRONJOBS, FAST, namespaces, with_recommendations
from tests.support.cluster.operator_bed import Operator, apply, cronjob, history, policy, runs_of_cronjob, wait_for

pytestmark = pytest.mark.timeout(600)

READ_ONLY = 'mount --bind "$PLACE" "$PLACE" && mount -o remount,bind,ro "$PLACE" && exec "$@"'
WRITABLE = 'mount -o remount,bind,rw "$PLACE"'
FULL = (
    'cp "$PLACE/history.db" "$PLACE/../kept.db" && mount -t tmpfs -o size=2m none "$PLACE" && '
    'mv "$PLACE/../kept.db" "$PLACE/history.db" && (cat /dev/zero > "$PLACE/ballast" 2>/dev/null || true) && exec "$@"'
)
ROOM = 'test ! -e "$PLACE/history.db.damaged-1" && rm "$PLACE/ballast"'  # a full disk is no damage


def _inside(root: Path, script: str) -> tuple[str, ...]:
    """What stands before Python so that it runs in a mount namespace prepared by ``script``."""
    place = f"PLACE={root}/var/lib/concertmaster"
    return ("unshare", "-r", "-m", "env", place, "/bin/sh", "-e", "-c", script, "sh", sys.executable)


def _meanwhile(op: Operator, root: Path, script: str) -> None:
    """Run ``script`` in the namespaces of the running operator."""
    enter = ["nsenter", "--preserve-credentials", "-U", "-m", "-t", str(op.process.pid)]
    place = f"PLACE={root}/var/lib/concertmaster"
    subprocess.run([*enter, "env", place, "/bin/sh", "-e", "-c", script], check=True, timeout=20)


def _troubled(op: Operator, words: str) -> Callable[[], bool]:
    return lambda: any(words in str(c.get("problems")) for c in op.cycles())


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [(READ_ONLY, WRITABLE, "cannot be opened for writing"), (FULL, ROOM, "no space left to write")],
    ids=["read-only", "full"],
)
def test_a_recommendation_goes_on_from_a_copy_and_returns_to_the_file(
    bed: Bed,
    tmp_path: Path,
    make_prometheus: Callable[..., PrometheusServer],
    before: str,
    after: str,
    words: str,
) -> None:
    with namespaces(bed, "place") as (place,):
        end = time.time() - 30.0
        lives = [runs_of_cronjob(place, name, 30, end) for name in ("etl", "late")]
        pods, jobs = [p for found in lives for p in found[0]], [j for found in lives for j in found[1]]
        prometheus = make_prometheus(history=history(pods, jobs, end))
        bed.install("cm", place, {"namespaces": [place], "sources": [source(prometheus.url)], "config": FAST})
        apply(bed.cluster, cronjob(place, "etl"), policy(place, discover=CRONJOBS))
        with deployed(bed, "cm", place, tmp_path) as op:
            wait_for("recommendations", lambda: with_recommendations(bed, place))
            op.stop()
        with deployed(bed, "cm", place, tmp_path, pod="next", python=_inside(tmp_path, before)) as op:
            wait_for("the report", _troubled(op, words))
            apply(bed.cluster, cronjob(place, "late"))
            wait_for("recommendations on a new workflow", lambda: with_recommendations(bed, place, "cronjob-late"))
            assert op.get("/healthz")[0] == op.get("/readyz")[0] == 200
            reported = op.cycles()[-1]["problems"][0]
            assert words in reported and "nothing is changed automatically" in reported, op.cycles()
            assert "volume" in reported or "directory" in reported, "and what to do"
            _meanwhile(op, tmp_path, after)
            wait_for("the file again", lambda: [x for x in op.read() if "can be written again" in x["msg"]])
            later = op.next_cycles(2)
            assert not [c for c in later if words in str(c.get("problems"))]


def test_without_a_file_it_ends_and_says_what_to_do(bed: Bed, tmp_path: Path) -> None:
    with namespaces(bed, "place") as (place,):
        bed.install("cm", place, {"namespaces": [place], "sources": [source("http://127.0.0.1:9")], "config": FAST})
        with deployed(bed, "cm", place, tmp_path, python=_inside(tmp_path, READ_ONLY)) as op:
            wait_for("the end", lambda: op.process.poll() is not None)
            said = [json.loads(line) for line in op.log.read_text().splitlines()]
        assert op.process.returncode == 1
        (error,) = [line for line in said if line["level"] == "error"]
        assert "cannot be opened for writing" in error["msg"]
        assert "operator's user may write there" in error["msg"]
        assert "error" not in error, "no stack trace"

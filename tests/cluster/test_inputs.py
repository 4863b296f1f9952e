"""Input sizes that the metrics have, out of a real Prometheus: by query, and bytes read in their place.

Memory of the CronJobs follows their input, by a law the commands do not know; tests/loop/test_inputs.py has parameters.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from concertmaster.cli import cli
from testbed.series.lives import JobLife, PodLife
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import cronjob, history, policy, profile, runs_of_cronjob

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RUNS, MI = 30, 2.0**20
NAMESPACE = "fed"
SMALL, LARGE = (0.5e9, 0.98e9), (6e9, 7.9e9)  # bytes
READING, QUERIED, GROWING = "reading", "queried", "growing"
QUERY = "max by (run) (last_over_time(input_rows[$window]))"


def size_of(run: int) -> float:
    """Small and large inputs by turns."""
    return random.Random(run).uniform(*(SMALL if run % 3 else LARGE))


def runs_of(name: str, end: float) -> tuple[list[PodLife], list[JobLife]]:
    """Runs that request 8Gi. They need 250 MiB and a fifth of their input, of which they read a quarter from disk and the
    rest over the network; the growing ones need 20 MiB more each time, whatever they read."""
    pods, jobs = runs_of_cronjob(NAMESPACE, name, RUNS, end, every=1800.0)
    for i, pod in enumerate(pods):
        size = 1e9 if name == GROWING else size_of(i)
        peak = (300 + 20 * i) * MI if name == GROWING else 250 * MI + 0.2 * size
        main = replace(pod.containers[0], memory_request=8192 * MI, memory_peak=peak, fs_read_bytes=size / 4)
        pods[i] = replace(pod, containers=[main], network_receive_bytes=size * 3 / 4)
    return pods, jobs


def declared(name: str) -> dict[str, Any]:
    """The CronJob of these runs."""
    manifest = cronjob(NAMESPACE, name)
    (container,) = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    container["resources"]["requests"]["memory"] = "8Gi"
    return manifest


def rows(pods: list[PodLife], jobs: list[JobLife]) -> Iterator[str]:
    """Samples of a gauge that says how many rows a run was given, a million bytes each."""
    for i, (pod, job) in enumerate(zip(pods, jobs, strict=True)):
        for minute in range(10):
            labels = f'namespace="{NAMESPACE}",run="{job.name}"'
            yield f"input_rows{{{labels}}} {size_of(i) / 1e6} {pod.created + 60 * minute:.0f}\n"


def manifests() -> list[dict[str, Any]]:
    """All have bytes read; where a query says what the input is, they do not stand in for it."""
    metric = {"name": "rows", "role": "InputSize", "unit": "rows", "query": QUERY}
    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": QUERIED}
    return [
        *(declared(name) for name in (READING, QUERIED, GROWING)),
        policy(NAMESPACE, inputs=[{"bytesRead": True}]),
        profile(NAMESPACE, f"cronjob-{QUERIED}", workflowRef=reference, extraMetrics=[metric]),
    ]


@pytest.fixture(scope="module", params=["analyzed", "recorded"])
def workflows(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The analyses by name, straight from the metrics and from a file that was recorded before."""
    file: Path = request.getfixturevalue("recording")
    source: list[str] = request.getfixturevalue("source")
    words = source if request.param == "analyzed" else ["--facts", str(file)]
    answer = CliRunner().invoke(cli, ["analyze", *words, "-o", "json"], catch_exceptions=False)
    return {found["workflow"]["name"]: found for found in json.loads(answer.stdout)["workflows"]}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The options that name a Prometheus with these runs, and their manifests."""
    end = time.time() - 30.0
    runs = [runs_of(name, end) for name in (READING, QUERIED, GROWING)]
    lives = history([p for pods, _ in runs for p in pods], [j for _, jobs in runs for j in jobs], end, days=0.8)
    text = ["".join(lives).removesuffix("# EOF\n"), "# TYPE input_rows gauge\n", *rows(*runs[1]), "# EOF\n"]
    file = tmp_path_factory.mktemp("manifests") / "all.yaml"
    file.write_text(yaml.safe_dump_all(manifests()))
    server = PrometheusServer([])
    try:
        server.load_openmetrics(text)
        with server:
            yield ["--prometheus", server.url, "-n", NAMESPACE, "--definitions", str(file)]
    finally:
        server.close()


@pytest.fixture(scope="module")
def recording(source: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("facts") / "facts"
    CliRunner().invoke(cli, ["record", str(file), *source], catch_exceptions=False)
    return file


def evidence(found: dict[str, Any]) -> str:
    """What the right-sizing rests on."""
    return "\n".join(next(r for r in found["recommendations"] if r["id"] == "right-size")["evidence"])


def levels(found: dict[str, Any], of: str) -> list[tuple[str, str]]:
    """The requests (MiB) and up to which input each is enough, by the sentence that begins thus."""
    (line,) = [e for e in evidence(found).splitlines() if e.startswith(f"memory of {of}")]
    return re.findall(r"(\d+)Mi up to ([\d.,]+ \w+)", line)


def test_bytes_read_stand_in_for_inputs_and_say_so(workflows: dict[str, dict[str, Any]]) -> None:
    found = workflows[READING]
    (step,) = found["steps"]
    largest = max(size_of(i) for i in range(RUNS))
    assert (step["input"]["unit"], step["input"]["runs"]) == ("bytes read", RUNS)
    assert step["input"]["max"] == pytest.approx(largest, rel=0.05)  # up to an interval before the end is not seen
    proxy = "follows its bytes read (a proxy for input) (30 "
    assert any(proxy in line for line in found["insightSentences"]), found["insightSentences"]
    (small, few), (large, many) = levels(found, f"reading {proxy}")
    assert 400 < int(small) < 550 and few.endswith(" MB")
    assert 1700 < int(large) < 2200 and many.endswith(" GB")


def test_a_query_says_the_input_and_wins(workflows: dict[str, dict[str, Any]]) -> None:
    found = workflows[QUERIED]
    (step,) = found["steps"]
    assert step["input"]["unit"] == "rows"
    assert step["input"]["max"] == pytest.approx(max(size_of(i) for i in range(RUNS)) / 1e6)
    (small, few), (large, many) = levels(found, "queried follows its input (30 runs): ")
    assert 2 * int(small) < int(large) and few.endswith(" rows") and many.endswith(" rows")


def test_growing_peaks_say_until_when_a_size_lasts(workflows: dict[str, dict[str, Any]]) -> None:
    assert "peaks of growing grow from run to run: at this rate" in evidence(workflows[GROWING])
    assert "lasts until about 20" in evidence(workflows[GROWING])
    assert "grow from run to run" not in evidence(workflows[QUERIED])

"""A Prometheus server for tests and the demo, with its own data directory, any scrape targets, and preloaded
history."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from testbed.install.build import Progress, ensure
from testbed.ports import free_port
from testbed.process import Process, TemporaryDirectory, TestbedError, http_get, http_ok, run
from testbed.series.lives import KUBELET_JOB, STATE_METRICS_JOB
from testbed.services.cluster import Cluster

# The usual job names of the parts in `Cluster.endpoints`.
JOB_OF_ENDPOINT = {"kube-state-metrics": STATE_METRICS_JOB, "cadvisor": KUBELET_JOB}

# Maximum size of a block: two weeks then need two or three blocks instead of 168.
MAX_BLOCK = "162h"


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape job: `target` is `host:port`, `labels` are added to every series of the target."""

    job: str
    target: str
    metrics_path: str = "/metrics"
    interval: str = "5s"
    honor_labels: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, job: str, url: str, interval: str = "5s") -> Scrape:
        """A job for a URL; its path is the metrics path, default /metrics."""
        parts = urllib.parse.urlsplit(url)
        return cls(job=job, target=parts.netloc, metrics_path=parts.path or "/metrics", interval=interval)

    def config(self) -> dict[str, Any]:
        """The entry in `scrape_configs`."""
        return {
            "job_name": self.job,
            "honor_labels": self.honor_labels,
            "metrics_path": self.metrics_path,
            "scrape_interval": self.interval,
            "scrape_timeout": self.interval,
            "static_configs": [{"targets": [self.target], "labels": dict(self.labels)}],
        }


def scrapes_of(cluster: Cluster, interval: str = "2s") -> list[Scrape]:
    """Scrape jobs for the metrics endpoints of a test-bed cluster, with the usual job names."""
    return [
        Scrape.of(JOB_OF_ENDPOINT[name], url, interval)
        for name, url in cluster.endpoints.items()
        if name in JOB_OF_ENDPOINT
    ]


class PrometheusServer:
    """Context manager around one server. Load history first, then start."""

    def __init__(
        self,
        scrapes: Sequence[Scrape] = (),
        *,
        arguments: Sequence[str] = (),
        progress: Progress = lambda _: None,
    ) -> None:
        self._binaries = ensure(["prometheus", "promtool"], progress)
        self._progress = progress
        self._scratch = TemporaryDirectory()
        self.directory = self._scratch.path
        self._port = free_port()
        self._write_config(scrapes)
        self._process = Process(
            "prometheus",
            [
                self._binaries["prometheus"],
                f"--config.file={self.directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.directory / 'data'}",
                "--storage.tsdb.retention.time=10y",  # keeps loaded history of any age
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--log.level=warn",
                *arguments,
            ],
            log=self.directory / "prometheus.log",
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def process(self) -> Process:
        return self._process

    def _write_config(self, scrapes: Sequence[Scrape]) -> None:
        self._targets = len(scrapes)
        config: dict[str, Any] = {"scrape_configs": [scrape.config() for scrape in scrapes]}
        (self.directory / "prometheus.yml").write_text(json.dumps(config, indent=2))

    def load_openmetrics(self, source: Path | Iterable[str]) -> None:
        """Load history into the data directory: an OpenMetrics file, or its text in pieces. Only before `start`.

        Raises TestbedError with promtool's message if the text is invalid.
        """
        if self._process.running:
            raise TestbedError("history has to be loaded before Prometheus is started")
        if isinstance(source, Path):
            file = source
        else:
            file = self.directory / "history.om"
            with file.open("w") as output:
                output.writelines(source)
        command: list[str | Path] = [self._binaries["promtool"], "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
        command += [f"--max-block-duration={MAX_BLOCK}", file, self.directory / "data"]
        answer = run(command, f"loading {file.stat().st_size / 1e6:.0f} MB of history", self._progress)
        if file is not source:
            file.unlink()
        if answer.returncode != 0:
            raise TestbedError(f"promtool cannot load {file.name}: {(answer.stderr or answer.stdout).strip()[-2000:]}")

    def load_trusted(self, text: Iterable[str]) -> None:
        """The same for text known to be valid, with the samples of each series in sequence: takes a tenth of the time,
        and disk space only for one block."""
        if self._process.running:
            raise TestbedError("history has to be loaded before Prometheus is started")
        command: list[str | Path] = [ensure(["history-load"], self._progress)["history-load"], self.directory / "data"]
        (self.directory / "data").mkdir(exist_ok=True)
        quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=quiet, stderr=pipe, text=True) as process:
            assert process.stdin is not None and process.stderr is not None
            with contextlib.suppress(BrokenPipeError):  # it ended early: its error output follows
                process.stdin.writelines(text)
                process.stdin.close()
            output = process.stderr.read()
        if process.returncode != 0:
            raise TestbedError(f"the history cannot be loaded: {output.strip()[-2000:]}")

    def start(self) -> PrometheusServer:
        """Start the server and wait until it answers queries."""
        self._process.start().wait_ready(lambda: http_ok(f"{self.url}/-/ready"), timeout=60, interval=0.05)
        return self

    def stop(self) -> None:
        """Stop the server; data remain until `close`, so that it can be started again."""
        self._process.stop()

    def close(self) -> None:
        """Stop the server and remove temporary data."""
        self.stop()
        self._scratch.remove()

    def __enter__(self) -> PrometheusServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_for_scrapes(self, count: int = 2) -> None:
        """Return once each target has been scraped successfully `count` times from now on. The first scrape may have
        started earlier, hence two to be sure that the present state has been scraped."""
        deadline = time.monotonic() + 90.0
        for _ in range(count):
            begin = time.time()
            while not self._scraped_since(begin):
                if time.monotonic() > deadline:
                    raise TestbedError(f"not every target was scraped {count} times within 90 s")
                time.sleep(0.2)

    def _scraped_since(self, moment: float) -> bool:
        rows = self.query("timestamp(up) and up == 1")
        return len(rows) == self._targets and all(float(row["value"][1]) > moment for row in rows)

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Result of an instant query as returned by the API; for checks in tests."""
        arguments = {"query": expression} | ({} if at is None else {"time": repr(at)})
        answer = json.loads(http_get(f"{self.url}/api/v1/query?{urllib.parse.urlencode(arguments)}", timeout=30))
        return list(answer["data"]["result"])

    def value(self, expression: str, at: float | None = None) -> float | None:
        """The single value of an instant query; None if nothing matches, raises TestbedError for several series."""
        result = self.query(expression, at)
        if len(result) > 1:
            raise TestbedError(f"{expression} has {len(result)} results, expected one")
        return float(result[0]["value"][1]) if result else None

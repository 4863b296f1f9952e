"""A Prometheus server for tests and the demo: its own data directory, any scrape targets, history loaded beforehand."""

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

from testbed.build import Progress, ensure
from testbed.cluster import Cluster
from testbed.lives import KUBELET_JOB, STATE_METRICS_JOB
from testbed.process import Process, TemporaryDirectory, TestbedError, free_port, http_get, http_ok, run

# The jobs under which clusters usually scrape the parts that `Cluster.endpoints` names.
JOB_OF_ENDPOINT = {"kube-state-metrics": STATE_METRICS_JOB, "cadvisor": KUBELET_JOB}

# A block may not grow beyond this, and two weeks then take two or three instead of 168.
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
        """A job for a URL; a path in it is the metrics path, else that is /metrics."""
        parts = urllib.parse.urlsplit(url)
        return cls(job=job, target=parts.netloc, metrics_path=parts.path or "/metrics", interval=interval)

    def config(self) -> dict[str, Any]:
        """The entry of `scrape_configs`."""
        return {
            "job_name": self.job,
            "honor_labels": self.honor_labels,
            "metrics_path": self.metrics_path,
            "scrape_interval": self.interval,
            "scrape_timeout": self.interval,
            "static_configs": [{"targets": [self.target], "labels": dict(self.labels)}],
        }


def scrapes_of(cluster: Cluster, interval: str = "2s") -> list[Scrape]:
    """Scrape jobs for the metrics endpoints of a test-bed cluster, named as real ones are."""
    return [
        Scrape.of(JOB_OF_ENDPOINT[name], url, interval)
        for name, url in cluster.endpoints.items()
        if name in JOB_OF_ENDPOINT
    ]


class PrometheusServer:
    """Context manager around one server. Load history first, then start.

    `directory`: keep the data there instead of in a temporary directory that is removed at the end.
    """

    def __init__(
        self,
        scrapes: Sequence[Scrape] = (),
        *,
        directory: Path | None = None,
        arguments: Sequence[str] = (),
        rules: Mapping[str, Any] | None = None,
        progress: Progress = lambda _: None,
    ) -> None:
        self._binaries = ensure(["prometheus", "promtool"], progress)
        self._progress = progress
        self._scratch: TemporaryDirectory | None = None
        if directory is None:
            self._scratch = TemporaryDirectory()
            directory = self._scratch.path
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        self._rules = rules
        self._write_config(scrapes)
        self._process = Process(
            "prometheus",
            [
                self._binaries["prometheus"],
                f"--config.file={self.directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.directory / 'data'}",
                "--storage.tsdb.retention.time=10y",  # loaded history must stay, however old
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--web.enable-lifecycle",
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
        if self._rules:
            (self.directory / "rules.yml").write_text(json.dumps(self._rules))  # JSON is YAML
            config["rule_files"] = ["rules.yml"]
        (self.directory / "prometheus.yml").write_text(json.dumps(config, indent=2))

    def load_openmetrics(self, source: Path | Iterable[str]) -> None:
        """Put history into the data directory: an OpenMetrics file, or its text in pieces. Only before `start`.

        TestbedError with promtool's words when the text is not valid.
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
        """The same for text that is known to be valid and holds the samples of a series one after the other: a tenth of the
        time, and nothing on disk but one block."""
        if self._process.running:
            raise TestbedError("history has to be loaded before Prometheus is started")
        command: list[str | Path] = [ensure(["history-load"], self._progress)["history-load"], self.directory / "data"]
        (self.directory / "data").mkdir(exist_ok=True)
        quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=quiet, stderr=pipe, text=True) as process:
            assert process.stdin is not None and process.stderr is not None
            with contextlib.suppress(BrokenPipeError):  # it ended early: what it says follows
                process.stdin.writelines(text)
                process.stdin.close()
            said = process.stderr.read()
        if process.returncode != 0:
            raise TestbedError(f"the history cannot be loaded: {said.strip()[-2000:]}")

    def start(self) -> PrometheusServer:
        """Start and wait until it answers queries."""
        self._process.start().wait_ready(lambda: http_ok(f"{self.url}/-/ready"), timeout=60, interval=0.05)
        return self

    def stop(self) -> None:
        """Stop the server; data stay until `close`, so that a test can start it again."""
        self._process.stop()

    def close(self) -> None:
        """Stop and remove temporary data."""
        self.stop()
        if self._scratch is not None:
            self._scratch.remove()

    def reload(self, scrapes: Sequence[Scrape]) -> None:
        """Replace the scrape jobs of the running server."""
        self._write_config(scrapes)
        request = urllib.request.Request(f"{self.url}/-/reload", method="POST")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10):
            pass

    def __enter__(self) -> PrometheusServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_for_scrapes(self, count: int = 2, *, seconds: float = 90.0) -> None:
        """Return once each target has been scraped successfully `count` times from now on, so that what is true now has
        been seen, however slow the machine is. The first scrape may have been under way already: hence two."""
        deadline = time.monotonic() + seconds
        for _ in range(count):
            begin = time.time()
            while not self._scraped_since(begin):
                if time.monotonic() > deadline:
                    raise TestbedError(f"not every target was scraped {count} times within {seconds:.0f} s")
                time.sleep(0.2)

    def _scraped_since(self, moment: float) -> bool:
        rows = self.query("timestamp(up) and up == 1")
        return len(rows) == self._targets and all(float(row["value"][1]) > moment for row in rows)

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Result of an instant query, as the API returns it; for checks in tests."""
        arguments = {"query": expression} | ({} if at is None else {"time": repr(at)})
        answer = json.loads(http_get(f"{self.url}/api/v1/query?{urllib.parse.urlencode(arguments)}", timeout=30))
        return list(answer["data"]["result"])

    def value(self, expression: str, at: float | None = None) -> float | None:
        """The one value of an instant query; None when nothing matches, TestbedError when more than one series does."""
        result = self.query(expression, at)
        if len(result) > 1:
            raise TestbedError(f"{expression} has {len(result)} results, expected one")
        return float(result[0]["value"][1]) if result else None

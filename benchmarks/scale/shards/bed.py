"""Four shards of the operator with their servers, as ``make bench-shards`` runs them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.scale.figures import cpu, cycles, must_run, others, unix
from benchmarks.scale.fleet_workflows import MI
from benchmarks.scale.operator_process import operator
from benchmarks.scale.shards.takeover import Kept, counted, kept
from testbed.services.cluster import Cluster
from testbed.services.operator import OperatorProcess
from testbed.services.postgres import PostgresServer

RELEASE = "concertmaster"
SPACE = "concertmaster"  # of the release
POLICY = "baseline"  # of examples/policy.yaml
SHARDS = tuple(f"{RELEASE}-{n}" for n in range(4))
INTERVAL = 60.0
# PostgreSQL's own defaults, unlike those of a server for tests: this one is measured.
DATABASE = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on", "shared_buffers": "128MB"}


@dataclass(frozen=True, slots=True)
class Shard:
    """One process of the operator."""

    name: str
    process: OperatorProcess

    @property
    def log(self) -> Path:
        """Its log."""
        return self.process.log

    @property
    def profiles(self) -> int:
        """Workflows it looked after in its last cycle."""
        return int(cycles(self.log)[-1]["profiles"]) if cycles(self.log) else 0


class Bed:
    """The running parts. ``audit``: the log of the API server; ``end``: of the history (unix seconds)."""

    def __init__(self, cluster: Cluster, source: str, database: PostgresServer, audit: Path, end: float) -> None:
        self.cluster = cluster
        self.source = source
        self.database = database
        self.audit = audit
        self.end = end
        self.shards: list[Shard] = []
        self.begin = self.limit = 0.0  # monotonic

    def add(self, name: str, directory: Path) -> Shard:
        """One more shard, not started yet."""
        environment = {
            "CONCERTMASTER_LEASE": RELEASE,
            "CONCERTMASTER_SHARDED": "true",
            "POD_NAMESPACE": SPACE,
            "POD_NAME": name,
            **self.database.environment,
        }
        directory.mkdir()
        history = {"url": self.database.url}
        made = operator(
            self.cluster, directory, self.source, INTERVAL, user=name, environment=environment, history=history
        )
        self.shards.append(Shard(name, made))
        return self.shards[-1]

    def start(self) -> None:
        """Start all shards at once, as the StatefulSet does."""
        self.begin = time.monotonic()
        self.limit = self.begin + max(0.0, self.end - time.time())
        for shard in self.shards:
            shard.process.start()
        for shard in self.shards:
            shard.process.wait_ready(shard.process.live)

    def wait(self, check: Callable[[], bool], pause: float) -> float:
        """Seconds since the start at which ``check`` began to say yes."""
        while True:
            passed = time.monotonic() - self.begin
            if check():
                return passed
            for shard in self.shards:
                must_run(shard.process, self.limit)
            time.sleep(pause)

    def counted(self) -> tuple[int, int | None]:
        """What the policy's status counts, and the summaries of the shards add up to."""
        found = self.cluster.get("configmaps,clusteroptimizationpolicies", "-n", SPACE)
        return counted(found["items"], POLICY, [s.name for s in self.shards])

    def renewed(self, shard: str) -> float:
        """When a shard last renewed its Lease (unix seconds)."""
        return unix(self.cluster.get("lease", shard, "-n", SPACE)["spec"]["renewTime"])

    def statuses(self) -> list[dict[str, Any]]:
        """The statuses of all profiles."""
        return [i.get("status") or {} for i in self.cluster.get("wfp", "-A")["items"]]

    def recommendations(self) -> dict[str, int]:
        """How many are open by the status of the policy, and by the profiles, listed right after it."""
        shown = self.cluster.get("copol", POLICY)["status"]["totals"]["recommendations"]
        listed = [r for s in self.statuses() for r in (*s.get("recommendations", ()), *s.get("remaining", ()))]
        return {"policy": shown, "profiles": sum(r.get("state", "Active") == "Active" for r in listed)}

    def analyses(self, places: set[str]) -> dict[str, Kept]:
        """The analyses in the history of the profiles in ``places``, by uid."""
        query = "SELECT profile, content FROM analyses JOIN workflows ON id = workflow WHERE namespace = ANY(%s)"
        with self._database() as db:
            return {uid: kept(content) for uid, content in db.execute(query, [sorted(places)])}

    def database_size(self) -> float:
        """MiB in PostgreSQL."""
        with self._database() as db:
            row = db.execute("SELECT pg_database_size(current_database())").fetchone()
        return round(row[0] / MI, 1) if row else 0.0

    def _database(self) -> psycopg.Connection[tuple[Any, ...]]:
        options = f"-c search_path={RELEASE}"
        return psycopg.connect(self.database.url, password=self.database.password, options=options)

    def used(self) -> dict[str, Any]:
        """CPU seconds so far: of each shard, of PostgreSQL, of the other servers."""
        rest = others(self.source, self.cluster)
        return {
            "cpu_s": [cpu([s.process.pid]) if s.process.running else 0.0 for s in self.shards],
            "postgres_cpu_s": cpu(self.database.processes()),
            **{name: value for name, value in rest.items() if name.endswith("cpu_s")},
        }

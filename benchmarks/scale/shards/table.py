"""The result of ``make bench-shards`` in the form of benchmarks/RESULTS.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

RESULT = Path(__file__).resolve().parents[2] / "results" / "shards.json"
STEADY = 3  # cycles of each shard measured after the backfill


def lines(result: dict[str, Any]) -> list[str]:
    """The section of benchmarks/RESULTS.md."""
    row, steady, loss = result, result["steady"], result["loss"]
    cold = row["cold"]
    each = zip(row["profiles"], cold["cpu_s"], steady["cpu_s"], row["rss_mib"], row["peak_rss_mib"], strict=True)
    return [
        "",
        f"## {len(row['profiles'])} shards, {row['workflows']:,} workflows in {row['namespaces']} namespaces"
        f" x {row['runs']} runs (`make bench-shards`)",
        "",
        "| shard | workflows | CPU until the past was read | CPU a minute afterwards | Memory: after, peak |",
        "|---|---|---|---|---|",
        *(
            f"| {number} | {profiles:,} | {until} s | {warm} s | {rss}, {peak} MiB |"
            for number, (profiles, until, warm, rss, peak) in enumerate(each)
        ),
        "",
        f"All {row['workflows']:,} have recommendations after {row['scores_s']} s, the past ({row['pods']:,} pods) is read"
        f" after {row['whole_s']} s; the cluster policy counts all of them, added up from the summaries of the shards,"
        f" after {row['totals_s']} s. Until the past was read PostgreSQL took {cold['postgres_cpu_s']} s, Prometheus"
        f" {cold['store_cpu_s']} s and the API server {cold['api_cpu_s']} s of CPU; PostgreSQL has"
        f" {row['postgres_mib']} MiB. Steady cycles, {STEADY} of each shard, one a minute: {steady['seconds']} s on"
        f" average, {steady['longest_s']} s the longest; a minute costs PostgreSQL {steady['postgres_cpu_s']} s,"
        f" Prometheus {steady['store_cpu_s']} s and the API server {steady['api_cpu_s']} s of CPU.",
        "",
        f"Then the shard with {loss['profiles']:,} workflows in {loss['namespaces']} namespaces, which also writes the"
        f" status of the cluster policy, is killed. The last of the others finds it lost after {loss['noticed_s']} s"
        f" ({loss['since_renewal_s']} s after it renewed its Lease), looks after its share of the namespaces after"
        f" {loss['taken_s']} s and has been through them after {loss['read_s']} s. The totals count all workflows by the"
        f" summaries of those left after {loss['counted_s']} s; until then they never said fewer than"
        f" {loss['least_counted']:,}. Within {loss['seconds']} s the workflows taken over were analysed anew"
        f" {loss['anew'] - loss['repeated']:,} times because a run had ended, {loss['repeated']:,} times without such a"
        f" reason. In {loss['two_writers']} namespaces a shard wrote after its successor had ({loss['writes']:,} writes in"
        f" the audit log). In the end the policy's status has {row['recommendations']['policy']:,} recommendations, and the"
        f" profiles, listed right after it, {row['recommendations']['profiles']:,}.",
        "",
        f"Measured {row['date']}. All processes share two cores with other work (load of 15 minutes {row['load']}), so"
        " times are upper bounds.",
    ]

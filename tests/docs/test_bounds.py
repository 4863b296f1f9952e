"""The numbers that the documents promise as bounds, defaults and pauses are those of the code and of the chart: tests of
the bounds set smaller ones."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import yaml

from concertmaster.archive import argo
from concertmaster.controller.archive import archived_runs, turns
from concertmaster.controller.changes import control_group
from concertmaster.controller.collection import history_provider, query_pool
from concertmaster.controller.discovery import config_maps, labelled, time_shares, transient_faults
from concertmaster.controller.live import earlier_runs, pending_runs, run_objects
from concertmaster.controller.reporting import server, workflow_series
from concertmaster.controller.shards import election
from concertmaster.controller.shards.leader_election import _WRITES_UNTIL, LeaderElection
from concertmaster.controller.watches import watchdog
from concertmaster.core.model.policy import SCORE_WEIGHTS
from concertmaster.core.units import DAY, MINUTE
from concertmaster.engines.common import bounds
from concertmaster.history.daily import tables as daily
from concertmaster.history.postgresql import engine, session
from concertmaster.history.runs import cache, reader
from concertmaster.kube import client, reviews, writer
from concertmaster.net.retry import FIRST_BREAK, MAX_BREAK, RetryPolicy
from concertmaster.notify import sender
from concertmaster.prometheus.client import server_clock, transport
from concertmaster.prometheus.collect.collection import CollectOptions
from concertmaster.prometheus.reader import process
from concertmaster.report.status.document import MAX_RECOMMENDATIONS
from concertmaster.settings import MetricsSource
from concertmaster.settings.model import Limits
from concertmaster.web import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
VALUES = yaml.safe_load((ROOT / "charts" / "concertmaster" / "values.yaml").read_text())
RULES = VALUES["metrics"]["prometheusRule"]


def default(function: object, name: str) -> float:
    """The default of a parameter."""
    return float(inspect.signature(function).parameters[name].default)  # type: ignore[arg-type]


LIMITS, COLLECT, RETRY = Limits(), CollectOptions(), RetryPolicy()
SOURCE = MetricsSource.model_validate({"name": "default", "url": "http://prometheus:9090"})
PODS = COLLECT.named_pods
VERDICTS = reviews.CacheLifetimes()
LEASE = default(LeaderElection, "lasts")

PROMISED = [
    ("threat-model.md", f"lists of namespaces take turns of {earlier_runs.MAX_TURN_SECONDS:g} s, "),
    ("threat-model.md", f", {earlier_runs.MAX_LIST_SECONDS:g} s of a cycle together"),
    ("threat-model.md", f"the newest runs with {reader.MAX_EXECUTIONS:,} step executions are analyzed"),
    ("threat-model.md", f"namespaces take turns for the {labelled.MAX_WORKFLOWS:,} places"),
    ("threat-model.md", f"{time_shares.SHARE:g} s of a cycle for each namespace"),
    ("threat-model.md", f"statuses of a namespace take {time_shares.SHARE:g} s of a cycle"),
    ("threat-model.md", f"at most {turns.MAX_SHARE:g} s of a cycle for one namespace before the others had their turn"),
    ("threat-model.md", f"{argo.MAX_BYTES >> 20} MiB of an object"),
    ("threat-model.md", f"| {labelled.MAX_SETS} sets, of cluster policies first"),
    ("threat-model.md", f"at most {bounds.MAX_EXECUTIONS:,} step executions of a run are read"),
    ("threat-model.md", f"at most {server.LIMITS.connections} connections and {server.LIMITS.answers} answers at once"),
    ("threat-model.md", f"{app.LIMITS.connections} and {app.LIMITS.answers} at the dashboard"),
    ("threat-model.md", f"{bounds.MAX_CONTAINERS} containers, {bounds.MAX_LOCKS} locks"),
    ("threat-model.md", f"{config_maps.MAX_CONFIG_MAPS:,} ConfigMaps or {config_maps.MAX_SECONDS:g} s in a cycle"),
    ("threat-model.md", f", {config_maps.MAX_PER_WORKFLOW} of a workflow; namespaces take turns"),
    ("threat-model.md", f"{control_group.MAX_CANDIDATES} workflows and {control_group.MAX_PODS:,} pods for the verif"),
    ("threat-model.md", f", {control_group.MAX_ALL_CANDIDATES} workflows in a cycle; what was read for others"),
    ("engines/argo.md", f"Reading takes about {archived_runs.MAX_SECONDS:g} s of a cycle"),
    ("engines/argo.md", f"a turn takes at most {turns.MAX_SHARE:g} s"),
    ("engines/argo.md", f"{argo.PAGE} at a time"),
    ("operations.md", f"`limits.historyPerNamespace` ({LIMITS.history_per_namespace})"),
    ("operations.md", f"`limits.backfill` ({LIMITS.backfill.seconds / DAY:g} days)"),
    ("operations.md", f"`limits.backfillPerCycle` ({LIMITS.backfill_per_cycle.seconds / DAY:g} days)"),
    ("operations.md", f"each in pieces of at most {COLLECT.longest / 3600:g} h"),
    ("operations.md", f"5 while at most {PODS:,} pods ended, 2 more for each further {PODS:,}"),
    ("operations.md", f"`limits.statusWritesPerSecond` ({LIMITS.status_writes_per_second})"),
    ("operations.md", f"page of {client.CHUNK}"),
    ("operations.md", f"at most {cache.EXECUTIONS:,} pods stay in memory"),
    ("operations.md", f"{process._PROCESS_BYTES >> 20} MiB are left below"),
    ("operations.md", f"`resources.limits.memory` ({VALUES['resources']['limits']['memory']})"),
    ("operations.md", f"`history.sizeLimit` ({VALUES['history']['sizeLimit']})"),
    ("operations.md", f"for {daily.KEEP_DAYS} days ([daily rows]"),
    (
        "operations.md",
        f"({VALUES['resources']['requests']['cpu']} CPU requested, {VALUES['resources']['limits']['memory']}",
    ),
    ("operations.md", f"(`degradedRatio`, {RULES['degradedRatio']})"),
    ("operations.md", f"(`failedRuns`, {RULES['failedRuns']})"),
    ("operations.md", f"`savingsPerMonth` ({RULES['savingsPerMonth']})"),
    ("operations.md", f"exits after {watchdog._LOST_AFTER / MINUTE:g} minutes"),
    ("operations.md", f"stops writing {LEASE * _WRITES_UNTIL:g} s after the last renewal, and exits after {LEASE:g} s"),
    ("operations.md", f"the Lease of an operator that is gone expires after {LEASE:g} s"),
    ("operations.md", f"({bounds.MAX_STEPS:,} steps, {bounds.MAX_EDGES:,} edges,"),
    ("operations.md", f"{run_objects.MAX_CHILDREN:,} children)"),
    ("operations.md", f"Workflows of one namespace take more than {time_shares.SHARE:g} s of a cycle"),
    ("operations.md", f"waits {query_pool.MAX_WAIT:g} s for a namespace (not at all after a slow answer)"),
    ("operations.md", f"and {query_pool.MAX_TOTAL_WAIT:g} s in total"),
    ("operations.md", f"denied for up to {transient_faults.DENIED_FOR / MINUTE:g} minutes"),
    ("operations.md", f"connection beyond {server.LIMITS.connections} (dashboard: {app.LIMITS.connections})"),
    ("operations.md", f"beyond {server.LIMITS.answers} requests at once (dashboard: {app.LIMITS.answers})"),
    ("shards.md", f"renewed every {election.RENEW_EVERY:g} s and valid for {election.LEASE_SECONDS} s"),
    ("shards.md", f"writes only within {election.LEASE_SECONDS * _WRITES_UNTIL:g} s of its last Lease renewal"),
    ("shards.md", f"its Lease has not changed for {election.LEASE_SECONDS} s"),
    ("shards.md", f"starts waits {election.LEASE_SECONDS * _WRITES_UNTIL:g} s before it writes"),
    ("metrics-stores.md", f"at most {PODS:,} to a query. Query texts reach {COLLECT.longest_query >> 10} KiB"),
    ("metrics-stores.md", f"`maxConcurrentQueries` ({SOURCE.max_concurrent_queries})"),
    ("metrics-stores.md", f"`deadlineSeconds` ({SOURCE.deadline_seconds:g})"),
    ("metrics-stores.md", f"at least `timeoutSeconds` ({SOURCE.timeout_seconds:g})"),
    ("metrics-stores.md", f"keep `delaySeconds` at {SOURCE.delay_seconds}"),
    ("metrics-stores.md", f"at most {['once', 'twice', 'three times'][RETRY.attempts - 2]}. After 429"),
    ("metrics-stores.md", f"for at most {transport._MAX_RETRY_AFTER:g} s"),
    (
        "metrics-stores.md",
        f"Retries after {RETRY.first_pause:g} s, {2 * RETRY.first_pause:g} s, {4 * RETRY.first_pause:g} s",
    ),
    ("metrics-stores.md", f"for {FIRST_BREAK:g} s, doubling up to {MAX_BREAK / MINUTE:g} min"),
    ("scale.md", f"at most {PODS:,} names to a query"),
    ("scale.md", f"`limits.statusWritesPerSecond` ({LIMITS.status_writes_per_second};"),
    ("scale.md", f"stays below {COLLECT.longest_query >> 10} KiB"),
    ("notifications.md", f"at most {sender.MAX_PER_HOUR} messages an hour"),
    ("notifications.md", f"within {sender.DEADLINE / MINUTE:g} minutes after connection faults"),
    ("notifications.md", f"sent once in {sender.REPEAT_AFTER / 3600:g} hours"),
    ("tenants.md", f"definitions and analyses | {time_shares.SHARE:g} s |"),
    (
        "tenants.md",
        f"`limits.statusWritesPerSecond` ({LIMITS.status_writes_per_second}) allows in {time_shares.SHARE:g} s",
    ),
    ("tenants.md", f"`limits.extraQueriesPerCycle` ({LIMITS.extra_queries_per_cycle})"),
    ("tenants.md", f"`limits.changesPerMinute` ({LIMITS.changes_per_minute})"),
    ("tenants.md", f"`limits.historyPerNamespace` ({LIMITS.history_per_namespace})"),
    ("tenants.md", f"an even share of {sender.MAX_PER_HOUR} an hour"),
    ("dashboard.md", f"cached for {VERDICTS.known:g} s (token) and {VERDICTS.granted:g} s (right)"),
    ("dashboard.md", f"denials for {VERDICTS.unknown:g} and {VERDICTS.denied:g} s"),
    ("dashboard.md", f"{app.LIMITS.answers} requests are already in progress"),
    ("dashboard.md", f"port ({VALUES['web']['port']})"),
    ("postgresql.md", f"at most {pending_runs.MAX_RUNS:,} or {pending_runs.MAX_BYTES >> 20} MiB"),
    ("postgresql.md", f"Waits {history_provider._PATIENCE:g} s, then exits"),
    ("postgresql.md", f"longer than {session._STATEMENT_SECONDS} s, a lock longer than {session._LOCK_SECONDS} s"),
    ("postgresql.md", f"Advisory locks, at most {engine._GROUPS} in a transaction"),
    ("postgresql.md", f"more than {engine._MAX_NAMES} namespaces"),
    ("postgresql.md", f"`history.cacheSize` ({VALUES['history']['cacheSize']};"),
    ("lifecycle.md", f"limited to {writer.MAX_STATUS_BYTES >> 10} KiB"),
    ("methods.md", f"success {SCORE_WEIGHTS['success']} (full marks at the objective"),
    ("methods.md", f"stability {SCORE_WEIGHTS['stability']} (none where the coefficient"),
    ("methods.md", f"use of what is requested {SCORE_WEIGHTS['efficiency']} (full marks"),
    ("methods.md", f"waiting {SCORE_WEIGHTS['waiting']} (none at 20% of the run time)"),
    ("methods.md", f"are deducted, up to {SCORE_WEIGHTS['objectives']} points each"),
    ("trends.md", f"for {daily.KEEP_DAYS} days"),
    ("report.md", f"kept for {daily.KEEP_DAYS} days"),
    ("metrics.md", f"at most {workflow_series.MAX_WORKFLOWS} workflows of one operator"),
]


@pytest.mark.parametrize(("page", "words"), PROMISED)
def test_a_bound_is_the_one_that_is_promised(page: str, words: str) -> None:
    assert words in " ".join((DOCS / page).read_text().split())


def test_what_pages_say_in_words_is_what_the_code_and_the_chart_have() -> None:
    page = (DOCS / "operations.md").read_text()
    assert "A status has room for the first five." in page and MAX_RECOMMENDATIONS == 5
    assert "differ by two minutes or more" in page and server_clock.MIN_SKEW == 2 * MINUTE
    assert "no cycle has succeeded for half an hour" in page and RULES["staleAfterSeconds"] == 30 * MINUTE
    assert "of profiles every five minutes" in page and watchdog._WHOLE_EVERY == 5 * MINUTE

"""The Grafana dashboards, written as a list of panels and generated as JSON.

Two questions have a dashboard: is the operator well and what does it cost (fleet), and what did the runs of one workflow
do to the cluster (one workflow). Everything else is in the status of the profile, where no dashboard is needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: queries as (expression, legend), shown as a time series or, with ``stat``, as one figure."""

    title: str
    about: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    stat: bool = False
    width: int = 8


FLEET = (
    Panel("Profiles with advice", "Ready profiles of all.", [
        ('sum(concertmaster_profiles{ready="True"})', "ready"), ("sum(concertmaster_profiles)", "all"),
    ], stat=True, width=6),
    Panel("Last good cycle", "Age of the last cycle without a failure.", [
        ("time() - max(concertmaster_last_success_timestamp_seconds > 0)", "age"),
    ], "s", stat=True, width=6),
    Panel("Sources complete", "1: the last collection was whole.", [
        ("min by (source) (concertmaster_source_up)", "{{source}}"),
    ], stat=True, width=6),
    Panel("Version", "What runs.", [("count by (version) (concertmaster_build_info)", "{{version}}")], stat=True, width=6),
    Panel("Cycle, 95th percentile by stage", "Where the time of a cycle goes.", [
        ("histogram_quantile(0.95, sum by (le, stage) (rate(concertmaster_cycle_stage_seconds_bucket[$__rate_interval])))",
         "{{stage}}"),
        ("histogram_quantile(0.95, sum by (le) (rate(concertmaster_cycle_seconds_bucket[$__rate_interval])))", "whole"),
    ], "s"),
    Panel("Cycles by result", "Failures say that something was left out, not that nothing was done.", [
        ("sum by (result) (increase(concertmaster_cycles_total[1h]))", "{{result}}"),
    ]),
    Panel("Age of the facts", "Time since which facts are incomplete.", [
        ("time() - max by (source) (concertmaster_source_data_until_timestamp_seconds > 0)", "{{source}}"),
    ], "s"),
    Panel("Queries per hour", "The load on the metrics stores.", [
        ("sum by (source) (increase(concertmaster_queries_total[1h]))", "{{source}}"),
    ]),
    Panel("Requests to the API server", "By verb; lists are once per kind and cycle.", [
        ("sum by (verb) (rate(concertmaster_kubernetes_requests_total[$__rate_interval]))", "{{verb}}"),
    ], "reqps"),
    Panel("Refused or failed requests", "By code; 0 means no answer.", [
        ('sum by (verb, code) (rate(concertmaster_kubernetes_requests_total{code!~"2.."}[$__rate_interval]))',
         "{{verb}} {{code}}"),
    ], "reqps"),
    Panel("Status writes", "Only what says something new is written.", [
        ("sum by (kind, outcome) (increase(concertmaster_status_writes_total[1h]))", "{{kind}} {{outcome}}"),
    ]),
    Panel("Analyses and faults", "Workflows analysed anew, and faults isolated by stage.", [
        ("increase(concertmaster_analyses_total[1h])", "analyses"),
        ("sum by (stage) (increase(concertmaster_failures_total[1h]))", "faults in {{stage}}"),
    ]),
    Panel("Changes in flight", "Written, or being proven; orphaned ones wait for a person.", [
        ("sum by (phase) (concertmaster_changes_in_flight)", "{{phase}}"),
        ("sum(concertmaster_changes_orphaned)", "orphaned"),
    ]),
    Panel("Changes per day", "Proposed, written, judged and taken back.", [
        ("sum(increase(concertmaster_changes_proposed_total[1d]))", "proposed"),
        ("sum(increase(concertmaster_changes_applied_total[1d]))", "written"),
        ("sum by (verdict) (increase(concertmaster_changes_verdicts_total[1d]))", "{{verdict}}"),
        ("sum by (ground) (increase(concertmaster_changes_restored_total[1d]))", "taken back: {{ground}}"),
        ("sum(increase(concertmaster_changes_conflicts_total[1d]))", "conflicts"),
        ("sum(increase(concertmaster_changes_failed_total[1d]))", "failed"),
    ]),
    Panel("Plans kept back by gates", "In the last cycle; explain prints every gate of a recommendation.", [
        ("sum by (gate) (concertmaster_changes_refused) > 0", "{{gate}}"),
    ]),
    Panel("Time to the verdict", "From the write of a change; 90th percentile and median of a week.", [
        ("histogram_quantile(0.9, sum by (le) (increase(concertmaster_changes_verdict_seconds_bucket[7d])))", "90th"),
        ("histogram_quantile(0.5, sum by (le) (increase(concertmaster_changes_verdict_seconds_bucket[7d])))", "median"),
    ], "s"),
    Panel("Pods without a profile", "Pods of workflow engines that no profile claims.", [
        ("sum by (reason) (concertmaster_unassigned_pods)", "{{reason}}"),
    ]),
    Panel("Profiles by readiness", "False: the condition says what is missing.", [
        ("sum by (ready) (concertmaster_profiles)", "profiles {{ready}}"),
        ("sum by (ready) (concertmaster_policies)", "policies {{ready}}"),
    ]),
    Panel("Events", "Posted, repeated, limited.", [
        ("sum by (outcome) (increase(concertmaster_events_total[1h]))", "{{outcome}}"),
    ]),
    Panel("Memory of the operator", "Resident set.", [
        ("concertmaster_process_resident_memory_bytes", "{{instance}}"),
    ], "bytes"),
)  # fmt: skip

_POD = 'namespace=~"$namespace", pod=~"$prefix.*"'


def _moment(name: str) -> str:
    """A moment in a pod's life, whichever exporter replica tells it."""
    return f"max by (pod) (kube_pod_{name}{{{_POD}}})"


_RUN_TIME = f"{_moment('completion_time')} - {_moment('start_time')}"
_TO_SCHEDULE = f"{_moment('status_scheduled_time')} - {_moment('created')}"
WORKFLOW = (
    Panel("Pods finished per hour", "Runs leave pods; a gap means no runs.", [
        (f"count(kube_pod_completion_time{{{_POD}}} > time() - 3600)", "finished"),
    ]),
    Panel("Run time of pods", "Start to completion, of pods still in the API server.", [
        (f"quantile(0.5, {_RUN_TIME})", "median"),
        (f"max({_RUN_TIME})", "longest"),
    ], "s"),
    Panel("Time to schedule", "Created to scheduled.", [
        (f"quantile(0.95, {_TO_SCHEDULE})", "95th percentile"),
    ], "s"),
    Panel("Memory per container", "Largest working set against the request and the limit.", [
        (f'max by (container) (container_memory_working_set_bytes{{{_POD}, container!="", container!="POD"}})',
         "{{container}} used"),
        (f'max by (container) (kube_pod_container_resource_requests{{{_POD}, resource="memory"}})',
         "{{container}} requested"),
        (f'max by (container) (kube_pod_container_resource_limits{{{_POD}, resource="memory"}})', "{{container}} limit"),
    ], "bytes", width=12),
    Panel("CPU per container", "Cores in use against the request.", [
        (f'max by (container) (rate(container_cpu_usage_seconds_total{{{_POD}, container!="", container!="POD"}}'
         "[$__rate_interval]))", "{{container}} used"),
        (f'max by (container) (kube_pod_container_resource_requests{{{_POD}, resource="cpu"}})',
         "{{container}} requested"),
    ], width=12),
    Panel("Throttled share", "Of periods; only where a CPU limit is set.", [
        (f"sum by (container) (rate(container_cpu_cfs_throttled_periods_total{{{_POD}}}[$__rate_interval]))"
         f" / sum by (container) (rate(container_cpu_cfs_periods_total{{{_POD}}}[$__rate_interval]))", "{{container}}"),
    ], "percentunit"),
    Panel("Reasons containers ended with", "OOMKilled and Error are worth a look.", [
        (f"sum by (reason) (kube_pod_container_status_terminated_reason{{{_POD}}})", "{{reason}}"),
    ]),
    Panel("Pods by phase", "Pending for long: scheduling; see the profile's critical path.", [
        (f"sum by (phase) (kube_pod_status_phase{{{_POD}}})", "{{phase}}"),
    ]),
)  # fmt: skip


def _panel(number: int, panel: Panel, x: int, y: int, height: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": height},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}} if panel.stat else {"legend": {"showLegend": True}},
        "targets": [
            {"refId": chr(ord("A") + i), "expr": expr, "legendFormat": legend, "datasource": _SOURCE}
            for i, (expr, legend) in enumerate(panel.queries)
        ],
    }


def _layout(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    found, x, y, tallest = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > 24:
            x, y, tallest = 0, y + tallest, 0
        height = 5 if panel.stat else 8
        found.append(_panel(number, panel, x, y, height))
        x, tallest = x + panel.width, max(tallest, height)
    return found


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": query,
        "definition": query,
        "refresh": 2,
        "sort": 1,
    }


def _dashboard(uid: str, title: str, panels: Sequence[Panel], variables: Sequence[dict[str, Any]]) -> str:
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    document = {
        "uid": uid,
        "title": title,
        "tags": ["concertmaster"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "panels": _layout(panels),
    }
    return json.dumps(document, indent=1) + "\n"


def render() -> dict[str, str]:
    """File name to JSON."""
    prefix = {"name": "prefix", "label": "Workflow (start of its pods' names)", "type": "textbox", "query": ""}
    namespace = _variable("namespace", "Namespace", "label_values(kube_pod_created, namespace)")
    return {
        "fleet.json": _dashboard("concertmaster-fleet", "Concertmaster: the operator", FLEET, ()),
        "workflow.json": _dashboard(
            "concertmaster-workflow", "Concertmaster: one workflow", WORKFLOW, (namespace, prefix)
        ),
    }

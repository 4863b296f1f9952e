"""The panels of the Grafana dashboards, one list per dashboard.

*Fleet*: workflows ranked by cost and time. *Workflow*: one workflow, its steps and their resource usage. *Changes*:
applied changes and their effect. *Operator*: health and cost of the operator. Fleet and Workflow need policies with
``metrics: {perWorkflow: true}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel with queries as (expression, legend). ``kind`` is timeseries, stat (one figure) or table (the last
    values)."""

    title: str
    about: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8


_W = "concertmaster_workflow_"
_ALL = '{namespace=~"$namespace"}'
_ONE = 'namespace="$namespace", workflow="$workflow", kind="$kind"'  # a CronJob and a template may have one name
_ID = "namespace, kind, workflow"


def _each(family: str, by: str = _ID, matchers: str = _ALL) -> str:
    """A metric of the selected workflows, deduplicated if several operators export it."""
    return f"max by ({by}) ({_W}{family}{matchers})"


def _one(family: str, by: str = "", more: str = "") -> str:
    """A metric of the selected workflow."""
    inside = ", ".join(filter(None, (_ONE, more)))
    return f"max by ({by}) ({_W}{family}{{{inside}}})" if by else f"max({_W}{family}{{{inside}}})"


FLEET = (
    Panel("Workflows", "With series of their own.", [(f"count({_each('run_late')})", "workflows")], kind="stat", width=4),
    Panel("Cost per month", "At the present rate of runs.", [
        (f"sum by (currency) ({_each('cost', _ID + ', currency')})", "{{currency}}"),
    ], kind="stat", width=4),
    Panel("Waste per month", "Reserved or spent without use.", [
        (f"sum by (currency) ({_each('waste', _ID + ', currency')})", "{{currency}}"),
    ], kind="stat", width=4),
    Panel("Savings available per month", "What the open recommendations promise.", [
        (f"sum by (currency) ({_each('saving', _ID + ', currency')})", "{{currency}}"),
    ], kind="stat", width=4),
    Panel("Scheduling latency per month", "Scheduling latency of all runs, in hours.", [
        (f"sum({_each('waiting_hours')})", "hours"),
    ], "h", kind="stat", width=4),
    Panel("Objectives missed", "Of all with data.", [
        (f"sum(1 - {_each('objective_met', _ID + ', objective')})", "missed"),
        (f"count({_each('objective_met', _ID + ', objective')})", "all"),
    ], kind="stat", width=4),
    Panel("Most money to save", "Workflows by what their open recommendations save in 30 days.", [
        (f"topk(10, {_each('saving', _ID + ', currency')} > 0)", "{{namespace}}/{{workflow}}"),
    ], kind="table"),
    Panel("Most time to save", "Hours of run time in 30 days.", [
        (f"topk(10, {_each('saving_hours')} > 0)", "{{namespace}}/{{workflow}}"),
    ], "h", kind="table"),
    Panel("Lowest scores", "Success, stability, use of requests, scheduling latency.", [
        (f"bottomk(10, {_each('score')})", "{{namespace}}/{{workflow}}"),
    ], kind="table"),
    Panel("Objectives missed by workflow", "Each objective that is missed at present.", [
        (f"{_each('objective_met', _ID + ', objective')} == 0", "{{namespace}}/{{workflow}} {{objective}}"),
    ], kind="table"),
    Panel("Slower than before", "Run time after the last change point over the one before.", [
        (f"topk(10, {_each('degradation_ratio')} > 1.05)", "{{namespace}}/{{workflow}}"),
    ], "percentunit", kind="table"),
    Panel("Failing and late", "Failed runs in a row; runs in progress that are late.", [
        (f"topk(10, {_each('consecutive_failures')} > 0)", "{{namespace}}/{{workflow}} failed"),
        (f"topk(10, {_each('run_late')} > 0)", "{{namespace}}/{{workflow}} late"),
    ], kind="table"),
    Panel("Cost per month by namespace", "At the rate of runs of each moment.", [
        (f"sum by (namespace, currency) ({_each('cost', _ID + ', currency')})", "{{namespace}} {{currency}}"),
    ], width=12),
    Panel("Savings available by namespace", "Falls as recommendations are applied.", [
        (f"sum by (namespace, currency) ({_each('saving', _ID + ', currency')})", "{{namespace}} {{currency}}"),
    ], width=12),
    Panel("Open recommendations", "By severity.", [
        (f"sum by (severity) ({_each('open_recommendations', _ID + ', severity')})", "{{severity}}"),
    ]),
    Panel("Mean score by namespace", "0 to 100.", [(f"avg by (namespace) ({_each('score')})", "{{namespace}}")]),
    Panel("Scheduling latency by namespace", "Hours in 30 days.", [
        (f"sum by (namespace) ({_each('waiting_hours')})", "{{namespace}}"),
    ], "h"),
)  # fmt: skip

WORKFLOW = (
    Panel("Score", "0 to 100.", [(_one("score"), "score")], kind="stat", width=4),
    Panel("Success", "Of runs with a known outcome in the window.", [
        (_one("success_ratio"), "success"),
    ], "percentunit", kind="stat", width=4),
    Panel("Failed in a row", "Since the last run that succeeded.", [
        (_one("consecutive_failures"), "runs"),
    ], kind="stat", width=4),
    Panel("Runs per month", "At the present rate.", [(_one("runs_per_month"), "runs")], kind="stat", width=4),
    Panel("Since the last run", "Finished runs only.", [
        (f"time() - {_one('last_run_timestamp_seconds')}", "ago"),
    ], "s", kind="stat", width=4),
    Panel("Late runs", "In progress and late, or expected to be.", [(_one("run_late"), "runs")], kind="stat", width=4),
    Panel("Run time", "Quantiles of the window; vertical lines are change points.", [
        (_one("duration_seconds", "quantile"), "p{{quantile}}"),
    ], "s", width=12),
    Panel("Scheduling latency", "Longest of a run's pods; quantiles of the window.", [
        (_one("queue_seconds", "quantile"), "p{{quantile}}"),
    ], "s", width=12),
    Panel("Critical path by step", "Share of the run time that each step adds.", [
        (_one("step_critical_share", "step"), "{{step}}"),
    ], "percentunit", width=12),
    Panel("Duration of steps", "95th percentile.", [
        (_one("step_seconds", "step", 'quantile="0.95"'), "{{step}}"),
    ], "s", width=12),
    Panel("CPU of steps", "Median use against the request.", [
        (_one("step_cpu_used_cores", "step"), "{{step}} used"),
        (_one("step_cpu_requested_cores", "step"), "{{step}} requested"),
    ], width=12),
    Panel("Memory of steps", "Median peak against the request.", [
        (_one("step_memory_used_bytes", "step"), "{{step}} used"),
        (_one("step_memory_requested_bytes", "step"), "{{step}} requested"),
    ], "bytes", width=12),
    Panel("Cost per month", "At the present rate of runs; waste is the part without use.", [
        (_one("cost", "currency"), "cost {{currency}}"),
        (_one("waste", "currency"), "waste {{currency}}"),
        (_one("saving", "currency"), "savings available {{currency}}"),
    ]),
    Panel("Objectives", "1 is met, 0 is missed.", [(_one("objective_met", "objective"), "{{objective}}")]),
    Panel("Open recommendations", "By severity; kubectl concertmaster explain prints them.", [
        (_one("open_recommendations", "severity"), "{{severity}}"),
    ]),
)  # fmt: skip
CHANGE_POINTS = f"{_one('change_timestamp_seconds')} * 1000"
"""Annotation of the workflow dashboard: its values are the moments, in milliseconds."""

CHANGES = (
    Panel("Changes in progress", "Written, or under verification; orphaned ones wait for a person.", [
        ("sum by (phase) (concertmaster_changes_in_flight)", "{{phase}}"),
        ("sum(concertmaster_changes_orphaned)", "orphaned"),
    ]),
    Panel("Changes per day", "Proposed, applied, verified and rolled back.", [
        ("sum(increase(concertmaster_changes_proposed_total[1d]))", "proposed"),
        ("sum(increase(concertmaster_changes_applied_total[1d]))", "written"),
        ("sum by (verdict) (increase(concertmaster_changes_verdicts_total[1d]))", "{{verdict}}"),
        ("sum by (ground) (increase(concertmaster_changes_restored_total[1d]))", "rolled back: {{ground}}"),
        ("sum(increase(concertmaster_changes_conflicts_total[1d]))", "conflicts"),
        ("sum(increase(concertmaster_changes_failed_total[1d]))", "failed"),
    ]),
    Panel("Plans blocked by checks", "In the last cycle; explain prints every check of a recommendation.", [
        ("sum by (check) (concertmaster_changes_refused) > 0", "{{check}}"),
    ]),
    Panel("Time to the verdict", "From the write of a change; 90th percentile and median of a week.", [
        ("histogram_quantile(0.9, sum by (le) (increase(concertmaster_changes_verdict_seconds_bucket[7d])))", "90th"),
        ("histogram_quantile(0.5, sum by (le) (increase(concertmaster_changes_verdict_seconds_bucket[7d])))", "median"),
    ], "s"),
    Panel("Promises kept by rule", "Verified changes and implementations, held or broken.", [
        ("sum by (rule, result) (concertmaster_rule_promises)", "{{rule}} {{result}}"),
    ]),
    Panel("Measured over promised effect", "Median by rule; 1 is as promised.", [
        ("max by (rule) (concertmaster_rule_promise_ratio)", "{{rule}}"),
    ], "percentunit"),
)  # fmt: skip

OPERATOR = (
    Panel("Profiles with recommendations", "Ready profiles of all.", [
        ('sum(concertmaster_profiles{ready="True"})', "ready"), ("sum(concertmaster_profiles)", "all"),
    ], kind="stat", width=6),
    Panel("Last good cycle", "Age of the last cycle without a failure; of shards, of the one that is furthest behind.", [
        ("time() - min(concertmaster_last_success_timestamp_seconds > 0)", "age"),
    ], "s", kind="stat", width=6),
    Panel("Sources complete", "1: the last collection was whole.", [
        ("min by (source) (concertmaster_source_up)", "{{source}}"),
    ], kind="stat", width=6),
    Panel("Version", "What runs.", [("count by (version) (concertmaster_build_info)", "{{version}}")], kind="stat", width=6),
    Panel("Cycle, 95th percentile by stage", "Where the time of a cycle goes.", [
        ("histogram_quantile(0.95, sum by (le, stage) (rate(concertmaster_cycle_stage_seconds_bucket[$__rate_interval])))",
         "{{stage}}"),
        ("histogram_quantile(0.95, sum by (le) (rate(concertmaster_cycle_seconds_bucket[$__rate_interval])))", "whole"),
    ], "s"),
    Panel("Cycles by result", "Failures say that something was left out, not that nothing was done.", [
        ("sum by (result) (increase(concertmaster_cycles_total[1h]))", "{{result}}"),
    ]),
    Panel("Age of the facts", "Time since which facts are incomplete.", [
        ("time() - min by (source) (concertmaster_source_data_until_timestamp_seconds > 0)", "{{source}}"),
    ], "s"),
    Panel("Queries per hour", "The load on the metrics sources.", [
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
    Panel("Analyses and faults", "Workflows analyzed anew, and faults isolated by stage.", [
        ("sum(increase(concertmaster_analyses_total[1h]))", "analyses"),
        ("sum by (stage) (increase(concertmaster_failures_total[1h]))", "faults in {{stage}}"),
    ]),
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

"""Every alert fires when what it is for happens, alone, and is silent while all is well. promtool plays the series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.install.build import ensure
from testbed.process import run
from tests.support.chart.bed import Helm, find

MINUTES = 500  # longer than the longest any rule looks back
STUCK, NOW = f"60x{MINUTES}", f"0+60x{MINUTES}"
NEVER, ALWAYS, OFTEN = f"0x{MINUTES}", f"1x{MINUTES}", f"0+1x{MINUTES}"
WORKFLOW = 'namespace="data",kind="CronJob",workflow="etl"'
MET = f'concertmaster_workflow_objective_met{{{WORKFLOW},objective="duration p95"}}'
WITHIN = f'concertmaster_workflow_objective_met{{{WORKFLOW},objective="cost per run"}}'
RATIO = f"concertmaster_workflow_degradation_ratio{{{WORKFLOW}}}"
FAILURES = f"concertmaster_workflow_consecutive_failures{{{WORKFLOW}}}"
LATE = f"concertmaster_workflow_run_late{{{WORKFLOW}}}"
SAVING = f'concertmaster_workflow_saving{{{WORKFLOW},currency="USD"}}'
HEALTHY = {
    'concertmaster_build_info{version="1"}': ALWAYS,
    "concertmaster_last_success_timestamp_seconds": NOW,
    'concertmaster_source_up{source="default"}': ALWAYS,
    'concertmaster_source_data_until_timestamp_seconds{source="default"}': NOW,
    'concertmaster_source_data_until_timestamp_seconds{source="never-read"}': NEVER,
    'concertmaster_archive_up{archive="argo archive"}': ALWAYS,
    'concertmaster_failures_total{stage="collect"}': NEVER,
    'concertmaster_status_writes_total{kind="profile",outcome="rejected"}': NEVER,
    'concertmaster_status_writes_total{kind="profile",outcome="written"}': OFTEN,
    'concertmaster_kubernetes_requests_total{verb="GET",code="403"}': NEVER,
    'concertmaster_kubernetes_requests_total{verb="GET",code="200"}': OFTEN,
    'concertmaster_changes_restored_total{ground="Worse"}': NEVER,
    "concertmaster_changes_orphaned": NEVER,
    "concertmaster_changes_rollbacks_waiting": NEVER,
    'concertmaster_active{pod="a"}': ALWAYS,
    MET: ALWAYS,
    WITHIN: ALWAYS,
    RATIO: f"1.04x{MINUTES}",
    FAILURES: f"2x{MINUTES}",
    LATE: NEVER,
    SAVING: f"99x{MINUTES}",
}
CASES: dict[str, dict[str, str]] = {
    "": {},
    "ConcertmasterAbsent": dict.fromkeys(HEALTHY, ""),
    "ConcertmasterLoopStale": {"concertmaster_last_success_timestamp_seconds": STUCK},
    "ConcertmasterShardStale": {
        'concertmaster_last_success_timestamp_seconds{pod="a"}': NOW,
        'concertmaster_last_success_timestamp_seconds{pod="b"}': STUCK,
        'concertmaster_active{pod="b"}': ALWAYS,
    },
    "ConcertmasterSourceFailing": {'concertmaster_source_up{source="default"}': NEVER},
    "ConcertmasterSourceBehind": {'concertmaster_source_data_until_timestamp_seconds{source="default"}': STUCK},
    "ConcertmasterArchiveFailing": {'concertmaster_archive_up{archive="argo archive"}': NEVER},
    "ConcertmasterFaults": {'concertmaster_failures_total{stage="collect"}': OFTEN},
    "ConcertmasterCyclesFailing": {'concertmaster_failures_total{stage="cycle"}': OFTEN},
    "ConcertmasterStatusRefused": {'concertmaster_status_writes_total{kind="profile",outcome="rejected"}': OFTEN},
    "ConcertmasterRightsMissing": {'concertmaster_kubernetes_requests_total{verb="GET",code="403"}': OFTEN},
    "ConcertmasterChangeRolledBack": {'concertmaster_changes_restored_total{ground="Worse"}': OFTEN},
    "ConcertmasterChangesOrphaned": {"concertmaster_changes_orphaned": ALWAYS},
    "ConcertmasterRollbackWaits": {"concertmaster_changes_rollbacks_waiting": ALWAYS},
    "ConcertmasterStandsStill": {'concertmaster_active{pod="a"}': NEVER},
    "ConcertmasterTwice": {'concertmaster_active{pod="b"}': NEVER},
    "ConcertmasterObjectiveMissed": {MET: NEVER},
    "ConcertmasterBudgetExceeded": {WITHIN: NEVER},
    "ConcertmasterWorkflowDegraded": {RATIO: f"1.3x{MINUTES}"},
    "ConcertmasterWorkflowFailing": {FAILURES: f"3x{MINUTES}"},
    "ConcertmasterRunLate": {LATE: f"0x{MINUTES - 1} 1"},
    "ConcertmasterSavingsWaiting": {SAVING: f"120x{MINUTES}"},
}


@pytest.fixture(scope="module")
def rules(helm: Helm) -> dict[str, Any]:
    """The rules as the chart renders them."""
    return dict(find(helm.template({"metrics": {"prometheusRule": {"enabled": True}}}), "PrometheusRule")["spec"])


def firing(rules: dict[str, Any], series: dict[str, str], alerts: list[str], directory: Path) -> str:
    """promtool's complaint when exactly ``alerts`` do not fire at the end of ``series``; empty when they do."""
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts]
    return played(rules, series, {'count by (alertname) (ALERTS{alertstate="firing"})': samples}, directory)


def played(
    rules: dict[str, Any], series: dict[str, str], expected: dict[str, list[dict[str, Any]]], directory: Path
) -> str:
    """promtool's complaint when expressions have other samples than ``expected`` at the end of ``series``."""
    (directory / "rules.yaml").write_text(yaml.safe_dump(rules))
    queries = [{"expr": expr, "eval_time": f"{MINUTES}m", "exp_samples": found} for expr, found in expected.items()]
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items() if values],
                "promql_expr_test": queries,
            }
        ],
    }
    (directory / "test.yaml").write_text(yaml.safe_dump(test))
    promtool = ensure(["promtool"], lambda _: None)["promtool"]
    answer = run([promtool, "test", "rules", directory / "test.yaml"], "playing rules", lambda _: None)
    return "" if answer.returncode == 0 else answer.stdout + answer.stderr


@pytest.mark.parametrize("alert", CASES, ids=lambda alert: alert or "healthy")
def test_it_fires_when_it_should_and_alone(rules: dict[str, Any], alert: str, tmp_path: Path) -> None:
    assert firing(rules, HEALTHY | CASES[alert], [alert] if alert else [], tmp_path) == ""


def test_every_alert_is_played(rules: dict[str, Any]) -> None:
    known = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    assert known == CASES.keys() - {""}


STARTED = "concertmaster_process_start_time_seconds"


@pytest.mark.parametrize(("minutes", "alerts"), [(20, []), (300, ["ConcertmasterLoopStale"])])
def test_a_first_cycle_has_as_long_as_any_other(
    rules: dict[str, Any], minutes: int, alerts: list[str], tmp_path: Path
) -> None:
    """Before it the time of the last success is 0, which is no age of the epoch."""
    series = {"concertmaster_last_success_timestamp_seconds": NEVER, STARTED: f"{60 * (MINUTES - minutes)}x{MINUTES}"}
    assert firing(rules, HEALTHY | series, alerts, tmp_path) == ""


RESTARTS = range(0, MINUTES, 20)


@pytest.mark.parametrize(
    ("succeeded", "alerts"),
    [
        (NEVER, ["ConcertmasterLoopStale"]),
        (" ".join(f"{60 * (at + 2)}x9 0x9" for at in RESTARTS), []),  # as the past of a process that has just started
    ],
)
def test_restarts_before_the_first_success_hide_nothing(
    rules: dict[str, Any], succeeded: str, alerts: list[str], tmp_path: Path
) -> None:
    """As of an operator whose memory limit is too low for its first cycle."""
    started = " ".join(f"{60 * at}x19" for at in RESTARTS)
    series = {"concertmaster_last_success_timestamp_seconds": succeeded, STARTED: started}
    assert firing(rules, HEALTHY | series, alerts, tmp_path) == ""


def test_a_wrong_expectation_is_noticed(rules: dict[str, Any], tmp_path: Path) -> None:
    assert "ConcertmasterTwice" in firing(rules, HEALTHY, ["ConcertmasterTwice"], tmp_path)


LAST, ACTIVE = "concertmaster_last_success_timestamp_seconds", "concertmaster_active"


@pytest.mark.parametrize(
    ("shard", "alerts"),
    [
        ({LAST: NOW, ACTIVE: ALWAYS, STARTED: STUCK}, []),
        ({LAST: NEVER, ACTIVE: ALWAYS, STARTED: STUCK}, ["ConcertmasterShardStale"]),
        ({LAST: NEVER, ACTIVE: NEVER, STARTED: STUCK}, ["ConcertmasterTwice"]),  # on standby
        ({LAST: NEVER, ACTIVE: f"0x{MINUTES - 8} 1x7", STARTED: STUCK}, []),  # active for eight minutes
        ({LAST: NEVER, ACTIVE: f"0x{MINUTES - 40} 1x39", STARTED: STUCK}, ["ConcertmasterShardStale"]),
        ({LAST: f"0+60x{MINUTES - 25}", ACTIVE: f"1x{MINUTES - 25}", STARTED: f"60x{MINUTES - 25}"}, []),  # removed
    ],
)
def test_one_shard_that_stands_still_is_not_hidden_by_the_others(
    rules: dict[str, Any], shard: dict[str, str], alerts: list[str], tmp_path: Path
) -> None:
    series = {f'{LAST}{{pod="a"}}': NOW, **{f'{name}{{pod="b"}}': values for name, values in shard.items()}}
    assert firing(rules, HEALTHY | series, alerts, tmp_path) == ""


def test_a_shard_that_is_behind_is_not_hidden_by_the_others(rules: dict[str, Any], tmp_path: Path) -> None:
    behind = {'concertmaster_source_data_until_timestamp_seconds{source="default",pod="b"}': STUCK}
    assert firing(rules, HEALTHY | behind, ["ConcertmasterSourceBehind"], tmp_path) == ""


@pytest.mark.parametrize(
    ("stage", "alert"), [("collect", "ConcertmasterFaults"), ("cycle", "ConcertmasterCyclesFailing")]
)
def test_what_fails_in_each_cycle_is_an_alert_with_the_longest_interval_that_is_recommended(
    rules: dict[str, Any], stage: str, alert: str, tmp_path: Path
) -> None:
    """Every 15 minutes, as for 100,000 workflows."""
    failing = " ".join(f"{n}x14" for n in range(MINUTES // 15 + 1))
    series = {f'concertmaster_failures_total{{stage="{stage}"}}': failing}
    assert firing(rules, HEALTHY | series, [alert], tmp_path) == ""


def test_single_faults_of_several_shards_are_no_alert(rules: dict[str, Any], tmp_path: Path) -> None:
    """As while the API server restarts."""
    once = f"0x{MINUTES - 30} 1x29"
    series = {f'concertmaster_failures_total{{stage="watch",pod="{pod}"}}': once for pod in "abcdefgh"}
    assert firing(rules, HEALTHY | series, [], tmp_path) == ""


def test_shards_that_are_all_active_are_no_alert(rules: dict[str, Any], tmp_path: Path) -> None:
    assert firing(rules, HEALTHY | {'concertmaster_active{pod="b"}': ALWAYS}, [], tmp_path) == ""


@pytest.mark.parametrize(
    ("theirs", "alerts"),
    [
        ({}, ["ConcertmasterAbsent"]),
        ({"concertmaster_build_info": ALWAYS, ACTIVE: NEVER}, ["ConcertmasterStandsStill"]),
        ({"concertmaster_build_info": ALWAYS, ACTIVE: ALWAYS}, []),
    ],
)
def test_a_release_that_is_away_or_stands_still_is_not_hidden_by_another(
    helm: Helm, theirs: dict[str, str], alerts: list[str], tmp_path: Path
) -> None:
    chart = helm.template({"metrics": {"prometheusRule": {"enabled": True}, "serviceMonitor": {"enabled": True}}})
    found = find(chart, "PrometheusRule")
    at = f'namespace="{found["metadata"]["namespace"]}",service="{found["metadata"]["name"]}",job="a",pod="b"'
    series = {f"{name}{{{at}}}": values for name, values in theirs.items()}
    assert firing(dict(found["spec"]), HEALTHY | series, alerts, tmp_path) == ""


def test_an_alert_on_a_workflow_names_it(rules: dict[str, Any]) -> None:
    (group,) = (g for g in rules["groups"] if g["name"] == "concertmaster.workflows")
    for rule in group["rules"]:
        assert "{{ $labels.namespace }}/{{ $labels.workflow }}" in rule["annotations"]["summary"], rule["alert"]


def test_a_passing_regression_or_miss_is_no_alert(rules: dict[str, Any], tmp_path: Path) -> None:
    """Half of what the rule waits for: one slow run moves a change point for one analysis."""
    short = f"1.04x{MINUTES - 15} 1.3x14"
    assert firing(rules, HEALTHY | {RATIO: short, MET: f"1x{MINUTES - 30} 0x29"}, [], tmp_path) == ""


def test_what_is_recorded_adds_up_and_counts_no_workflow_twice(rules: dict[str, Any], tmp_path: Path) -> None:
    """Two workflows, of which two operators serve one."""
    other = 'namespace="data",kind="CronJob",workflow="report"'
    series = {
        'concertmaster_profiles{ready="True"}': f"3x{MINUTES}",
        'concertmaster_profiles{ready="False"}': f"1x{MINUTES}",
        'concertmaster_cycle_seconds_bucket{le="1"}': NEVER,
        'concertmaster_cycle_seconds_bucket{le="+Inf"}': OFTEN,
        'concertmaster_kubernetes_requests_total{verb="GET",code="200"}': f"0+60x{MINUTES}",
        'concertmaster_queries_total{source="default"}': f"0+60x{MINUTES}",
        f'concertmaster_workflow_objective_met{{{WORKFLOW},objective="success"}}': ALWAYS,
        f'concertmaster_workflow_objective_met{{{other},objective="success"}}': NEVER,
    }
    for workflow, operator, amount in ((WORKFLOW, "a", 10), (WORKFLOW, "b", 10), (other, "a", 5)):
        for family in ("cost", "waste", "saving"):
            series[f'concertmaster_workflow_{family}{{{workflow},currency="USD",pod="{operator}"}}'] = (
                f"{amount}x{MINUTES}"
            )
        series[f'concertmaster_workflow_waiting_hours{{{workflow},pod="{operator}"}}'] = f"{amount}x{MINUTES}"
    money, place = 'namespace="data",currency="USD"', 'namespace="data"'
    expected = {
        "concertmaster:workflow_cost:sum": (money, 15),
        "concertmaster:workflow_waste:sum": (money, 15),
        "concertmaster:workflow_saving:sum": (money, 15),
        "concertmaster:workflow_waiting_hours:sum": (place, 15),
        "concertmaster:objectives_met:ratio": (place, 0.5),
        "concertmaster:profiles_ready:ratio": ("", 0.75),
        "concertmaster:cycle_seconds:p95_1h": ("", 1),
        "concertmaster:kubernetes_requests:rate5m": ('verb="GET"', 1),
        "concertmaster:queries:rate1h": ('source="default"', 1),
    }
    recorded = {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    assert recorded == expected.keys()
    samples = {name: [{"labels": f"{name}{{{labels}}}", "value": value}] for name, (labels, value) in expected.items()}
    assert played(rules, series, samples, tmp_path) == ""

"""Recommendations of many profiles: what ``list -o json`` promises other programs, and lines of policies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from concertmaster.api.models.list_entry import ListEntry, json_schema
from concertmaster.core.fleet.ranking import Headline, ranked, ranked_copies, totals
from concertmaster.core.model import Impact, Interval
from concertmaster.core.model.policy import Pricing
from concertmaster.report.html.environment import impact_line
from concertmaster.report.workflows import list_entries, top

PROFILE: dict[str, Any] = {
    "metadata": {"namespace": "demo", "name": "wftmpl-etl"},
    "status": {
        "minor": 3,
        "summary": {"target": "WorkflowTemplate/etl"},
        "recommendations": [
            {
                "action": "Right-size 2 containers",
                "because": "peaks",
                "category": "Cost",
                "confidence": "90",
                "current": "2Gi",
                "effort": "Low",
                "expected": "less",
                "how": "kubectl concertmaster explain wftmpl-etl right-size -n demo",
                "id": "right-size",
                "impact": "2.5 run-hours (2 to 3), 12.5 USD (10 to 15) a month",
                "items": [
                    "train/main requests.cpu: 2 -> 1050m (peak 0.9 cores)",
                    "load/main limits.memory: not set -> 1Gi",
                ],
                "proposed": "1Gi",
                "risk": "Low",
                "severity": "Medium",
                "state": "Active",
            },
            {"action": "old", "id": "timeout", "state": "Obsolete"},
        ],
        "remaining": [
            {"action": "retry", "id": "retry-policy.a", "impact": "3 failed runs a month", "state": "Active"}
        ],
    },
}


def printed(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list_entries.documents(list_entries.entries(PROFILE, items))


def test_an_entry_holds_numbers_and_the_table_of_sizes() -> None:
    (entry, _) = printed(PROFILE["status"]["recommendations"])
    assert (entry["kind"], entry["workflow"], entry["namespace"]) == ("WorkflowTemplate", "etl", "demo")
    assert entry["interval"] == {"low": 10.0, "likely": 12.5, "high": 15.0, "unit": "USD/month"}
    amounts = {"runMinutesPerMonth": 150.0, "failedRunsPerMonth": None, "moneyPerMonth": 12.5}
    assert entry["impact"] == {**amounts, "currency": "USD"}
    assert entry["confidence"] == 0.9
    assert entry["items"] == [
        {"step": "train", "container": "main", "field": "requests.cpu", "old": "2", "new": "1050m"},
        {"step": "load", "container": "main", "field": "limits.memory", "old": None, "new": "1Gi"},
    ]
    ListEntry.model_validate(entry, strict=False)


def test_what_is_remembered_in_short_is_an_entry_too() -> None:
    (entry,) = printed(PROFILE["status"]["remaining"])
    assert entry["impact"]["failedRunsPerMonth"] == 3.0
    assert entry["interval"] == {"low": 3.0, "likely": 3.0, "high": 3.0, "unit": "failed runs/month"}
    assert entry["severity"] is None
    (minor,) = printed([{"id": "x", "action": "y", "state": "Minor"}])
    assert (minor["state"], minor["minor"]) == (None, True)
    assert printed([{"id": "x", "action": {"by": "hand"}}]) == []


def test_the_schema_in_the_docs_is_the_one_of_the_model(request: pytest.FixtureRequest) -> None:
    file = Path(__file__).parents[3] / "docs" / "reference" / "list.schema.json"
    if request.config.getoption("--update-golden"):
        file.write_text(json_schema())
    assert file.read_text() == json_schema()


def test_only_active_ones_are_headlines_and_minor_ones_are_counted() -> None:
    headlines = list(top.headlines(PROFILE))
    assert [h.id for h in headlines] == ["right-size", "retry-policy.a"]
    sums = totals(headlines)
    assert top.totals_document(sums, 3) == {
        "failedRunsPerMonth": "3",
        "minor": 3,
        "moneyPerMonth": "12.5 USD",
        "recommendations": 2,
        "runHoursPerMonth": "2.5",
        "workflows": 1,
    }
    worth = "save 2.5 run-hours and 12.5 USD and avoid 3 failed runs a month"
    assert top.totals_sentence(sums) == f"2 recommendations for 1 workflow: together they {worth}"
    assert top.totals_sentence(replace(sums, run_hours=0.0, failed_runs=0.0)).endswith("they save 12.5 USD a month")
    assert top.totals_sentence(replace(sums, run_hours=0.0, money={})).endswith("they avoid 3 failed runs a month")
    one = replace(sums, run_hours=1.0, failed_runs=1.0, money={})
    assert top.totals_sentence(one).endswith("they save 1 run-hour and avoid 1 failed run a month")
    nothing = replace(sums, run_hours=0.0, failed_runs=0.0, money={"USD": 0.0})
    assert top.totals_sentence(nothing) == "2 recommendations for 1 workflow"
    assert top.minor_count([PROFILE, PROFILE]) == 6
    assert top.top_line(headlines[0]) == (
        "demo/wftmpl-etl right-size: 2.5 run-hours (2 to 3), 12.5 USD (10 to 15) a month"
        " (confidence 90%, effort Low, risk Low); Right-size 2 containers"
    )
    assert top.top_line(headlines[1]) == "demo/wftmpl-etl retry-policy.a: 3 failed runs a month; retry"


@pytest.mark.parametrize(
    ("action", "shown"),
    [
        ("Raise parallelism of etl: 2 -> 15", "Raise parallelism of etl: 2 -> 15"),
        (
            "Start geo-index less often: */30 * * * * -> 0 * * * * (50% of its starts are skipped)",
            "Start geo-index less often: */30 * * * * -> 0 * * * *",
        ),
        (
            "Fix missing metrics; set metricLabelsAllowlist of kube-state-metrics, or name the labels",
            "Fix missing metrics; set metricLabelsAllowlist of kube-state-metrics…",
        ),
        ("Fix " + 80 * "x", "Fix…"),
        (80 * "x", 71 * "x" + "…"),
    ],
)
def test_a_long_change_is_cut_where_its_sense_ends(action: str, shown: str) -> None:
    assert top.change(action) == shown


def test_the_legend_says_how_lines_are_ordered_and_why_one_has_no_figure() -> None:
    first, second = top.headlines(PROFILE)
    order, rest = top.legend([first], Pricing(run_hour=3.0), {"USD": 1.0}, "the default")
    assert order.endswith("counted as 3 USD and a failed run as 10 USD (the default).")
    assert "Not measured" not in rest
    assert rest.startswith("Confidence: how likely the recommendation is right")
    order, rest = top.legend(
        [first, replace(second, impact=Impact())], Pricing(), {"EUR": 1.0, "USD": 1.0}, "--run-hour"
    )
    assert order.endswith("counted as 2.5 and a failed run as 10 (--run-hour).")
    assert "Not measured" in rest


@pytest.mark.parametrize(
    ("identifier", "severity", "failed", "first", "said"),
    [
        ("failing-step.a", "Critical", 30.0, "broken", True),
        ("failing-step.a", "Critical", 101.0, "broken", False),
        ("failing-step.a", "High", 30.0, "slow", False),
        ("retry-policy.a", "Critical", 30.0, "slow", False),
    ],
)
def test_a_workflow_that_no_longer_succeeds_comes_before_what_is_worth_less_than_its_severity(
    identifier: str, severity: str, failed: float, first: str, said: bool
) -> None:
    base = next(top.headlines(PROFILE))
    few = Interval(failed, failed, failed)
    broken = replace(base, id=identifier, profile="broken", severity=severity, impact=Impact(failed_runs=few))
    slow = replace(base, profile="slow", severity="High", impact=Impact(run_minutes=Interval(*[240.0 * 60] * 3)))
    order = ranked([slow, broken], Pricing())
    assert order[0].profile == first
    legend = top.legend(order, Pricing(), {"USD": 1.0}, "")[1]
    assert ("A workflow that no longer succeeds counts as 1000 USD at least." in legend) is said


def test_the_table_says_the_change_in_words_and_its_id_last() -> None:
    """An id such as right-size tells a stranger neither what to do nor in which direction."""
    first, second = top.headlines(PROFILE)
    long = replace(second, action=f"Investigate regression in {'transform-' * 6}a since 2025-10-05 01:02 UTC (+35%)")
    rows = [dict(zip(top.HEADER, row, strict=True)) for row in top.rows([first, long])]
    assert rows[0]["CHANGE"] == "Right-size 2 containers"
    assert rows[1]["CHANGE"] == "Investigate regression in…"
    assert [r["ID"] for r in rows] == ["right-size", "retry-policy.a"]
    assert [r["IMPACT PER MONTH"] for r in rows] == ["2.5 run-hours (2 to 3), 12.5 USD (10 to 15)", "3 failed runs"]
    (wide,) = (dict(zip(top.WIDE_HEADER, row, strict=True)) for row in top.rows([long], wide=True))
    assert wide["CHANGE"] == long.action


@pytest.mark.parametrize("category", ["Cost", "Performance", "Reliability"])
def test_an_amount_of_money_keeps_its_currency_whatever_the_recommendation_is_about(category: str) -> None:
    item = {"id": "cache-step.a", "category": category, "impact": "2.5 run-hours (2 to 3), 12.5 EUR (10 to 15) a month"}
    entry = list_entries.entry(PROFILE, item)
    assert impact_line(entry).startswith("2.5 run-hours")
    assert " 12.5 EUR" in impact_line(entry)
    assert entry.impact.currency == "EUR"


def _copy(namespace: str, hours: float, action: str = "Raise parallelism of etl: 2 -> 15", **more: Any) -> Headline:
    impact = Impact(run_minutes=Interval(30.0 * hours, 60.0 * hours, 90.0 * hours))
    return replace(
        Headline(namespace, "p", "WorkflowTemplate/etl", "parallelism", action, impact, "Low", "Low", "Low"), **more
    )


def test_copies_of_a_workflow_in_many_namespaces_are_one_line_with_the_impact_of_all() -> None:
    tenants = [_copy(f"team-{n:02}", 2.0 + n / 100, f"Raise parallelism of etl: 2 -> {8 + n}") for n in range(40)]
    other = _copy("shop", 50.0, workflow="CronJob/etl")
    (first, second) = ranked_copies([other, *tenants], Pricing())
    assert (first.namespace, first.namespaces, second.namespaces) == ("team-39", 40, 1)
    assert first.action == "Raise parallelism of etl: 2 -> 47"
    assert first.impact.run_minutes is not None
    assert first.impact.run_minutes.likely == pytest.approx(60 * sum(2.0 + n / 100 for n in range(40)))
    assert top.rows([first])[0][1] == "team-39 and 39 more"
    assert top.top_line(first).startswith(
        "team-39/p and 39 more namespaces parallelism: 87.8 run-hours (43.9 to 132) a"
    )
    assert "More namespaces: the impact is that of the workflows" in top.legend([first], Pricing(), (), "")[1]
    assert "More namespaces" not in top.legend([second], Pricing(), (), "")[1]


def test_others_are_no_copies() -> None:
    own = _copy("a", 2.0)
    assert len(ranked_copies([own, _copy("b", 1.0, "Keep runs of etl apart")], Pricing())) == 2
    assert len(ranked_copies([own, _copy("b", 1.0, id="parallelism.load")], Pricing())) == 2
    (twice,) = ranked_copies([own, replace(own, profile="q")], Pricing())
    assert twice == own, "two profiles of one workflow are no two workflows"

"""No Event and no condition of one tenant names another tenant's namespace, whatever fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.controller.collection.sources import without_series
from concertmaster.core.model import WorkflowKey
from concertmaster.kube import errors
from concertmaster.kube.objects import CLUSTER_POLICIES, EVENTS, NAMESPACES, POLICIES, PROFILES
from concertmaster.prometheus.client.refusals import refusal
from concertmaster.prometheus.client.response import Envelope
from tests.support.controller.harness import INTERVAL, NOW, Bed, report, run
from tests.support.resources import CRONJOB

TENANTS = ("tenant-red", "tenant-blue")
DUPLICATES = (
    'multiple matches for labels: found duplicate series for the match group {namespace="tenant-blue", pod="etl-1"} on the'
    ' right hand-side of the operation: [{__name__="kube_pod_info", namespace="tenant-blue", node="n1"}, {namespace='
)


def refused(text: str) -> str:
    """What is said of a query that the metrics source answers with this error."""
    return without_series(refusal(422, Envelope("error", None, error_type="execution", error=text), "source default"))


@pytest.mark.parametrize(
    "text",
    [
        DUPLICATES,
        'invalid parameter "query": 1:8: parse error: unexpected "=" near namespace=~"tenant-red|tenant-blue',
        'expanding series: query-frontend: max-series for namespace="tenant-blue" of 100',
    ],
)
def test_a_sources_own_words_name_nobodys_series(text: str, caplog: pytest.LogCaptureFixture) -> None:
    shown = refused(text)
    assert not any(name in shown for name in TENANTS)
    assert shown.startswith("source default: the metrics source refuses the query ")
    assert "tenant-blue" in caplog.text, "who runs the operator can read all of it"


def test_what_names_no_series_stays_as_it_is() -> None:
    assert "1:8: parse error: unexpected end of input" in refused("1:8: parse error: unexpected end of input")


@pytest.fixture
def bed() -> Bed:
    """The same workflow, profile and policy for each tenant, and a policy of the cluster for both."""
    made = Bed()
    for namespace in TENANTS:
        made.client.put(NAMESPACES, None, namespace)
        made.cronjob("etl", namespace)
        made.profile("etl", "etl", namespace)
        made.policy("team", namespace, apply={"mode": "Auto"})
    made.client.put(CLUSTER_POLICIES, None, "all", spec={})
    made.history.runs_of["etl"] = [run("etl", i) for i in range(3)]
    made.run()
    return made


def _outage(bed: Bed) -> None:
    bed.sources.reports["default"] = replace(report(ok=False), message=refused(DUPLICATES))


def _lost_target(bed: Bed) -> None:
    del bed.client.objects[CRONJOB.path("tenant-blue", "etl")]


def _shared_target(bed: Bed) -> None:
    for namespace in TENANTS:
        bed.profile("again", "etl", namespace, metadata={"creationTimestamp": "2035-01-01T00:00:00Z"})


def _refused_source(bed: Bed) -> None:
    bed.sources.denied.add("default")


def _left_out(bed: Bed) -> None:
    problem = "metrics of namespace tenant-blue are incomplete"
    bed.sources.reports["default"] = report(left_out={"tenant-blue": (problem,)}, data_until=NOW)


def _wrong_query(bed: Bed) -> None:
    key = WorkflowKey("tenant-blue", "CronJob", "etl")
    bed.sources.reports["default"] = report(query_problems={key: "tenant-blue: 1:8: parse error"})


def _no_rights(bed: Bed) -> None:
    bed.client.lists[CRONJOB.path("tenant-blue")] = errors.Forbidden("cronjobs in tenant-blue: forbidden", status=403)
    bed.client.lists[CRONJOB.path(None)] = errors.Forbidden("cronjobs: forbidden", status=403)


def _no_writes(bed: Bed) -> None:
    bed.client.allows = lambda attributes: attributes.get("namespace") != "tenant-blue"  # type: ignore[method-assign]


def _failing(bed: Bed) -> None:
    bed.analyzer.failing.add("etl")


FAULTS = (
    _outage,
    _lost_target,
    _shared_target,
    _refused_source,
    _left_out,
    _wrong_query,
    _no_rights,
    _no_writes,
    _failing,
)


def _texts(bed: Bed) -> list[tuple[str, str]]:
    """Namespace and text of every Event, and of every condition of what tenants read."""
    found = [(str(e["metadata"]["namespace"]), f"{e['reason']}: {e['note']}") for e in bed.objects(EVENTS)]
    for kind in (PROFILES, POLICIES):
        for raw in bed.objects(kind):
            conditions: list[dict[str, Any]] = raw.get("status", {}).get("conditions", [])
            found += [(str(raw["metadata"]["namespace"]), str(c["message"])) for c in conditions]
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__.strip("_"))
def test_a_fault_tells_no_tenant_of_another(bed: Bed, fault: Any) -> None:
    fault(bed)
    for _ in range(3):
        bed.run(seconds=INTERVAL)
    texts = _texts(bed)
    assert {namespace for namespace, _ in texts} >= set(TENANTS)
    for namespace, text in texts:
        other = next(t for t in TENANTS if t != namespace) if namespace in TENANTS else None
        assert other is None or other not in text, f"in {namespace}: {text}"
    assert not any(t in text for namespace, text in texts if namespace not in (*TENANTS, "default") for t in TENANTS)


def test_an_outage_is_an_event_and_the_texts_are_looked_at(bed: Bed) -> None:
    _outage(bed)
    bed.run(seconds=INTERVAL)
    (event,) = [e for e in bed.objects(EVENTS) if e["reason"] == "SourceUnreachable"]
    assert event["note"].startswith("MetricsAvailable is False: source default: the metrics source refuses the query")
    assert event["metadata"]["namespace"] in TENANTS


def test_a_tenant_whose_metrics_are_read_late_delays_nobody(bed: Bed) -> None:
    """All that had ended meanwhile counted as still going on, in every namespace of the source."""
    late = NOW - 3 * 86400.0
    bed.sources.reports["default"] = report(data_until=late, complete={"tenant-red": NOW, "tenant-blue": late})
    bed.analyzer.requests.clear()
    for namespace in TENANTS:
        bed.cronjob("etl", namespace, edited="yes")
    bed.run(seconds=INTERVAL)
    assert {c.definition.key.namespace: c.as_of for c in bed.analyzer.requests} == {
        "tenant-red": NOW,
        "tenant-blue": late,
    }

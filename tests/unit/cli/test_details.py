"""What ``explain`` makes of the operator's answer and of its absence."""

from __future__ import annotations

import pytest

from concertmaster.cli import details
from concertmaster.cli.commands.explain import describe
from concertmaster.cli.errors import UserError
from concertmaster.kube import operator_service
from concertmaster.kube.errors import Busy, Forbidden, NotFound
from concertmaster.report.workflows import recommendations
from tests.support.builders import NOW

STATUS = {"recommendations": [{"id": "a.x", "action": "short…", "evidence": "one", "state": "Dismissed", "how": "h"}]}
FOUND = {
    "recommendations": [
        {"id": "a.x", "action": "in full", "evidence": ["one", "two"], "confidence": 0.8, "how": "h"},
        {"id": "b.y", "action": "the sixth", "evidence": [], "confidence": 0.5, "how": "h"},
    ]
}


def test_the_operator_adds_what_the_status_has_no_room_for() -> None:
    items = recommendations.merged({"status": STATUS}, FOUND, NOW)
    assert [(i["id"], i["action"], i["state"]) for i in items] == [
        ("a.x", "in full", "Dismissed"),
        ("b.y", "the sixth", "Active"),
    ]
    assert recommendations.merged({"status": STATUS}, {}, NOW) == STATUS["recommendations"]
    assert recommendations.merged({}, {}, NOW) == []


@pytest.mark.parametrize(
    ("known", "state"),
    [
        ({}, "Dismissed"),  # an operator that does not tell states
        ({"state": "Active"}, "Dismissed"),  # the decision is younger than the analysis
        ({"state": "Active", "dismissal": "no"}, "Dismissed"),  # and so is another one
        ({"state": "Active", "dismissal": "not in May"}, "Active"),  # it came back in spite of it
        ({"state": "Dismissed", "dismissal": "not in May"}, "Dismissed"),
        ({"state": "Implemented"}, "Implemented"),
    ],
)
def test_a_decision_counts_where_the_status_has_no_room_for_it(known: dict[str, str], state: str) -> None:
    found = {"recommendations": [{"id": "b.y", "action": "the sixth", **known}]}
    spec = {"dismissals": [{"recommendation": "b.y", "reason": "not  in May"}]}
    (item,) = recommendations.merged({"spec": spec}, found, NOW)
    assert item["state"] == state
    over = {"dismissals": [{**spec["dismissals"][0], "expirationTime": "2025-01-01T00:00:00Z"}]}
    (item,) = recommendations.merged({"spec": over}, found, NOW)
    assert item["state"] == known.get("state", "Active")


def test_what_the_operator_says_last_does_not_change_the_state_of_the_status() -> None:
    found = {"recommendations": [{**FOUND["recommendations"][0], "state": "Active"}]}
    assert recommendations.merged({"status": STATUS}, found, NOW)[0]["state"] == "Dismissed"


def test_evidence_confidence_and_the_figures_of_the_step_are_printed() -> None:
    seconds = {"count": 28, "mean": 60.0, "p50": 59.0, "p95": 70.0, "p99": 75.0, "min": 50.0, "max": 80.0}
    step = {"name": "x", "executions": 30, "dragSeconds": 61.0, "failedExecutions": 2, "durationSeconds": seconds}
    text = " ".join(describe({**FOUND["recommendations"][0], "step": "x"}, None, step).split())
    assert "Evidence: one; two" in text
    assert "Confidence: 80%" in text
    assert (
        "30 executions; mean 1m00s, p50 59s, p95 1m10s, p99 1m15s, min 50s, max 1m20s; critical-path time 1m01s; 2 failed"
        in text
    )


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (Forbidden("no"), "--role=cm-explain"),
        (NotFound('GET ...: services "cm" not found'), "there is no Service cm in namespace ops"),
        (NotFound("GET ...: no analysis of such a profile is kept"), "since it started"),
        (Busy("GET ...: no endpoints available"), "no endpoints available"),
    ],
)
def test_every_failure_says_what_to_do(error: Exception, wanted: str) -> None:
    assert wanted in operator_service.why(error, "ops", "cm")  # type: ignore[arg-type]


def test_the_place_comes_from_option_variable_or_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(details.VARIABLE, raising=False)
    assert details.place(None) == ("concertmaster", "concertmaster")
    monkeypatch.setenv(details.VARIABLE, "ops/cm")
    assert details.place(None) == ("ops", "cm")
    assert details.place("a/b") == ("a", "b")
    for wrong in ("cm", "a/", "/b", "a/b/c"):
        with pytest.raises(UserError, match="NAMESPACE/SERVICE"):
            details.place(wrong)


class Shards:
    """An API server's proxy before several shards: each knows its own namespaces and who has the others."""

    def __init__(self, answers: dict[str, dict[str, object]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def get(self, path: str, query: object = None) -> dict[str, object]:
        service = path.split("/services/")[1].split(":")[0]
        self.asked.append(service)
        return self.answers[service]


@pytest.mark.parametrize(
    ("answers", "asked", "wanted"),
    [
        ({"cm": {"recommendations": [1]}}, ["cm"], ({"recommendations": [1]}, "")),
        ({"cm": {"shard": "cm-1"}, "cm-1": {"recommendations": [1]}}, ["cm", "cm-1"], ({"recommendations": [1]}, "")),
        ({"cm": {"shard": "cm-1"}, "cm-1": {"shard": "cm-0"}}, ["cm", "cm-1"], ({}, operator_service.NOT_ANALYSED)),
    ],
)
def test_the_shard_that_has_the_namespace_is_asked(
    answers: dict[str, dict[str, object]], asked: list[str], wanted: tuple[dict[str, object], str]
) -> None:
    proxy = Shards(answers)
    profile = {"metadata": {"namespace": "demo", "name": "etl", "uid": "u"}}
    assert operator_service.OperatorService(proxy, "ops", "cm").document(profile) == wanted  # type: ignore[arg-type]
    assert proxy.asked == asked

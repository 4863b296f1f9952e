"""The most valuable recommendations of all workflows, in every form that is printed."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from concertmaster.cli import profiles
from concertmaster.cli.commands import top
from concertmaster.kube.objects import PROFILES
from tests.support.controller.fakes import MemoryClient


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> MemoryClient:
    made = MemoryClient()
    for namespace, name, impact in (("a", "small", "2 USD a month"), ("b", "large", "40 run-hours (30 to 50) a month")):
        item = {
            "action": f"Do something about {name}",
            "category": "Cost" if "USD" in impact else "Performance",
            "confidence": "90",
            "id": "right-size",
            "impact": impact,
            "severity": "Low",
            "state": "Active",
        }
        status = {"minor": 2, "recommendations": [item], "summary": {"target": f"CronJob/{name}"}}
        made.put(PROFILES, namespace, name, status=status)
    monkeypatch.setattr(profiles, "connect", lambda *_: made)
    return made


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(top.command, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_the_table_has_totals_above_and_the_command_for_details_beneath(client: MemoryClient) -> None:
    first, header, *rows, last = shown().splitlines()
    assert (
        first
        == "2 recommendations for 2 workflows: 40 run-hours, 0 failed runs, 2 USD a month; 4 minor items not listed"
    )
    assert header.split() == [
        "#",
        "NAMESPACE",
        "WORKFLOW",
        "CHANGE",
        "IMPACT",
        "PER",
        "MONTH",
        "CONFIDENCE",
        "EFFORT",
        "RISK",
        "ID",
    ]
    assert [row.split()[:3] for row in rows] == [["1", "b", "CronJob/large"], ["2", "a", "CronJob/small"]]
    assert "Do something about large" in rows[0]
    assert last == "Details: kubectl concertmaster explain large right-size -n b"


def test_the_scale_is_an_option(client: MemoryClient) -> None:
    assert shown("-o", "name").splitlines() == ["b/large/right-size", "a/small/right-size"]
    assert shown("-o", "name", "--run-hour", "0.01").splitlines() == ["a/small/right-size", "b/large/right-size"]
    assert shown("-o", "name", "-n", "a").splitlines() == ["a/small/right-size"]


def test_yaml_and_json_are_one_document(client: MemoryClient) -> None:
    document: dict[str, Any] = json.loads(shown("-o", "json"))
    assert yaml.safe_load(shown("-o", "yaml")) == document
    assert [e["workflow"] for e in document["top"]] == ["large", "small"]
    assert document["totals"]["minor"] == 4

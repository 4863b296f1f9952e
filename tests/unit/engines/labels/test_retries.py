"""Retries of label engines: the recommendation says what to write where the task is defined."""

from __future__ import annotations

import ast
import datetime
from dataclasses import replace

import pytest
import yaml

from concertmaster.engines.labels.definition import TRAITS
from concertmaster.engines.labels.presets import ALL
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Scenario

RETRIES = {p.name: p.retries for p in ALL if p.retries("a", 3) is not None}


def written(preset: str, step: str, limit: int) -> str:
    return RETRIES[preset](step, limit) or ""


def test_engines_without_a_documented_setting_have_no_snippet() -> None:
    assert {p.name for p in ALL} - set(RETRIES) == {"github-actions", "kubeflow-trainer", "kuberay", "volcano"}


@pytest.mark.parametrize("preset", sorted(RETRIES))
def test_the_recommendation_is_in_the_words_of_the_engine(preset: str) -> None:
    of = scenarios.SCENARIOS["retry-policy"]()
    plain = of.one("retry-policy")
    assert plain.snippet is None
    definition = replace(of.definition, engine=replace(of.definition.engine, retries=TRAITS[preset].retries))
    kind = type("Of", (Scenario,), {"definition": property(lambda _: definition)})
    (item,) = kind(of.manifest, of.runs).recommended("retry-policy")
    limit = int(plain.proposed.split()[0])
    pasted = item.snippet or ""
    assert pasted == TRAITS[preset].retries(plain.step or "", limit)
    assert str(limit + 1 if preset == "jenkins" else min(limit, 2) if preset == "gitlab" else limit) in pasted


def test_yaml_is_yaml_and_python_is_python() -> None:
    assert yaml.safe_load(written("gitlab", "build", 5)) == {"build": {"retry": {"max": 2}}}
    assert yaml.safe_load(written("spark", "driver", 3))["spec"]["restartPolicy"]["onFailureRetries"] == 3
    for preset in ("dagster", "prefect", "flyte"):
        ast.parse(written(preset, "a", 3) + "\ndef task(): ...")
    head, _, arguments = written("airflow", "a", 3).partition("# task a\n")
    given = eval(f"dict({arguments})", vars(datetime))
    assert ast.unparse(ast.parse(head)) == "from datetime import timedelta"
    assert given == {"retries": 3, "retry_delay": datetime.timedelta(seconds=30), "retry_exponential_backoff": True}
    ast.parse(f"task(){written('kubeflow-pipelines', 'a', 3).partition(chr(10))[2]}")
    assert "maxRetries = 3" in written("nextflow", "ALIGN", 3)
    assert "retry(count: 4, " in written("jenkins", "a", 3)

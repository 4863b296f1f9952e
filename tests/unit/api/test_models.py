"""The models: lenient reading, strictness on demand and faithful writing."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from concertmaster.api.kinds import KINDS
from concertmaster.api.models.base import API_VERSION, ApiModel, CustomResource, explain
from concertmaster.api.models.change import WorkflowChange
from concertmaster.api.models.common import LabelSelector
from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.api.models.profile_status import WorkflowProfileStatus
from concertmaster.api.models.recommendation_status import RecommendationStatus
from concertmaster.api.schema import structural
from concertmaster.core.model import Recommendation
from concertmaster.core.model.enums import NotifyEvent
from concertmaster.core.times import format_time, parse_time

OPERATOR = Path(__file__).resolve().parents[3] / "operator"
GOOD = Path(__file__).resolve().parents[2] / "cluster" / "good_resources.yaml"
MODELS: dict[str, type[CustomResource]] = {
    model.__name__: model for model in (WorkflowProfile, OptimizationPolicy, ClusterOptimizationPolicy, WorkflowChange)
}


# Models are built when they are first used: by threads of a process that has only just started.
AT_ONCE = """
import sys, threading, yaml
from concertmaster.api.models import change, policy, profile
sys.setswitchinterval(1e-6)
objects = list(yaml.safe_load_all(open(sys.argv[1])))
models = {m.__name__: m for m in (
    change.WorkflowChange, policy.ClusterOptimizationPolicy, policy.OptimizationPolicy, profile.WorkflowProfile)}
start, read = threading.Barrier(8), []
def work():
    start.wait()
    read.append([models[o["kind"]].model_validate(o).model_dump_json() for o in objects])
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(read), len(set(map(str, read))))
"""


def test_models_are_built_when_threads_first_use_them_at_once() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", AT_ONCE, str(GOOD)],
        env={"PYTHONPATH": str(OPERATOR)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.stdout.split() == ["8", "1"], ran.stderr


def good_resources() -> list[dict[str, Any]]:
    """The good objects, which a test of the cluster tier gives to the API server."""
    return list(yaml.safe_load_all(GOOD.read_text()))


def _given(model: ApiModel) -> dict[str, Any]:
    """What was given, with wire names."""
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


@pytest.mark.parametrize("document", good_resources(), ids=lambda d: f"{d['kind']}-{d['metadata']['name']}")
def test_good_objects_come_back_as_they_were_written(document: dict[str, Any]) -> None:
    parsed = MODELS[document["kind"]].parse(document, strict=True)
    assert _given(parsed) == document


def test_a_newer_object_does_not_stop_an_older_operator() -> None:
    document = {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "OptimizationPolicy",
        "metadata": {"name": "x", "managedFields": []},
        "spec": {"analysis": {"window": "1d", "horizon": "9d"}, "future": {"a": 1}},
    }
    assert OptimizationPolicy.parse(document).spec.analysis.window.seconds == 86400
    with pytest.raises(ValidationError):
        OptimizationPolicy.parse(document, strict=True)


def test_defaults_of_a_policy_that_says_nothing() -> None:
    spec = OptimizationPolicy.parse({"spec": {}}).spec
    assert (spec.analysis.min_runs, spec.analysis.max_runs, str(spec.analysis.window)) == (5, 200, "14d")
    assert (spec.apply.mode, spec.apply.max_risk, str(spec.apply.cooldown)) == ("Recommend", "Low", "24h")
    assert (str(spec.apply.bounds.cpu.min), str(spec.apply.bounds.cpu.max)) == ("50m", "8")
    assert (str(spec.apply.bounds.memory.min), str(spec.apply.bounds.memory.max)) == ("64Mi", "32Gi")
    assert (spec.apply.bounds.parallelism.min, spec.apply.bounds.parallelism.max) == (1, 64)
    assert (spec.metrics_source, spec.priority, spec.suspend) == ("default", 0, False)


def test_a_policy_that_names_no_events_has_those_of_the_version_that_reads_it() -> None:
    """The API server stores defaults: a list of all would lack later events, and an older operator could not read it."""
    (notify,) = OptimizationPolicy.parse({"spec": {"notify": [{"receiver": "team"}]}}).spec.notify
    assert notify.chosen == frozenset(NotifyEvent)
    (kind,) = [k for k in KINDS if k.model is OptimizationPolicy]
    field = structural(kind)["properties"]["spec"]["properties"]["notify"]["items"]["properties"]["events"]
    assert "default" not in field and "Default: all of them." in field["description"]


def test_problems_become_sentences_with_the_path() -> None:
    document = {"spec": {"analysis": {"window": "2 weeks"}, "apply": {"windows": [{"duration": "6h"}]}}}
    with pytest.raises(ValidationError) as caught:
        OptimizationPolicy.parse(document)
    sentences = explain(caught.value)
    assert sentences[0].startswith("spec.analysis.window: '2 weeks' is not a duration")
    assert sentences[1] == "spec.apply.windows[0].schedule: Field required"


@pytest.mark.parametrize("document", [None, [], "x", {}, {"spec": None}, {"spec": []}])
def test_what_is_no_object_is_refused_clearly(document: object) -> None:
    with pytest.raises(ValidationError) as caught:
        WorkflowProfile.parse(document)
    assert all(": " in sentence for sentence in explain(caught.value))


def test_recommendations_take_what_the_core_calls_its_fields() -> None:
    life = {"dismissal", "note", "promised", "sets", "since", "state", "track_record"}
    shared = set(RecommendationStatus.model_fields) - life
    assert shared <= set(Recommendation.__dataclass_fields__)


def test_a_status_says_nothing_it_was_not_reported() -> None:
    assert _given(WorkflowProfileStatus()) == {}
    assert _given(WorkflowProfileStatus(score=0)) == {"score": 0}


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        ({}, {}, True),
        ({"matchLabels": {}}, {"a": "b"}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "x"}, False),
        ({"matchLabels": {"a": ""}}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}, {"a": "c"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {"a": "b"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}, True),
        ({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}, {"a": "b"}, False),
    ],
)
def test_label_selectors_follow_kubernetes(selector: dict[str, Any], labels: dict[str, str], selected: bool) -> None:
    assert LabelSelector.model_validate(selector).matches(labels) is selected


@given(st.integers(0, 4_000_000_000))
def test_times_come_back(seconds: int) -> None:
    assert parse_time(format_time(seconds)) == seconds


def test_times_in_other_notations() -> None:
    assert format_time(parse_time("2027-01-31T01:00:00+01:00")) == "2027-01-31T00:00:00Z"
    assert parse_time("2027-01-31T00:00:00") == parse_time("2027-01-31T00:00:00Z")
    with pytest.raises(ValueError, match="'next spring' is not a time"):
        parse_time("next spring")


def leaves(model: type[ApiModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Every field of a model and of the models in it, with its path."""
    for name, field in model.model_fields.items():
        yield f"{model.__name__}.{name}", field
        for module, inner in re.findall(r"(concertmaster\.api\.models\.\w+)\.(\w+)", str(field.annotation)):
            found = getattr(importlib.import_module(module), inner, None)
            if isinstance(found, type) and issubclass(found, ApiModel):
                yield from leaves(found)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.__name__)
def test_examples_in_the_manual_are_valid_values(model: type[CustomResource]) -> None:
    checked = 0
    for path, field in leaves(model):
        example = (field.examples or [None])[0]
        if isinstance(example, str | int | bool):
            annotated: Any = Annotated[field.annotation, path, *field.metadata]
            adapter: TypeAdapter[object] = TypeAdapter(annotated)
            assert adapter.dump_python(adapter.validate_python(example), mode="json") == example, path
            checked += 1
    assert checked >= 20


def test_the_api_version_is_the_contract() -> None:
    assert API_VERSION == "concertmaster.dev/v1alpha1"

"""Every pod in exactly one place, whatever the order and however often it is reported."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.engines import assign, define_all, infer_definitions
from tests.support.engines.argo_oracle import Controller, leaf, pods, template

SPEC = {
    "entrypoint": "main",
    "templates": [
        {
            "name": "main",
            "dag": {"tasks": [{"name": "a", "template": "run"}, {"name": "b", "template": "run", "withItems": [1, 2]}]},
        },
        leaf("run", retryStrategy={"limit": 2}),
    ],
}
OBJECTS = [
    template("etl", SPEC),
    template("etl-two", SPEC),
    {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "etl", "namespace": "data"}, "spec": {}},
    {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile", "metadata": {"name": "p", "namespace": "data"},
     "spec": {"graph": {"podRunLabel": "run", "steps": [{"name": "s", "podSelector": {"matchLabels": {"app": "x"}}}]}}},
    {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile", "metadata": {"name": "q", "namespace": "data"},
     "spec": {"runSelector": {"kind": "Workflow", "namePrefix": "adhoc-"}}},
]  # fmt: skip
DEFINITIONS = define_all(OBJECTS)
REAL = [
    fact
    for run in ("etl-x7k2z", "etl-two-x7k2z", "other-x7k2z")
    for fact in pods(Controller(SPEC, run, failures=lambda n: len(n) % 2).execute(), run)
]
NAMES = st.sampled_from(["etl-x7k2z", "etl-29333333", "adhoc-1", "web", "etl-x7k2z-run-7", "", "etl-two-x7k2z"])
ODD = st.builds(
    PodFact,
    namespace=st.sampled_from(["data", "other"]),
    pod=NAMES,
    uid=st.integers(0, 30).map(str),
    owner_kind=st.sampled_from(["Workflow", "Job", "ReplicaSet", None]),
    owner_name=NAMES | st.none(),
    labels=st.dictionaries(st.sampled_from(["app", "run"]), st.sampled_from(["x", "r1", ""])),
    created=st.none() | st.floats(0, 1e6),
    finished=st.none() | st.floats(0, 1e6),
    phase=st.sampled_from(["Succeeded", "Failed", None]),
    vanished=st.booleans(),
    containers=st.lists(
        st.builds(ContainerFact, name=st.sampled_from(["main", "wait"]), cpu_seconds=st.none() | st.floats(0, 9)),
        max_size=2,
    ).map(tuple),
)


@given(st.lists(ODD, max_size=25), st.integers())
@settings(max_examples=80, deadline=None)
def test_assignment_is_a_function_of_the_set_of_facts(odd: list[PodFact], seed: int) -> None:
    facts = [*REAL, *odd]
    first = assign(facts, DEFINITIONS)
    shuffled = facts * 2
    random.Random(seed).shuffle(shuffled)
    assert assign(shuffled, DEFINITIONS[::-1]) == first
    places = Counter(e.uid for runs in first.executions.values() for rows in runs.values() for e in rows)
    assert set(places.values()) <= {1}
    rejected = sum(first.unassigned.values())
    assert first.pods + rejected == len({f.uid for f in facts})


@given(st.lists(ODD, max_size=25))
@settings(max_examples=60, deadline=None)
def test_inference_never_fails_and_its_definitions_take_every_pod_of_an_engine(odd: list[PodFact]) -> None:
    definitions = infer_definitions(odd)
    found = assign(odd, definitions)
    assert all(
        "which no engine" in r or "no owner" in r or "unknown" in r or "not named" in r or "helper" in r
        for r in found.unassigned
    )

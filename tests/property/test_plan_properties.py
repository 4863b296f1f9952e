"""Plans on random objects: there and back again, and never outside the fields that may be changed."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.changes.fields import Refused
from concertmaster.core.changes.operations import undoing, within
from concertmaster.core.changes.plan import plan
from concertmaster.core.model import Edit
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.policy import Bounds
from concertmaster.engines import PATCHABLE
from tests.support.core.change_samples import recommended

cpus = st.sampled_from(["100m", "250m", "0.5", "1", "1.5", "2", "3500m", 1, 2, 0.5])
memories = st.sampled_from(["64Mi", "1Gi", "1.5Gi", "512M", "1e9", 1073741824])
names = st.sampled_from(["a", "b/c", "d~e", "train", "load"])


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section in ("requests", "limits"):
        if draw(st.booleans()):
            row = {}
            if draw(st.booleans()):
                row["cpu"] = draw(cpus)
            if draw(st.booleans()):
                row["memory"] = draw(memories)
            found[section] = row
    return found


@st.composite
def templates(draw: st.DrawFn) -> dict[str, Any]:
    rows = []
    for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        kind = draw(st.sampled_from(["container", "script"]))
        body: dict[str, Any] = {"image": "x"}
        if draw(st.booleans()):
            body["resources"] = draw(resources())
        row: dict[str, Any] = {"name": name, kind: body}
        if draw(st.booleans()):
            row["sidecars"] = [{"name": "s", "image": "x", "resources": draw(resources())}]
        if draw(st.booleans()):
            row["parallelism"] = draw(st.integers(1, 9))
        rows.append(row)
    spec: dict[str, Any] = {"templates": rows}
    if draw(st.booleans()):
        spec["parallelism"] = draw(st.integers(1, 9))
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "etl", "namespace": "demo", "uid": "u", "resourceVersion": "1"},
        "spec": spec,
    }


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], list[Edit]]:
    raw = draw(templates())
    places = ["/spec/parallelism"]
    for i, row in enumerate(raw["spec"]["templates"]):
        kind = "container" if "container" in row else "script"
        base = f"/spec/templates/{i}"
        places += [f"{base}/parallelism", f"{base}/{kind}/resources/requests/cpu"]
        places += [f"{base}/{kind}/resources/requests/memory"]
        if "sidecars" in row:
            places += [f"{base}/sidecars/0/resources/requests/cpu"]
    edits = []
    for pointer in draw(st.lists(st.sampled_from(places), min_size=1, max_size=4, unique=True)):
        there, literal = jsonpatch.find(raw, pointer)
        current = None if not there else literal if isinstance(literal, str) else str(literal)
        if pointer.endswith("parallelism"):
            proposed = str(draw(st.integers(1, 20)))
        else:
            proposed = str(draw(cpus if pointer.endswith("cpu") else memories))
        edits.append(Edit(pointer, current, proposed))
    return raw, edits


BOUNDS = Bounds()


@settings(max_examples=300, deadline=None)
@given(cases(), st.booleans())
def test_there_and_back_again(case: tuple[dict[str, Any], list[Edit]], stepwise: bool) -> None:
    raw, edits = case
    before = copy.deepcopy(raw)
    try:
        found = plan(
            recommended(*edits), raw, PATCHABLE, profile="etl", namespace="demo", bounds=BOUNDS if stepwise else None
        )
    except Refused:
        assert stepwise or all(  # only because nothing would change
            quantity(e.current if not e.pointer.endswith("lelism") else int(e.current or 0)) == quantity(e.proposed)
            or str(e.current) == e.proposed
            for e in edits
        )
        return
    changed = jsonpatch.apply(raw, found.operations("1"))
    assert raw == before
    assert jsonpatch.apply(changed, found.inverse) == raw
    assert undoing(found.patch) == list(found.inverse)
    for kind, operations in (("patch", found.patch), ("inverse", found.inverse)):
        assert within(PATCHABLE["WorkflowTemplate"], operations) is None, kind
    for setting in found.settings:
        assert PATCHABLE["WorkflowTemplate"].resource(setting.pointer) == setting.resource
        assert jsonpatch.find(changed, setting.pointer) == (True, setting.new_literal)
        proposed = next(quantity(e.proposed) for e in edits if e.pointer == setting.pointer)
        if setting.old is not None and setting.resource != "parallelism" and proposed is not None:
            assert (setting.new - setting.old) * (proposed - setting.old) > 0  # never the other way
        if stepwise and setting.resource != "parallelism" and setting.old:
            assert abs(setting.new / setting.old - 1) <= 0.5 + 1e-3 or not 0.05 <= setting.old <= 2.0**36
    again = plan(
        recommended(*edits), raw, PATCHABLE, profile="etl", namespace="demo", bounds=BOUNDS if stepwise else None
    )
    assert again.digest == found.digest
    leaves = {p for p, _ in _leaves(changed, "")} ^ {p for p, _ in _leaves(raw, "")}
    assert all(PATCHABLE["WorkflowTemplate"].resource(p) for p in leaves if not p.endswith(("resources", "requests")))
    assert [p for p, v in _leaves(raw, "") if (p, v) not in _leaves(changed, "")] == [
        p
        for p, v in _leaves(raw, "")
        if p in {s.pointer for s in found.settings} or (v == {} and (p, v) not in _leaves(changed, ""))
    ]


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        return [x for k, v in value.items() for x in _leaves(v, f"{path}{jsonpatch.join([k])}")]
    if isinstance(value, list):
        return [x for i, v in enumerate(value) for x in _leaves(v, f"{path}/{i}")]
    return [(path, value)]

"""Upgrades take nothing away: stored resources stay valid, old history stays readable, and newer things do no harm."""

from __future__ import annotations

import copy
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.compatibility import crd_breaks
from concertmaster.api.models.policy import OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.history import HistoryError, Store
from concertmaster.history.schema import MIGRATIONS
from testbed.services.prometheus import PrometheusServer
from tests.support.chart.bed import CHART, ROOT, Bed, deployed, source
from tests.support.chart.place import FAST, REF, get, namespaces, with_recommendations
from tests.support.chart.release import newer_chart
from tests.support.cluster.operator_bed import (
    apply,
    condition,
    cronjob,
    history,
    policy,
    profile,
    runs_of_cronjob,
    wait_for,
)

RELEASES = Path(__file__).parent / "releases"
LAST = sorted(RELEASES.iterdir())[-1]
KINDS = sorted(p.name for p in LAST.glob("*.yaml"))


def load(path: Path) -> dict[str, Any]:
    """A CustomResourceDefinition."""
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@pytest.mark.parametrize("name", KINDS)
def test_what_the_last_release_accepted_is_accepted(name: str) -> None:
    """A break needs a new version of the kind; the copy under releases/ is replaced at a release only."""
    assert crd_breaks(load(LAST / name), load(ROOT / "crds" / name)) == []


def schema(crd: dict[str, Any], *path: str) -> dict[str, Any]:
    """The part of the schema at ``path``."""
    node: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in path:
        node = node["properties"][part]
    return node


def rename(crd: dict[str, Any]) -> None:
    crd["spec"]["names"]["shortNames"] = []


def remove(crd: dict[str, Any]) -> None:
    del schema(crd, "spec")["properties"]["suspend"]


def require(crd: dict[str, Any]) -> None:
    schema(crd, "spec")["required"] = ["priority"]


def narrow(crd: dict[str, Any]) -> None:
    schema(crd, "spec", "extraMetrics")["maxItems"] = 1


def tighten(crd: dict[str, Any]) -> None:
    schema(crd, "spec", "metricsSource")["pattern"] = "^a$"


def choose(crd: dict[str, Any]) -> None:
    enum = schema(crd, "spec", "apply", "mode")["enum"]
    enum.remove("Auto")


def rule(crd: dict[str, Any]) -> None:
    schema(crd, "spec").setdefault("x-kubernetes-validations", []).append({"rule": "self.priority < 5"})


def pair(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    """A change of the rule that pairs API versions with kinds."""

    def change(crd: dict[str, Any]) -> None:
        rules = schema(crd, "spec", "runSelector")["x-kubernetes-validations"]
        (found,) = [r for r in rules if old in r["rule"]]
        found["rule"] = found["rule"].replace(old, new)

    return change


def unserve(crd: dict[str, Any]) -> None:
    crd["spec"]["versions"][0]["served"] = False


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (rename, "opol is gone"),
        (remove, ".spec.suspend is gone"),
        (require, "priority is required now"),
        (narrow, "maxItems"),
        (tighten, "pattern"),
        (choose, "enum without Auto"),
        (rule, "new rule self.priority < 5"),
        (unserve, "no longer served"),
    ],
)
def test_a_break_is_named(change: Callable[[dict[str, Any]], None], word: str) -> None:
    old = load(ROOT / "crds" / "optimizationpolicies.concertmaster.dev.yaml")
    new = copy.deepcopy(old)
    change(new)
    (text,) = crd_breaks(old, new)
    assert word in text


def test_additions_are_no_breaks() -> None:
    old = load(ROOT / "crds" / "optimizationpolicies.concertmaster.dev.yaml")
    new = copy.deepcopy(old)
    schema(new, "spec")["properties"]["more"] = {"type": "string"}
    schema(new, "spec", "extraMetrics")["maxItems"] += 1
    schema(new, "spec", "apply", "mode")["enum"].append("Dream")
    new["spec"]["versions"].append({**copy.deepcopy(new["spec"]["versions"][0]), "name": "v1beta1", "storage": False})
    assert crd_breaks(old, new) == []


def document(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object as the API server hands it out."""
    meta = {"name": "a", "namespace": "b", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": "concertmaster.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(
    ("model", "spec"),
    [
        (WorkflowProfile, {"workflowRef": {**REF, "cluster": "far"}, "nextYear": {"a": [1]}}),
        (OptimizationPolicy, {"priority": 3, "nextYear": True, "analysis": {"window": "7d", "depth": 5}}),
    ],
)
def test_fields_of_a_newer_release_are_left_out(model: Any, spec: dict[str, Any]) -> None:
    """With the newer kinds installed and an older operator running; unknown fields neither fail nor stop anything."""
    known = model.parse(document(model.__name__, spec))
    assert known.metadata.name == "a"
    assert not hasattr(known.spec, "next_year")


def test_an_older_operator_works_beside_newer_kinds(
    bed: Bed, tmp_path: Path, make_prometheus: Callable[..., PrometheusServer]
) -> None:
    """Kinds of a later release are installed and used: a field more is left out, a value nobody here knows is reported."""
    with namespaces(bed, "newer") as (place,):
        end = time.time() - 30.0
        store = make_prometheus(history=history(*runs_of_cronjob(place, "etl", 30, end), end))
        values = {"namespaces": [place], "sources": [source(store.url)], "config": FAST}
        bed.helm("install", "cm", str(newer_chart(tmp_path)), "-n", place, "--take-ownership", values=values)
        modes = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/apply/properties/mode/enum"

        def patch(operation: str, **more: str) -> None:
            text = json.dumps([{"op": operation, "path": f"{modes}/3", **more}])
            bed.cluster.kubectl("patch", "crd", "optimizationpolicies.concertmaster.dev", "--type=json", "-p", text)

        patch("add", value="Dream")
        apply(bed.cluster, cronjob(place, "etl"))
        later = [
            policy(place, "later", apply={"mode": "Dream"}),
            profile(place, "future", workflowRef=REF, nextYear="soon"),
        ]
        wait_for("the newer kinds to be served", lambda: [
            bed.cluster.run_kubectl("apply", "-f", "-", input=json.dumps(o)).returncode for o in later
        ] == [0, 0])  # fmt: skip
        with deployed(bed, "cm", place, tmp_path) as op:
            wait_for("recommendations", lambda: with_recommendations(bed, place, "future"))
            ready = wait_for("the policy to report it", lambda: condition(get(bed, "opol", place, "later"), "Ready"))
            assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")
            assert "apply.mode" in ready["message"] and "not in force" in ready["message"]
            op.next_cycles(1)
            assert op.get("/healthz")[0] == 200
        assert get(bed, "wfp", place, "future")["spec"]["nextYear"] == "soon", "what it does not know it leaves alone"
        # The kinds are shared with other tests: Helm takes the field back, and leaves alone what it did not put there.
        bed.cluster.kubectl("delete", "opol", "later", "-n", place)
        patch("remove")
        bed.helm("upgrade", "cm", str(CHART), "-n", place, values=values)


def test_a_failed_migration_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "h.db"
    Store(str(path)).close()
    broken = MIGRATIONS | {max(MIGRATIONS) + 1: ("CREATE TABLE extra (a)", "INSERT INTO nowhere VALUES (1)")}
    monkeypatch.setattr("concertmaster.history.schema.MIGRATIONS", broken)
    with pytest.raises(HistoryError):
        Store(str(path))
    monkeypatch.undo()
    with sqlite3.connect(path) as now:
        names = {row[0] for row in now.execute("SELECT name FROM sqlite_master")}
    now.close()
    assert "extra" not in names
    Store(str(path)).close()


def test_a_file_of_an_older_schema_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "h.db"
    with Store(str(path)) as store:
        store.set_watermark("default", "data", 5.0)
    newer = max(MIGRATIONS) + 1
    monkeypatch.setattr("concertmaster.history.schema.MIGRATIONS", MIGRATIONS | {newer: ("CREATE TABLE extra (a)",)})
    with Store(str(path)) as store:
        assert (store.recovered, store.watermark("default", "data")) == (None, 5.0)
    with sqlite3.connect(path) as now:
        assert now.execute("SELECT max(version) FROM migrations").fetchone() == (newer,)
        assert now.execute("SELECT count(*) FROM extra").fetchone() == (0,)
    now.close()


@pytest.mark.parametrize(
    ("version", "words"),
    [(max(MIGRATIONS) + 1, "a newer version"), (min(MIGRATIONS) - 1, "an older version")],
    ids=["of a newer release", "from before the first one"],
)
def test_a_file_that_is_not_known_is_refused_with_the_way_out(tmp_path: Path, version: int, words: str) -> None:
    path = tmp_path / "h.db"
    Store(str(path)).close()
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM migrations")
        other.execute("INSERT INTO migrations VALUES (?, '2030-01-01')", (version,))
    other.close()
    with pytest.raises(HistoryError, match=words) as refusal:
        Store(str(path))
    assert "move the file away" in str(refusal.value)
    assert path.exists()


def test_a_kind_of_an_api_version_of_its_own_may_be_added_and_none_changed() -> None:
    crd = load(ROOT / "crds" / "workflowprofiles.concertmaster.dev.yaml")
    more, other = copy.deepcopy(crd), copy.deepcopy(crd)
    pair("self.kind == 'RayJob'", "self.apiVersion == 'ray.io/v1' ? self.kind == 'RayJob' : self.kind == 'Spark'")(more)
    pair("self.kind == 'Job' :", "self.kind == 'Jobs' :")(other)
    assert crd_breaks(crd, more) == []
    assert any("new rule" in text for text in crd_breaks(crd, other))


@pytest.mark.parametrize(
    ("rule", "breaks"),
    [
        ("has(self.a) || has(self.b) || (has(self.c) && has(self.d))", False),
        ("has(self.a) || has(self.b) && has(self.c)", True),
        ("has(self.a) || has(self.b) || has(self.c) ? true : false", True),
        ("has(self.a)", True),
    ],
)
def test_one_more_alternative_is_no_new_rule(rule: str, breaks: bool) -> None:
    def with_rule(text: str) -> dict[str, Any]:
        crd = copy.deepcopy(load(ROOT / "crds" / "optimizationpolicies.concertmaster.dev.yaml"))
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["spec"]["x-kubernetes-validations"] = [{"rule": text}]
        return crd

    found = crd_breaks(with_rule("has(self.a) || has(self.b)"), with_rule(rule))
    assert any("new rule" in text for text in found) is breaks


@pytest.mark.parametrize(
    ("rule", "breaks"),
    [
        ("!has(self.new) || has(self.kind)", False),
        ("has(self.new) || (has(self.kind) && has(self.name))", False),
        ("has(self.new) || (has(self.kind) && has(self.other))", True),
        ("!has(self.other) || has(self.kind)", True),
        ("has(self.new) || (self.name != 'a')", False),
        ("has(self.name) && self.name != 'a'", False),
        ("has(self.new) || (self.name != 'b')", True),
    ],
)
def test_rules_about_a_new_field_take_nothing_away(rule: str, breaks: bool) -> None:
    fields = {"kind": {"type": "string"}, "name": {"type": "string"}, "other": {"type": "string"}}

    def with_rule(text: str, **more: Any) -> dict[str, Any]:
        crd = copy.deepcopy(load(ROOT / "crds" / "optimizationpolicies.concertmaster.dev.yaml"))
        spec = {"type": "object", "required": ["kind", "name"], "properties": {**fields, **more}}
        spec["x-kubernetes-validations"] = [{"rule": text}]
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = spec
        return crd

    found = crd_breaks(with_rule("self.name != 'a'"), with_rule(rule, new={"type": "string"}))
    assert any("new rule" in text for text in found) is breaks

"""What a recorded file keeps of an object: enough for the engines, nothing that may be secret."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import yaml

from concertmaster.engines import define_all
from concertmaster.engines.common.redact import redacted

ROOT = Path(__file__).resolve().parents[4]


def test_secrets_in_every_usual_place_are_gone() -> None:
    container = {
        "name": "main",
        "image": "app:1",
        "env": [{"name": "DB_PASSWORD", "value": "canary-1"}],
        "args": ["--token=canary-2", "{{inputs.parameters.day}}"],
        "command": ["sh", "-c", "curl -u canary-3"],
        "resources": {"requests": {"cpu": "1"}},
    }
    raw = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {
            "name": "w",
            "namespace": "n",
            "annotations": {"a": "canary-4"},
            "managedFields": [{"x": "canary-5"}],
        },
        "spec": {
            "entrypoint": "main",
            "arguments": {"parameters": [{"name": "p", "value": "canary-6"}]},
            "templates": [
                {"name": "main", "container": container},
                {"name": "s", "script": {"image": "app:1", "source": "export KEY=canary-7"}},
            ],
            "volumes": [{"name": "v", "csi": {"x": "canary-8"}}],
        },
    }
    text = json.dumps(redacted(raw))
    assert "canary" not in text
    assert "{{inputs.parameters.day}}" in text
    assert '"cpu": "1"' in text


def test_the_engines_read_the_same_from_it() -> None:
    objects = [
        o
        for name in ("workflows", "profile")
        for o in yaml.safe_load_all((ROOT / f"examples/demo/{name}.yaml").read_text())
    ]
    plain = define_all(objects)
    kept = define_all([redacted(o) for o in objects])
    assert len(plain) == 3
    assert [replace(d, fingerprint=None) for d in kept] == [replace(d, fingerprint=None) for d in plain]


def test_the_workflow_of_a_profile_by_labels_is_kept() -> None:
    """Without the value of its label a recorded profile could not be read."""
    labels = {"preset": "airflow", "value": "nightly_etl", "steps": [{"name": "load", "dependsOn": ["extract"]}]}
    raw = {"kind": "WorkflowProfile", "metadata": {"name": "w", "namespace": "n"}, "spec": {"podLabels": labels}}
    assert redacted(raw) == raw
    container = {"podLabels": {"value": ["canary-1"]}, "env": [{"name": "podLabels", "value": "canary-2"}]}
    assert "canary" not in json.dumps(redacted(container))


def test_volumes_that_steps_share_are_known_and_nothing_else_of_them() -> None:
    def mounting(name: str, volume: str) -> dict[str, object]:
        mounts = [{"name": volume, "mountPath": "/canary-1", "subPath": "canary-2"}]
        claim = {"name": volume, "persistentVolumeClaim": {"claimName": "day"}}
        private = {"name": "s", "csi": {"volumeAttributes": {"password": "canary-3"}}}
        return {"name": name, "container": {"image": "i", "volumeMounts": mounts}, "volumes": [claim, private]}

    tasks = [{"name": "a", "template": "x"}, {"name": "b", "template": "y", "dependencies": ["a"]}]
    raw = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "w", "namespace": "n"},
        "spec": {
            "entrypoint": "main",
            "templates": [{"name": "main", "dag": {"tasks": tasks}}, mounting("x", "in"), mounting("y", "out")],
        },
    }
    kept = redacted(raw)
    assert "canary" not in json.dumps(kept)
    for objects in ([raw], [kept]):
        (definition,) = define_all(objects)
        assert [s.ordering_only for s in definition.graph.steps] == [(), ()]
    assert redacted({"volumes": "canary", "volumeMounts": [7, {"name": ["canary"]}]}) == {
        "volumes": [],
        "volumeMounts": [{}],
    }

"""Names read backwards: hashes, pod names, generated and scheduled run names, label names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.engines.common.names import (
    argo_pod_name,
    belongs_to,
    fnv32a,
    fnv32a_before,
    generated_base,
    pod_label,
    scheduled_base,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0x811C9DC5),  # the published offset basis and test vectors of FNV-1a
        ("a", 0xE40C292C),
        ("foobar", 0xBF9CF968),
        ("etl-1.b(2:3)", 1473801270),  # read off a pod of a real controller
    ],
)
def test_fnv_vectors(text: str, expected: int) -> None:
    assert fnv32a(text) == expected


@given(st.text(), st.text())
def test_a_hash_can_be_continued_and_taken_back(head: str, tail: str) -> None:
    whole = fnv32a(head + tail)
    assert fnv32a(tail, fnv32a(head)) == whole
    assert fnv32a_before(whole, tail) == fnv32a(head)


def test_pod_name_of_the_second_naming_version() -> None:
    found = argo_pod_name("etl-1", "etl-1-my-template-1473801270")
    assert found is not None
    assert (found.template, found.hash, found.root) == ("my-template", 1473801270, False)
    assert found.may_be("my-template")
    assert not found.may_be("template")


def test_pod_name_of_the_first_naming_version_tells_no_template() -> None:
    found = argo_pod_name("etl-1", "etl-1-1473801270")
    assert found is not None
    assert (found.template, found.hash) == (None, 1473801270)
    assert found.may_be("anything")


def test_pod_of_the_root_node_carries_the_name_of_the_run() -> None:
    found = argo_pod_name("one-abcde", "one-abcde")
    assert found is not None
    assert found.root


def test_a_truncated_pod_name_matches_templates_by_their_beginning() -> None:
    run, template = "r" * 100, "t" * 200
    name = f"{(run + '-' + template)[:242]}-{fnv32a('x')}"
    found = argo_pod_name(run, name)
    assert found is not None
    assert found.cut
    assert found.may_be(template)
    assert not found.may_be("other")


@pytest.mark.parametrize("pod", ["other-1-t-123", "etl-1-t-99999999999", "etl-1-t", "etl-12-t-5", "", "-", "etl-1-"])
def test_foreign_pod_names(pod: str) -> None:
    assert argo_pod_name("etl-1", pod) is None


@given(st.text(max_size=60), st.text(max_size=300))
def test_any_text_as_pod_name(run: str, pod: str) -> None:
    found = argo_pod_name(run, pod)
    assert found is None or found.root or found.hash is not None


def test_generated_and_scheduled_names() -> None:
    assert generated_base("etl-x7k2z") == "etl"
    assert generated_base("etl-abcde") is None  # generateName has no vowels
    assert generated_base("-bcdfg") is None
    assert scheduled_base("nightly-1760000000") == "nightly"  # CronWorkflow: seconds
    assert scheduled_base("backup-29333333") == "backup"  # CronJob: minutes
    assert scheduled_base("etl-2024") is None


def test_the_longest_prefix_wins_and_must_end_at_a_hyphen() -> None:
    assert belongs_to("etl-daily-x7k2z", ("etl", "etl-daily")) == "etl-daily"
    assert belongs_to("etlx-x7k2z", ("etl",)) is None
    assert belongs_to("adhoc-1", ("adhoc-",)) == "adhoc-"
    assert belongs_to("etl", ("etl",)) == "etl"


@pytest.mark.parametrize(
    ("key", "exported"),
    [
        ("workflows.argoproj.io/workflow", "workflows_argoproj_io_workflow"),
        ("tekton.dev/pipelineRun", "tekton_dev_pipeline_run"),
        ("batch.kubernetes.io/job-completion-index", "batch_kubernetes_io_job_completion_index"),
        ("app", "app"),
    ],
)
def test_label_names_as_kube_state_metrics_writes_them(key: str, exported: str) -> None:
    assert pod_label(key) == exported

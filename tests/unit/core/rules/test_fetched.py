"""Runs whose definition a resolver fetches: a patch of the object of its name in the cluster would not reach them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import Recommendation, Source
from concertmaster.core.model.policy import Policy
from concertmaster.core.rules import Evidence, recommend
from concertmaster.core.rules.fetched import fetched_by
from tests.support.builders import MI, NOW, container, run_record
from tests.support.core.scenario_builder import Manifest, Pod, define, history, pipeline, shared_task

GIT = "resolver git"
DECLARED = {"requests": {"cpu": "1", "memory": "8Gi"}}


def sized(fetched: str | None, manifest: Manifest, *others: Manifest) -> Recommendation:
    """The right-sizing of a Pipeline of one step that uses a tenth of its memory, all of whose runs were read live."""
    definition = define(manifest, *others)
    used = container(
        name="step-main",
        cpu_seconds=540.0,
        cpu_sampled_seconds=600.0,
        memory_sampled_peak=600 * MI,
        memory_request=8192 * MI,
    )
    runs = history(definition, 24, lambda _: {"work": Pod(600.0, containers=(used,))})
    live = [replace(run, source=Source.LIVE, fetched=fetched) for run in runs]
    found = recommend(Evidence(analyze(definition, live, now=NOW, policy=Policy()), "wfp"))
    (one,) = (r for r in found if r.rule == "right-size")
    return one


def test_a_pipeline_that_its_runs_do_not_use_is_not_patched() -> None:
    here, fetched = sized(None, pipeline(DECLARED)), sized(GIT, pipeline(DECLARED))
    assert here.edits and here.how.startswith("kubectl -n demo patch pipeline report")
    assert (fetched.edits, fetched.kustomize) == ((), None)
    assert fetched.how.startswith("kubectl concertmaster explain")
    why = (
        "runs fetch their definition by resolver git: change it at its source, as Pipeline report of the cluster is not"
    )
    assert why in fetched.expected
    assert [i.new for i in fetched.items] == [i.new for i in here.items]


def test_a_task_of_the_cluster_is_patched_whoever_refers_to_it() -> None:
    found = sized(GIT, *shared_task("job", DECLARED))
    assert found.edits and found.how.startswith("kubectl -n demo patch task job")


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ([], None),
        ([None] * 30 + [GIT] * 15, GIT),  # moved to Git lately
        ([GIT] * 30 + [None] * 15, None),  # and back
        ([None, GIT], None),
    ],
)
def test_the_newest_runs_decide(origins: Sequence[str | None], expected: str | None) -> None:
    assert fetched_by([run_record(source=Source.LIVE, fetched=by) for by in origins]) == expected


def test_runs_of_unknown_origin_do_not_count() -> None:
    """Pods carry the name of the pipeline, and nothing of where it came from."""
    assert fetched_by([run_record(fetched=GIT), *[run_record(source=Source.HISTORY)] * 30]) == GIT

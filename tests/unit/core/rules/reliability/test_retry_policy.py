"""``retry-policy``: enough retries for failures that pass, none for those that do not, memory before retries."""

from __future__ import annotations

import json
import random

import pytest

from concertmaster.core.model import Level
from tests.support.builders import MI, container
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Work, argo, cron_job, scenario, task


def test_failures_that_pass_get_the_smallest_limit_that_reaches_the_objective() -> None:
    item = scenarios.retry_policy().one("retry-policy")
    assert item.id == "retry-policy.fetch"
    assert item.action == "Set retries of fetch: 1, with backoff"
    assert "6 of its 42 executions failed permanently in 42 runs (14d): 6 Eviction" in item.because
    assert item.risk is Level.MEDIUM  # no retry was ever seen
    strategy = json.loads(item.edits[0].proposed or "")
    assert strategy["limit"] == "1"
    assert strategy["retryPolicy"] == "Always"  # OnFailure does not retry an evicted pod
    assert strategy["backoff"]["duration"] == "30s"
    # 6.5 of 43 fail at first; one independent retry leaves 15.1% * 14.3% = 2.2%, within the 5% asked for
    assert "97.8% of the runs instead of 85.7%" in item.expected
    strict = scenarios.retry_policy().one("retry-policy", targetPercent="99")
    assert strict.proposed == "2 retries"  # leaves 0.3%


def test_an_existing_limit_is_raised_in_the_type_it_was_written_in() -> None:
    chance = random.Random(4)
    of = argo(task("fetch"), templates={"fetch": {"retryStrategy": {"limit": 1}}})

    def work(_: int) -> Work:
        tries = [chance.random() < 0.4 for _ in range(2)]
        if all(tries):
            return {"fetch": Pod(60, failures=((20, "Error"),), fails="Error")}
        return {"fetch": Pod(60, failures=((20, "Error"),) if tries[0] else ())}

    item = scenario(of, 42, work).one("retry-policy")
    (edit,) = item.edits
    assert edit.pointer == "/spec/templates/1/retryStrategy/limit"
    assert (edit.current, edit.proposed) == ("1", item.proposed.split()[0])
    assert item.risk is Level.LOW  # retries were seen to help
    assert int(edit.proposed or "") > 1


def test_retries_that_never_help_are_taken_away() -> None:
    of = argo(task("load"), templates={"load": {"retryStrategy": {"limit": "5"}}})

    def work(i: int) -> Work:
        return {"load": Pod(100, failures=((100, "Error"),) * 5, fails="Error") if i % 4 == 0 else Pod(100)}

    item = scenario(of, 42, work).one("retry-policy")
    assert "0 of 55 retries helped" in item.because
    assert item.proposed == "1 retry"
    assert item.edits[0].proposed == '"1"'
    # 4 attempts of 100 s too many in each of the 11 failing executions
    assert "6m40s less pod time for each failing execution" in item.expected


def test_a_jobs_default_of_six_retries_counts() -> None:
    def work(i: int) -> Work:
        return {"job": Pod(100, failures=((100, "Error"),) * 6, fails="Error") if i % 4 == 0 else Pod(100)}

    item = scenario(cron_job(), 42, work).one("retry-policy")
    assert item.action == "Reduce retries of report: 6 -> 1; fix the cause"
    assert item.edits[0].pointer == "/spec/jobTemplate/spec/backoffLimit"
    assert item.edits[0].current is None  # not written in the object: the default holds


def test_out_of_memory_is_no_reason_to_retry() -> None:
    limits = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    of = argo(task("load"), templates={"load": {"container": {"image": "etl:1", "resources": limits}}})
    full = (
        container(memory_sampled_peak=1020 * MI, memory_limit=1024 * MI, cpu_seconds=None, cpu_sampled_seconds=None),
    )
    killed = scenario(of, 42, lambda i: {"load": Pod(60, fails="OOMKilled") if i % 5 == 0 else Pod(60)})
    assert killed.recommended("retry-policy") == []
    both = scenario(
        of,
        42,
        lambda i: {
            "load": Pod(60, fails="OOMKilled" if i % 5 == 0 else "Evicted" if i % 5 == 1 else None, containers=full)
        },
    )
    item = both.one("retry-policy")
    assert "9 executions that ran out of memory were left out" in " ".join(item.evidence)
    assert "OutOfMemory" not in item.because
    ranked = [r.id for r in both.recommended()]
    assert ranked.index("memory-request.load") < ranked.index("retry-policy.load")


@pytest.mark.parametrize("fails", [0, 1])
def test_silence_without_failures_or_with_a_single_one(fails: int) -> None:
    of = argo(task("load"))
    assert (
        scenario(of, 42, lambda i: {"load": Pod(60, fails="Error" if i < fails else None)}).recommended("retry-policy")
        == []
    )


def test_silence_where_the_limit_already_suffices() -> None:
    of = argo(task("load"), templates={"load": {"retryStrategy": {"limit": "3"}}})
    work = scenario(of, 42, lambda i: {"load": Pod(60, failures=((10, "Evicted"),) if i % 4 == 0 else ())})
    assert work.recommended("retry-policy") == []


def test_a_limit_that_is_not_known_is_read_from_what_was_tried() -> None:
    of = argo(task("load"), templates={"load": {"retryStrategy": {"limit": "{{workflow.parameters.tries}}"}}})

    def work(i: int) -> Work:
        return {
            "load": Pod(60, failures=((10, "Error"),) if i % 5 == 0 else (), fails="Error" if i % 10 == 0 else None)
        }

    item = scenario(of, 42, work).one("retry-policy")
    assert item.current == "1 retry"
    assert int(item.proposed.split()[0]) > 1

"""``retry-policy``: enough retries for failures that pass, none for those that do not, memory before retries."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core import text
from concertmaster.core.model import Interval, Level, Outcome, Recommendation
from concertmaster.core.model.policy import AnalysisSettings, Materiality
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.reliability.retry.attempts import collect
from concertmaster.core.rules.reliability.retry_policy import evaluate
from concertmaster.engines.labels.definition import TRAITS
from tests.support.builders import DAY, MI, container
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Scenario, Work, argo, cron_job, pipeline, scenario, task


def test_failures_that_pass_get_the_smallest_limit_that_leaves_no_material_number() -> None:
    item = scenarios.retry_policy().one("retry-policy")
    assert item.id == "retry-policy.fetch"
    assert item.action == "Set retries of fetch: 2, with backoff"
    assert "6 of its 42 executions failed permanently in 42 runs (14d): 6 Eviction" in item.because
    assert item.risk is Level.MEDIUM  # no retry was ever seen
    strategy = json.loads(item.edits[0].proposed or "")
    assert strategy["limit"] == "2"
    assert strategy["retryPolicy"] == "Always"  # OnFailure does not retry an evicted pod
    assert strategy["backoff"]["duration"] == "30s"
    # 6.5 of 43 fail at first; one independent retry leaves 15.1% * 14.3% = 2.2%, two of 90 runs a month; a second one 0.3%
    assert "99.7% of the runs instead of 85.7%" in item.expected
    assert "for failed runs to be immaterial (at most 1 a month)" in item.evidence[1]
    lenient = scenarios.retry_policy().one("retry-policy", targetPercent="95")
    assert lenient.proposed == "1 retry"  # a share that is asked for is the only one that counts
    assert "for 95% of runs to succeed" in lenient.evidence[1]


def _hourly(fails: Callable[[int], bool], **more: Any) -> Scenario:
    """Two hundred hourly runs of one step without retries."""
    return scenario(argo(task("load")), 200, lambda i: {"load": Pod(60, fails="Error" if fails(i) else None)}, **more)


@pytest.mark.parametrize(("last", "found"), [({}, 1), ({"continueOn": {"failed": True}}, 0)])
def test_a_step_that_may_fail_without_the_run_is_no_reason_to_retry(last: dict[str, Any], found: int) -> None:
    """A retry would not let any more runs succeed."""
    of = argo(task("load"), task("report", "load", **last))
    made = scenario(of, 42, lambda i: {"load": 60.0, "report": Pod(10, fails="Error" if i % 5 == 2 else None)})
    runs = [replace(run, outcome=Outcome.SUCCEEDED) for run in made.runs] if last else made.runs
    assert len(replace(made, runs=tuple(runs)).recommended("retry-policy")) == found


@pytest.mark.parametrize(("reason", "found"), [("TaskRunTimeout", 1), ("PipelineRunTimeout", 0)])
def test_a_retry_has_no_time_left_where_the_time_limit_of_the_run_ended_it(reason: str, found: int) -> None:
    of = pipeline({"requests": {"cpu": "1", "memory": "1Gi"}})
    made = scenario(of, 42, lambda i: {"work": Pod(60, fails=reason if i % 5 == 2 else None)})
    assert len(made.recommended("retry-policy")) == found


def test_a_met_objective_does_not_silence_a_material_number_of_failed_runs() -> None:
    """One of 22 hourly runs fails: 95.5% succeed, as the default objective asks, and 33 runs a month fail."""
    item = _hourly(lambda i: i % 22 == 5, every=DAY / 24).one("retry-policy")
    assert item.proposed == "2 retries"
    avoided = item.failures_avoided
    assert avoided is not None
    assert avoided.low <= 9 / 200 <= avoided.high


@pytest.mark.parametrize(
    ("fails", "more"),
    [
        pytest.param(lambda i: i == 40, {}, id="a single one"),
        pytest.param(lambda i: 100 <= i < 109, {}, id="one outage of nine hours"),
        pytest.param(
            lambda i: i in (40, 90),
            {"options": AnalysisSettings(materiality=Materiality(failed_runs=3))},
            id="two, as any workflow with three failed runs a month has",
        ),
        pytest.param(
            lambda i: i % 22 == 5,
            {"options": AnalysisSettings(materiality=Materiality(failed_runs=50))},
            id="not material by policy",
        ),
        pytest.param(lambda i: i % 22 == 5, {"every": 14 * DAY}, id="less than one a month"),
    ],
)
def test_silence_where_the_objective_is_met_and_few_runs_fail(fails: Callable[[int], bool], more: Any) -> None:
    assert _hourly(fails, **{"every": DAY / 24, **more}).recommended("retry-policy") == []


@pytest.mark.parametrize("preset", ["github-actions", "gitlab", "jenkins"])
@pytest.mark.parametrize(("reason", "recommended"), [("Error", 0), ("Evicted", 1)])
def test_a_test_that_fails_is_the_result_of_its_run(preset: str, reason: str, recommended: int) -> None:
    """A change that breaks the build breaks it again; a runner that is lost is another matter."""
    made = scenario(
        argo(task("load")), 200, lambda i: {"load": Pod(60, fails=reason if i % 22 == 5 else None)}, every=DAY / 24
    )
    evidence = Evidence(made.analysis(), "wfp")
    assert len(list(evaluate(evidence))) == 1
    runner = replace(evidence.analysis.definition, engine=TRAITS[preset])
    found = list(evaluate(replace(evidence, analysis=replace(evidence.analysis, definition=runner))))
    assert len(found) == recommended


@pytest.mark.parametrize("preset", [None, "github-actions"])
def test_only_what_passes_by_itself_is_promised_to_pass(preset: str | None) -> None:
    """In 12% of the runs a runner is lost, and 8% of the changes break the build."""
    chance = random.Random(3)
    reason = ["Evicted" if x < 0.12 else "Error" if x < 0.2 else None for x in (chance.random() for _ in range(200))]
    made = scenario(argo(task("load")), 200, lambda i: {"load": Pod(60, fails=reason[i])}, every=DAY / 24)
    evidence = Evidence(made.analysis(), "wfp")
    if preset is not None:
        runner = replace(evidence.analysis.definition, engine=TRAITS[preset])
        evidence = replace(evidence, analysis=replace(evidence.analysis, definition=runner))
    (item,) = evaluate(evidence)
    lost, every = reason.count("Evicted") / 200, 1.0 - reason.count(None) / 200
    assert item.failures_avoided is not None
    assert 0 < item.failures_avoided.low < lost < item.failures_avoided.high
    assert not item.upper_bound
    if preset is None:  # the others may pass
        assert lost < item.failures_avoided.likely < every < item.failures_avoided.high
        assert " if half of the failures other than Eviction are transient, and in " in item.expected
    else:
        assert item.failures_avoided.likely == pytest.approx(lost, rel=0.02)
        assert "at most" not in item.expected
        assert "failures of the program are results of the tests and not counted" in item.evidence


@pytest.mark.parametrize("seed", range(4))
def test_items_that_fail_together_in_some_runs_are_no_case_against_retries_of_evictions(seed: int) -> None:
    """In 16% of the runs a node is lost and ends the run, in 4% all items fail."""
    chance = random.Random(seed)
    first = [(x < 0.2) and ("Error" if x < 0.04 else "Evicted") for x in (chance.random() for _ in range(200))]

    def work(i: int) -> Work:
        return {
            "train": [Pod(61, fails="Error" if first[i] else None) for _ in range(3)]
            + [Pod(60, fails=first[i] or None)]
        }

    item = scenario(argo(task("train")), 200, work, every=DAY / 24).one("retry-policy")
    assert item.failures_avoided is not None
    assert item.failures_avoided.low < first.count("Evicted") / 200 < item.failures_avoided.high


def test_items_that_fail_together_fail_no_more_runs_than_were_seen() -> None:
    """A node that is lost takes four pods with it, in 7 of 42 runs: not half of the runs fail, as of pods alone."""

    def work(i: int) -> Work:
        return {"train": [Pod(60, fails="Evicted" if i % 6 == 3 else None) for _ in range(4)]}

    item = scenario(argo(task("train", withItems=list("abcd"))), 42, work).one("retry-policy")
    assert "28 of its 168 executions failed permanently" in item.because
    assert item.expected.endswith("of the runs instead of 83.3%")
    assert item.otherwise.startswith("about 17% of the runs keep failing at train")


def test_failures_that_have_ended_need_no_retries() -> None:
    """Two of seven of a hundred runs, and none of the newest hundred: with retries as many would fail as without."""
    assert _hourly(lambda i: i % 7 in (0, 3), every=DAY / 24).recommended("retry-policy")
    assert _hourly(lambda i: i < 100 and i % 7 in (0, 3), every=DAY / 24).recommended("retry-policy") == []


def test_silence_where_retries_do_not_help_and_the_objective_is_met() -> None:
    of = argo(task("load"), templates={"load": {"retryStrategy": {"limit": "1"}}})
    bad = Pod(60, failures=((60, "Error"),), fails="Error")
    assert (
        scenario(of, 200, lambda i: {"load": bad if i % 22 == 5 else 60.0}, every=DAY / 24).recommended("retry-policy")
        == []
    )


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


def _unlucky(tries: int, share: float = 0.4, reason: str = "Error") -> Callable[[int], Work]:
    """Attempts of ``load`` that each fail by chance, at most so many."""
    chance = random.Random(4)

    def work(_: int) -> Work:
        failed = 0
        while failed < tries and chance.random() < share:
            failed += 1
        last = failed == tries
        return {"load": Pod(60, failures=((20, reason),) * (failed - last), fails=reason if last else None)}

    return work


def _mixed(limit: int, *, transient: int = 8, lasting: int = 6) -> Callable[[int], Work]:
    """Of 200 runs so many fail at first and succeed when retried, and so many fail whatever is retried."""
    first = 200 // (transient + lasting)

    def work(i: int) -> Work:
        at, rest = divmod(i, first)
        if rest or at >= transient + lasting:
            return {"load": 60.0}
        if at * lasting % (transient + lasting) < lasting:
            return {"load": Pod(60, failures=((20, "Error"),) * limit, fails="Error")}
        return {"load": Pod(60, failures=((20, "Error"),))}

    return work


@pytest.mark.parametrize(
    ("limit", "rule", "text"),
    [
        (1, "retry-policy", "8 of 14 retries helped"),
        (2, "failing-step", "8 of 20 retries helped, 0 of 6 after a failed one"),
        (5, "failing-step", "8 of 38 retries helped, 0 of 24 after a failed one"),
    ],
)
def test_what_fails_after_its_retries_is_not_taken_for_what_they_helped(limit: int, rule: str, text: str) -> None:
    """Half of the failures are transient. What one retry left may be so, which is an upper bound; what two left is not."""
    of = argo(task("load"), templates={"load": {"retryStrategy": {"limit": limit}}})
    made = scenario(of, 200, _mixed(limit), every=DAY / 24)
    (item,) = [r for r in made.recommended() if r.rule in ("retry-policy", "failing-step")]
    assert item.rule == rule
    assert text in item.because
    avoided = item.failures_avoided
    assert avoided is not None
    if rule == "retry-policy":
        assert item.upper_bound
        assert (avoided.low, avoided.high) == (0.0, pytest.approx(0.05, abs=0.02))
        assert "if half of these failures are transient" in item.expected
    else:
        assert avoided.likely == pytest.approx(6 / 200)


@pytest.mark.parametrize(("transient", "lasting", "found"), [(3, 12, True), (12, 6, False)])
def test_what_retries_seldom_help_is_reported_as_failures(transient: int, lasting: int, found: bool) -> None:
    of = argo(task("load"), templates={"load": {"retryStrategy": {"limit": 1}}})
    made = scenario(of, 200, _mixed(1, transient=transient, lasting=lasting), every=DAY / 24)
    assert bool(made.recommended("failing-step")) is found


def test_failures_of_which_a_higher_limit_leaves_few_enough_are_reported_once() -> None:
    """Also where retries help seldom: of one run in ten, most still fail at first."""
    of = argo(task("load"), templates={"load": {"retryStrategy": {"limit": 1}}})
    made = scenario(of, 200, _mixed(1, transient=7, lasting=12), every=DAY / 24)
    assert [r.rule for r in made.recommended() if r.failures_avoided is not None] == ["retry-policy"]
    assert made.one("failing-step").id == "failing-step.load", "the other rule is disabled here"


def test_one_outage_is_no_case_for_retries() -> None:
    """Twelve runs in a row, over since; the same failures apart are one."""
    assert _hourly(lambda i: 142 <= i < 154, every=DAY / 48).recommended("retry-policy") == []
    assert len(_hourly(lambda i: i % 16 == 5, every=DAY / 48).recommended("retry-policy")) == 1


def test_retries_of_a_template_around_the_step_count() -> None:
    def with_retries(limit: int | str | None, tries: int) -> list[Recommendation]:
        strategy = {} if limit is None else {"limit": limit}
        of = argo(task("load"), templates={"main": {"retryStrategy": strategy}})
        return scenario(of, 42, _unlucky(tries)).recommended("retry-policy")

    (item,) = with_retries(1, 2)
    assert item.current == "0 retries, and 1 of the template around it"
    assert item.proposed == "2 retries"  # three attempts, each in either round
    assert with_retries(5, 3) == []
    assert with_retries(None, 3) == []  # no limit
    assert with_retries("{{workflow.parameters.tries}}", 3) == []


def test_a_repetition_of_what_had_succeeded_is_no_retry_that_helped() -> None:
    """The template around a step is retried for the failure of another."""
    of = argo(task("load"), templates={"main": {"retryStrategy": {"limit": 9}}})
    retried = scenario(of, 10, lambda _: {"load": Pod(60, failures=((20, "Error"),))}).runs
    repeated = [
        replace(run, steps=tuple(replace(e, outcome=Outcome.SUCCEEDED) for e in run.steps)) for run in retried[:8]
    ]
    own = collect((*repeated, *retried[8:]), {"load"})["load"]
    assert (own.retries, own.helped, own.unseen_retries) == (2, 2, 0)
    assert sorted(chain.attempts for chain in own.chains) == [(False, True)] * 2 + [(True,)] * 16
    assert own.failed == [False] * 10


def test_a_strategy_of_the_workflow_is_taken_over_by_the_template() -> None:
    own = {"limit": 1, "retryPolicy": "Always", "backoff": {"duration": "1m"}}
    item = scenario(argo(task("load"), retryStrategy=own), 42, _unlucky(2)).one("retry-policy")
    (edit,) = item.edits
    limit = int(item.proposed.split()[0])
    assert (edit.pointer, edit.current) == ("/spec/templates/1/retryStrategy", None)
    assert json.loads(edit.proposed or "") == {**own, "limit": limit}
    of = argo(task("load"), templateDefaults={"retryStrategy": own})
    assert json.loads(scenario(of, 42, _unlucky(2)).one("retry-policy").edits[0].proposed or "") == {"limit": limit}


def test_lost_pods_are_retried_by_no_strategy_for_failures_alone() -> None:
    for strategy, changed in (({"limit": "1"}, True), ({"limit": "1", "retryPolicy": "Always"}, False)):
        of = argo(task("load"), templates={"load": {"retryStrategy": strategy}})
        limit, *policy = scenario(of, 42, _unlucky(2, reason="Evicted")).one("retry-policy").edits
        assert limit.pointer.endswith("/retryStrategy/limit")
        assert [(p.pointer[-12:], p.current, p.proposed) for p in policy] == (
            [("/retryPolicy", None, '"Always"')] * changed
        )


@pytest.mark.parametrize(
    ("strategy", "reason", "policy"),
    [
        ({"limit": "3"}, "NodeLost", [(None, '"Always"')]),
        ({"limit": "3", "retryPolicy": "OnFailure"}, "NodeLost", [('"OnFailure"', '"Always"')]),
        ({"limit": "3", "retryPolicy": "Always"}, "NodeLost", []),
        ({"limit": "3"}, "Error", []),
    ],
    ids=["default policy", "failures alone", "all", "no pod was lost"],
)
def test_a_limit_that_no_lost_pod_was_retried_by_is_kept_and_covers_them(
    strategy: dict[str, Any], reason: str, policy: list[tuple[str | None, str]]
) -> None:
    of = argo(task("load"), templates={"load": {"retryStrategy": strategy}})
    found = scenario(of, 42, _unlucky(1, 0.2, reason=reason)).recommended("retry-policy")
    assert [(e.current, e.proposed) for item in found for e in item.edits] == policy
    for item in found:
        assert item.action == "Retry evicted pods of load: retryPolicy OnFailure -> Always"
        assert item.edits[0].pointer.endswith("/retryStrategy/retryPolicy")
        assert item.proposed == "3 retries, also of evicted pods"


@pytest.mark.parametrize(
    ("strategy", "found"),
    [
        ({"limit": "1"}, 1),
        ({"limit": "1", "retryPolicy": "OnError"}, 0),
        ({"limit": "1", "expression": "lastRetry.exitCode != '1'"}, 0),
        ({"limit": "0", "retryPolicy": "OnError"}, 0),
    ],
)
def test_a_limit_is_not_raised_where_no_failure_was_retried(strategy: dict[str, Any], found: int) -> None:
    """The strategy is for other failures than those that were seen."""
    of = argo(task("load"), templates={"load": {"retryStrategy": strategy}})
    made = scenario(of, 42, _unlucky(1, 0.3), every=DAY / 24)
    assert len(made.recommended("retry-policy")) == found


@pytest.mark.parametrize(("limit", "policy", "found"), [(1, False, 1), (1, True, 0), (0, True, 1)])
def test_the_limit_of_a_job_is_not_raised_where_its_failure_policy_retried_nothing(
    limit: int, policy: bool, found: int
) -> None:
    rules = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [75]}}]}
    of = cron_job(backoffLimit=limit, **({"podFailurePolicy": rules} if policy else {}))
    chance = random.Random(3)
    made = scenario(
        of, 200, lambda _: {"job": Pod(60, fails="Error" if chance.random() < 0.3 else None)}, every=DAY / 24
    )
    assert len(made.recommended("retry-policy")) == found


@pytest.mark.parametrize("of", [
    argo(task("job"), task("load", depends="job.Succeeded || job.Failed")),
    cron_job(completions=3, completionMode="Indexed", backoffLimitPerIndex=0,
             successPolicy={"rules": [{"succeededIndexes": "0"}]}),
])  # fmt: skip
def test_failures_that_fail_no_run_are_no_reason_to_retry(of: dict[str, Any]) -> None:
    """Another task takes over, or other indexes are enough: 27% of the runs were said to fail, of which none did."""
    chance = random.Random(1)

    def work(_: int) -> Work:
        job = [Pod(100, item=str(n), fails="Error" if n and chance.random() < 0.2 else None) for n in range(3)]
        return {"job": job, **({"load": 60.0} if of["kind"] == "WorkflowTemplate" else {})}

    made = scenario(of, 100, work, every=DAY / 24)
    fine = replace(made, runs=tuple(replace(run, outcome=Outcome.SUCCEEDED) for run in made.runs))
    assert fine.recommended("retry-policy") == []
    mixed = [replace(run, outcome=Outcome.SUCCEEDED) if i % 2 else run for i, run in enumerate(made.runs)]
    item = replace(made, runs=tuple(mixed)).one("retry-policy")
    failed = sum(run.outcome is Outcome.FAILED for run in mixed)
    assert f"about {text.percent(failed / 100)} of the runs keep failing" in item.otherwise
    spared = sum(run.outcome is Outcome.FAILED and i % 2 for i, run in enumerate(made.runs))
    assert f"left out: {spared} runs that succeeded although it failed" in item.evidence
    assert "that have it" not in item.expected


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


def test_items_that_fail_together_are_one_failure() -> None:
    """Eight items that fail in the same runs say no more about how often runs fail than one."""
    of = argo(task("load", withItems=list(range(8))), templates={"load": {"retryStrategy": {"limit": "5"}}})
    bad = random.Random(3).sample(range(42), 6)

    def saving(items: int) -> Interval:
        def work(i: int) -> Work:
            fails = [Pod(100, failures=((100, "Error"),) * 5, fails="Error", item=str(k)) for k in range(items)]
            return {"load": [*fails, *(Pod(100, item=str(k)) for k in range(items, 8))] if i in bad else Pod(100)}

        found = scenario(of, 42, work).one("retry-policy").saving_per_month
        assert found is not None
        return found

    one, all_of_them = saving(1), saving(8)
    assert all_of_them.likely == pytest.approx(8 * one.likely)
    assert all_of_them.low / all_of_them.likely == pytest.approx(one.low / one.likely) == pytest.approx(0.4, abs=0.1)


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


def _branch(seed: int) -> Scenario:
    """A quarter of the runs takes ``test``, a fifth of which fail after five minutes; one run in ten fails at once in
    ``load``."""
    chance, flow = random.Random(seed), argo(task("load"), task("test", "load"))

    def work(i: int) -> Work:
        if i % 10 == 3:
            return {"load": Pod(10, fails="Error")}
        steps: dict[str, Pod] = {"load": Pod(60)}
        if i % 4 == 0:
            steps["test"] = Pod(300, fails="Error" if chance.random() < 0.2 else None)
        return steps

    return scenario(flow, 200, work, every=DAY / 24)


@pytest.mark.parametrize("seed", range(3))
def test_failures_of_a_branch_are_a_share_of_all_runs_and_as_late_as_they_are(seed: int) -> None:
    made = _branch(seed)
    failed = sum(any(e.step == "test" and e.outcome is Outcome.FAILED for e in run.steps) for run in made.runs)
    (item,) = [r for r in made.recommended("retry-policy") if r.step == "test"]
    assert item.otherwise.startswith(
        f"about {text.percent(failed / 200)} of the runs keep failing at test, each after 6m"
    )
    assert "of the runs that have it instead of" in item.expected
    (other,) = [r for r in made.recommended("retry-policy") if r.step == "load"]
    assert other.otherwise.endswith("each after 13s of work")
    assert "of the runs instead of" in other.expected


def test_several_failed_items_are_one_failed_run() -> None:
    """Six of 20 items fail in one run of 20; three times as many runs fail elsewhere."""
    flow = argo(task("map"), task("merge", "map"))

    def work(i: int) -> Work:
        items = [Pod(60, fails="Error" if i % 20 == 3 and k < 6 else None) for k in range(20)]
        return {"map": items, "merge": Pod(30, fails="Error" if i % 20 in (7, 11, 15) else None)}

    made = scenario(flow, 200, work, every=DAY / 24)
    (item,) = [r for r in made.recommended("retry-policy") if r.step == "map"]
    avoided = item.failures_avoided
    assert avoided is not None
    assert avoided.likely <= 0.05
    assert item.otherwise.startswith("about 5% of the runs")


def _ten_items(i: int) -> Work:
    """In one run of twenty, every item fails: what they call is down."""
    return {"load": [Pod(60, fails="Error" if i % 20 == 3 else None) for _ in range(10)]}


def _at_two(i: int) -> Work:
    """Of hourly runs, those of one hour: what they call is maintained then."""
    return {"load": Pod(60, fails="Error" if i % 24 == 2 else None)}


@pytest.mark.parametrize(
    ("work", "failed", "like"),
    [
        pytest.param(_ten_items, 10, "the other items of these runs (9%)", id="items fail together"),
        pytest.param(_at_two, 9, "other runs at the same hour (10%)", id="at the same hour"),
    ],
)
def test_no_retry_is_promised_to_help_where_all_that_is_like_one_fails(
    work: Callable[[int], Work], failed: int, like: str
) -> None:
    made = scenario(argo(task("load")), 200, work, every=DAY / 24)
    assert made.recommended("retry-policy") == []
    item = made.one("failing-step")
    assert f"{failed} of 200 runs failed at load" in item.because
    assert f"no retries observed yet, and one is likely to succeed as rarely as {like}" in item.because
    assert item.failures_avoided is not None
    assert item.failures_avoided.likely == pytest.approx(failed / 200)


@pytest.mark.parametrize(("first", "rule"), [("Evicted", "retry-policy"), ("Error", "failing-step")])
def test_items_that_end_with_their_run_after_an_eviction_do_not_speak_against_retries(first: str, rule: str) -> None:
    """Where one of four items fails its run ends, and with it the other three."""
    chance = random.Random(7)
    bad = [chance.random() < 0.15 for _ in range(200)]

    def work(i: int) -> Work:
        others = [Pod(61, fails="Error" if bad[i] else None) for _ in range(3)]
        return {"train": [*others, Pod(60, fails=first if bad[i] else None)]}

    made = scenario(argo(task("train")), 200, work, every=DAY / 24)
    assert [r.rule for name in ("retry-policy", "failing-step") for r in made.recommended(name)] == [rule]


def test_items_that_fail_by_themselves_are_a_case_for_retries_in_however_many_runs() -> None:
    """One item in a hundred fails, and so two thirds of the runs with a hundred of them."""
    chance = random.Random(5)

    def work(_: int) -> Work:
        return {"load": [Pod(60, fails="Error" if chance.random() < 0.01 else None) for _ in range(100)]}

    made = scenario(argo(task("load")), 60, work)
    assert made.recommended("failing-step") == []
    item = made.one("retry-policy")
    assert item.failures_avoided is not None
    assert item.failures_avoided.low < 0.63 < item.failures_avoided.high
    assert "of the runs instead of 4" in item.expected  # 1 less the share of the failed runs


def test_what_no_retry_has_shown_is_an_upper_bound_unless_failures_pass() -> None:
    """The tests of a bad commit fail again, however often they are repeated; an evicted pod may run elsewhere."""
    chance = random.Random(6)
    bad = [chance.random() < 0.2 for _ in range(200)]

    def made(reason: str) -> Recommendation:
        of = scenario(argo(task("test")), 200, lambda i: {"test": Pod(60, fails=reason if bad[i] else None)})
        return of.one("retry-policy")

    own, evicted = made("Error"), made("Evicted")
    assert own.failures_avoided is not None
    assert evicted.failures_avoided is not None
    assert own.failures_avoided.high == evicted.failures_avoided.high
    assert own.failures_avoided.low == 0.0
    assert evicted.failures_avoided.low > 0.1
    assert own.upper_bound
    assert not evicted.upper_bound
    assert own.failures_avoided.likely == pytest.approx(evicted.failures_avoided.likely / 2)
    promised = re.search(
        r"about ([\d.]+)% of the runs instead of ([\d.]+)% if half of .*, and in ([\d.]+)% at most", own.expected
    )
    assert promised is not None
    likely, now, most = map(float, promised.groups())
    assert likely - now == pytest.approx(100 * own.failures_avoided.likely, abs=0.5)
    assert likely == pytest.approx((now + most) / 2, abs=0.1)
    assert f"about {most}% of the runs instead of {now}%" in evicted.expected
    assert "at most" not in evicted.expected

"""``best-practices``: every item passed, failed or not applicable, and no line when nothing failed."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.core.model.engines import EngineTraits
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.hygiene.best_practices import checklist
from concertmaster.engines.argo.traits import ARGO
from concertmaster.engines.jobs.traits import JOB
from concertmaster.engines.tekton.traits import TEKTON
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Scenario, argo, cron_job, noise, pipeline, scenario, task
from tests.support.core.scenarios import resources


def states(of: Scenario) -> dict[str, bool | None]:
    return {i.name: i.passed for i in checklist(Evidence(of.analysis(), "wfp"))}


def test_what_is_missing_is_named_with_its_field() -> None:
    item = scenarios.best_practices().one("best-practices")
    lines = {line.partition(":")[0]: line for line in item.evidence}
    assert lines["time limits"] == "time limits: failed, none in extract, transform and load (activeDeadlineSeconds)"
    assert "failed, no tag, or latest, in load (image)" in lines["pinned images"]
    assert lines["requests"] == "requests: passed (resources.requests)"
    assert lines["caching"] == "caching: not applicable (memoize)"  # inputs are not known
    assert lines["metrics"] == "metrics: passed (scrape interval)"
    assert len(lines) == 10
    assert item.current == "2 of 8 passed"


def test_a_workflow_with_everything_is_silent() -> None:
    full = {
        **resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "2Gi"}),
        "retryStrategy": {"limit": "2"},
        "activeDeadlineSeconds": 900,
    }
    tasks = [task("extract"), task("load", "extract"), task("tell")]
    of = argo(
        *tasks,
        templates=dict.fromkeys(("extract", "load", "tell"), full),
        onExit="tell",
        ttlStrategy={"secondsAfterCompletion": 600},
    )
    value = noise()
    good = scenario(of, 20, lambda _: {"extract": value(60), "load": value(60), "tell": value(5)})
    assert set(states(good).values()) <= {True, None}
    assert good.recommended("best-practices") == []


def test_a_cron_job_is_asked_other_things() -> None:
    value = noise()
    found = states(scenario(cron_job(), 20, lambda _: {"job": value(60)}))
    assert found["exit handler"] is None
    assert found["retries"] is True  # Kubernetes retries six times by default
    assert found["concurrency"] is False
    allowed = cron_job()
    allowed["spec"]["concurrencyPolicy"] = "Forbid"
    assert states(scenario(allowed, 20, lambda _: {"job": value(60)}))["concurrency"] is True


def test_a_step_is_retried_by_a_template_around_it_too() -> None:
    for strategy, state in ({"limit": 1}, True), ({"limit": 0}, False), ({}, True):
        of = argo(task("load"), templates={"main": {"retryStrategy": strategy}})
        assert states(scenario(of, 6, lambda _: {"load": 60.0}))["retries"] is state


def test_every_way_to_schedule_runs_is_asked_for_its_concurrency() -> None:
    of = argo(task("load"))
    for policy, state in ("Forbid", True), ("Allow", False):
        starts = {"schedules": ["7 * * * *"], "concurrencyPolicy": policy}
        own = {**of, "kind": "CronWorkflow", "spec": {**starts, "workflowSpec": of["spec"]}}
        assert states(scenario(own, 6, lambda _: {"load": 60.0}))["concurrency"] is state
        night = {**of, "kind": "CronWorkflow", "metadata": {"name": "night", "namespace": "demo"}}
        night["spec"] = {**starts, "workflowSpec": {"workflowTemplateRef": {"name": "nightly-etl"}}}
        assert states(scenario(of, 6, lambda _: {"load": 60.0}, others=(night,)))["concurrency"] is state


def test_the_image_of_a_step_action_is_not_taken_for_one_without_a_tag() -> None:
    of = pipeline({"requests": {"cpu": "1", "memory": "1Gi"}})
    (step,) = of["spec"]["tasks"][0]["taskSpec"]["steps"]
    for fields, state in ({"image": "etl"}, False), ({"ref": {"name": "etl"}}, True):
        of["spec"]["tasks"][0]["taskSpec"]["steps"] = [
            {"name": "main", "computeResources": step["computeResources"], **fields}
        ]
        assert states(scenario(of, 6, lambda _: {"work": 60.0}))["pinned images"] is state


def test_fields_are_named_as_the_engine_names_them() -> None:
    """Those of Argo were named for every engine."""
    fields = {
        engine.name: {
            i.name: i.field for i in checklist(_on(engine)) if i.name in ("time limits", "retries", "caching")
        }
        for engine in (ARGO, TEKTON, JOB)
    }
    argo_fields = {"time limits": "activeDeadlineSeconds", "retries": "retryStrategy", "caching": "memoize"}
    assert fields == {
        ARGO.name: argo_fields,
        TEKTON.name: {"time limits": "timeout", "retries": "retries", "caching": "cache"},
        JOB.name: {"time limits": "activeDeadlineSeconds", "retries": "backoffLimit", "caching": "cache"},
    }


def _on(engine: EngineTraits) -> Evidence:
    """The evidence of a workflow as if it were of another engine."""
    evidence = Evidence(scenarios.right_size().analysis(), "wfp")
    definition = replace(evidence.analysis.definition, engine=engine)
    return replace(evidence, analysis=replace(evidence.analysis, definition=definition))


def test_repeated_inputs_without_a_cache_fail_and_wide_fan_outs_need_a_limit() -> None:
    assert states(scenarios.cache_step())["caching"] is False
    value = noise()
    wide = argo(task("search", withItems=[f"i{k}" for k in range(20)]))
    runs = scenario(wide, 6, lambda _: {"search": [value(10) for _ in range(20)]})
    assert states(runs)["concurrency"] is False
    limited = argo(task("search", withItems=[f"i{k}" for k in range(20)]), parallelism=5)
    assert states(scenario(limited, 6, lambda _: {"search": [value(10) for _ in range(20)]}))["concurrency"] is True


def test_the_pods_of_daemons_need_requests_but_no_time_limit() -> None:
    value = noise()
    of = argo(task("db"), task("query", "db"), templates={"db": {"daemon": True, "container": {"image": "db"}}})
    history = scenario(of, 6, lambda _: {"db": value(70), "query": value(60)})
    lines = {i.name: i for i in checklist(Evidence(history.analysis(), "wfp"))}
    assert "db" in lines["requests"].detail
    assert "db" not in lines["time limits"].detail


def test_too_few_runs_are_silent() -> None:
    base = scenarios.best_practices()
    assert replace(base, runs=base.runs[:3]).recommended("best-practices") == []


def test_of_pods_with_too_few_samples_the_scrape_interval_is_what_to_shorten() -> None:
    """ "Missing: scrape interval" did not say what to do."""
    base, unseen = scenarios.best_practices(), {"samples": 0, "memory_sampled_peak": None}
    dark = (
        replace(r, steps=tuple(
            replace(e, containers=tuple(replace(c, **unseen) for c in e.containers)) for e in r.steps  # type: ignore[arg-type]
        ))
        for r in base.runs[:-5]
    )  # fmt: skip
    item = replace(base, runs=(*dark, *base.runs[-5:])).one("best-practices")
    assert item.evidence[-1].startswith("metrics: failed, too few samples of extract")
    assert item.evidence[-1].endswith("(shorter scrape interval)")

"""Recommendations without contradictions: one recommendation per field, causes before symptoms, no gain counted twice."""

from __future__ import annotations

from concertmaster.core.model import Category, Edit, Interval, Recommendation, Severity
from concertmaster.core.rules import RULES
from concertmaster.core.rules.conflicts import resolve
from tests.support.builders import recommendation
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Work, noise, scenario
from tests.support.core.scenarios import STEPS, measured, resources

GAIN = Interval(0.1, 0.2, 0.3)


def item(rule: str, step: str | None = "load", **more: object) -> Recommendation:
    words = {"action": "Optimize load; split its work", "because": "it took 5m in 42 runs (14d)"}
    return recommendation(f"{rule}.{step}" if step else rule, **{**words, **more})


def test_a_field_is_set_once_and_the_loser_becomes_evidence() -> None:
    edit = (Edit("/spec/parallelism", "2", "6"),)
    first, second = item("parallelism", None, edits=edit), item("queue-time", None, edits=edit)
    (kept,) = resolve([first, second])
    assert kept.id == "parallelism"
    assert "queue-time would set the same field (1 to 2)" in kept.evidence[-1]


def test_the_same_pointer_into_two_tasks_is_two_fields() -> None:
    pointer = "/spec/steps/0/computeResources/requests/cpu"
    items = [item("cpu-request", t, edits=(Edit(pointer, "2", "1", t),)) for t in ("compile", "deploy")]
    assert [r.id for r in resolve(items)] == ["cpu-request.compile", "cpu-request.deploy"]


def test_different_fields_of_one_step_both_stay() -> None:
    found = resolve(
        [
            item("memory-request", edits=(Edit("/a/memory", "1", "2"),)),
            item("cpu-request", edits=(Edit("/a/cpu", "1", "2"),)),
        ]
    )
    assert [r.id for r in found] == ["memory-request.load", "cpu-request.load"]


def test_a_cause_goes_before_its_symptom() -> None:
    raised = item("memory-request", category=Category.RELIABILITY)
    found = resolve([item("retry-policy"), item("timeout"), raised])
    assert [r.rule for r in found] == ["timeout", "memory-request", "retry-policy"]
    assert found[-1].action.endswith("; first see memory-request.load")
    elsewhere = resolve([item("retry-policy", "fetch"), raised])
    assert [r.rule for r in elsewhere] == ["retry-policy", "memory-request"]


def test_what_only_saves_money_explains_no_slowness() -> None:
    found = resolve([item("io-bound"), item("cpu-request", category=Category.COST)])
    assert "first see" not in found[0].action


def test_gains_of_one_step_are_not_added_up() -> None:
    found = resolve([item("straggler", gain_share=GAIN), item("cache-step", gain_share=GAIN), item("right-size")])
    assert found[0].expected == "each run 20% shorter"
    assert found[1].expected == "each run 20% shorter; the run time is not saved on top of straggler.load"
    assert found[2].expected == "each run 20% shorter"


def test_the_bottleneck_is_merged_into_the_remedy_of_its_step() -> None:
    place = item("bottleneck", gain_share=GAIN)
    (remedy,) = resolve([place, item("straggler", gain_share=GAIN)])
    assert remedy.rule == "straggler"
    assert place.because in remedy.evidence
    (alone,) = resolve([item("bottleneck", gain_share=GAIN)])
    assert alone.action == "Optimize load; split its work"


def test_a_throttled_bottleneck_in_real_recommendations() -> None:
    limited = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"cpu": "1"})
    value = noise()

    def work(_: int) -> Work:
        throttled = measured(cpu_limit=1.0, throttled_share=0.4)
        return {n: Pod(value(s), containers=throttled if n == "transform" else measured()) for n, s in STEPS.items()}

    ids = [r.id for r in scenario(scenarios.etl(transform=limited), 42, work).recommended()]
    assert "cpu-request.transform" in ids
    assert "bottleneck.transform" not in ids


def test_no_scenario_gives_two_recommendations_for_one_field_or_one_id_twice() -> None:
    for make in scenarios.SCENARIOS.values():
        found = make().recommended()
        pointers = [e.pointer for r in found for e in r.edits]
        assert len(pointers) == len(set(pointers))
        assert len({r.id for r in found}) == len(found)
        assert {r.rule for r in found} <= {r.name for r in RULES}


def test_an_injected_sidecar_is_reported_once() -> None:
    ids = [r.id for r in scenarios.sidecar_overhead().recommended()]
    assert "sidecar-overhead.proxy" in ids
    assert not any(i.startswith("cpu-request.") and i.endswith(".proxy") for i in ids)
    patched = item("cpu-request", "load.proxy", edits=(Edit("/a/cpu", "1", "2"),))
    found = resolve([item("sidecar-overhead", None, id="sidecar-overhead.proxy"), patched])
    assert len(found) == 2  # a declared sidecar has a field of its own


def test_waiting_is_explained_by_the_clash_of_schedules() -> None:
    found = scenarios.schedule_clash().recommended()
    ids = [r.id for r in found]
    assert ids.index("schedule-clash") < ids.index("queue-time")
    assert "first see schedule-clash" in found[ids.index("queue-time")].action


def test_a_symptom_of_the_same_step_is_merged_into_what_treats_it() -> None:
    (kept,) = resolve([item("timeout", gain_share=GAIN), item("variance", gain_share=GAIN)])
    assert kept.rule == "timeout"
    assert kept.evidence[-1] == "it took 5m in 42 runs (14d)"
    assert len(resolve([item("timeout"), item("variance", gain_share=GAIN)])) == 2, "no time promised, none explained"
    assert len(resolve([item("timeout", "fetch", gain_share=GAIN), item("variance", gain_share=GAIN)])) == 2
    (limit,) = resolve([item("timeout", failures_avoided=GAIN), item("retry-policy")])
    assert limit.rule == "timeout"


def test_an_item_that_most_runs_wait_for_is_one_recommendation() -> None:
    """A straggler, another item in each run, that a time limit would end as well. A limit that kills is another matter."""
    gain = Interval(0.2, 0.3, 0.4)
    straggler, hang = item("straggler", gain_share=gain), item("timeout", gain_share=gain, because="5 of 50 hung")
    (kept,) = resolve([hang, straggler])
    assert kept.id == straggler.id
    assert "5 of 50 hung" in kept.evidence
    tight = item("timeout", failures_avoided=gain)
    assert [r.id for r in resolve([straggler, tight])] == [straggler.id, tight.id]


def test_retries_are_only_hopeless_where_every_run_fails() -> None:
    often = item("failing-step", severity=Severity.MEDIUM)
    assert [r.rule for r in resolve([often, item("retry-policy")])] == ["failing-step", "retry-policy"]
    always = item("failing-step", severity=Severity.CRITICAL)
    assert [r.rule for r in resolve([always, item("retry-policy")])] == ["failing-step"]
    over = item("failing-step", severity=Severity.MEDIUM, upper_bound=True)
    more, fewer = item("retry-policy", category=Category.RELIABILITY), item("retry-policy", category=Category.COST)
    assert [r.rule for r in resolve([over, more])] == ["failing-step"], "its failures may be over"
    assert [r.rule for r in resolve([over, fewer])] == ["failing-step", "retry-policy"]


def test_startup_that_batches_would_save_points_to_them() -> None:
    start = item("queue-time", None, id="queue-time.start", action="Reduce startup time", gain_share=GAIN)
    batches = item("batch-small-steps", "c0", gain_share=GAIN)
    assert [r.action for r in resolve([start, batches])] == [
        batches.action,
        "Reduce startup time; first see batch-small-steps.c0",
    ]

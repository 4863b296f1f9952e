"""``cache-step``: repeated inputs, the smallest age that finds them, and a patch where a key can be made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from concertmaster.core.model import Level, Outcome, StepExecution
from concertmaster.core.rules.intervals import share_interval
from tests.support.builders import DAY
from tests.support.core import scenarios
from tests.support.core.cached_steps import FORMS, inline
from tests.support.core.scenario_builder import Manifest, Pod, Scenario, argo, noise, reads, scenario, task


def test_proposes_the_smallest_age_and_the_replayed_gain() -> None:
    item = scenarios.cache_step().one("cache-step")
    # Three runs a day on one input, 8 h apart: the second and third would be hits, at most 16 h old.
    assert "28 of its 42 executions" in item.because
    assert "67%" in item.because
    assert item.action == "Cache the results of model for 24h"
    assert item.evidence[0].startswith("24h is the smallest usual age")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(600 * 2 / 3, rel=0.05)
    assert item.risk is Level.MEDIUM  # a cache can be stale
    memoize = json.loads(item.edits[0].proposed or "")
    assert item.edits[0].pointer == "/spec/templates/2/memoize"
    assert memoize["maxAge"] == "24h"
    assert memoize["key"] == "model-{{=sprig.sha256sum(sprig.toJson(inputs.parameters))}}"
    assert item.saving_per_month is not None


@pytest.mark.parametrize("made", FORMS.values(), ids=FORMS.keys())
def test_key_and_cache_have_names_that_are_accepted(made: Callable[[], Scenario]) -> None:
    """Else every run of the patched workflow ends in Error."""
    of = made()
    long = {**of.manifest, "metadata": {"name": f"{'a' * 243}.{'b' * 9}", "namespace": "demo"}}
    for one in (of, replace(of, manifest=long)):
        memoize = json.loads(one.one("cache-step").edits[0].proposed or "")
        assert re.fullmatch(r"[a-zA-Z0-9][-a-zA-Z0-9]*-", memoize["key"].partition("{{")[0])
        name = memoize["cache"]["configMap"]["name"]
        assert len(name) <= 253 and re.fullmatch(
            r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", name
        )


def test_caches_of_workflows_with_long_names_are_apart() -> None:
    names = set()
    for end in "ab":
        of = inline()
        long = {**of.manifest, "metadata": {"name": f"{'a' * 250}{end}", "namespace": "demo"}}
        names.add(replace(of, manifest=long).one("cache-step").edits[0].proposed)
    assert len(names) == 2


def test_without_declared_inputs_there_is_no_key_and_no_patch() -> None:
    value = noise()
    of = argo(task("model"))
    item = scenario(of, 42, lambda i: {"model": Pod(value(600), inputs=f"{i // 3}")}).one("cache-step")
    assert item.edits == ()
    assert "declared input parameters" in " ".join(item.evidence)


def test_silence_on_new_inputs_unknown_inputs_and_caches() -> None:
    value = noise()
    of = argo(task("model"))
    assert scenario(of, 42, lambda i: {"model": Pod(value(600), inputs=f"{i}")}).recommended("cache-step") == []
    assert scenario(of, 42, lambda _: {"model": value(600)}).recommended("cache-step") == []
    kept = argo(task("model"), templates={"model": {"memoize": {"key": "x", "cache": {"configMap": {"name": "c"}}}}})
    assert scenario(kept, 42, lambda i: {"model": Pod(value(600), inputs=f"{i // 3}")}).recommended("cache-step") == []


@pytest.mark.parametrize(("last", "cached"), [("first", False), ("second", True)])
def test_silence_on_a_step_whose_input_never_changes(last: str, cached: bool) -> None:
    """It is run again and again for what it reads outside the workflow: a table, the clock."""
    value, of = noise(), argo(task("model"))
    found = scenario(of, 42, lambda i: {"model": Pod(value(600), inputs=last if i == 41 else "first")})
    assert bool(found.recommended("cache-step")) is cached


@pytest.mark.parametrize(
    ("tell", "cached"),
    [
        pytest.param(task("tell", "fetch", "model", **reads("model")), True, id="its result is read"),
        pytest.param(task("tell", "fetch", "model", **reads("fetch")), False, id="another result is read"),
        pytest.param(task("tell", "fetch", "model"), True, id="nobody knows what is read"),
        pytest.param(task("tell", "fetch"), True, id="nothing is behind it"),
    ],
)
def test_a_step_whose_result_nobody_reads_runs_for_its_effect(tell: Manifest, cached: bool) -> None:
    value, of = noise(), argo(task("fetch"), task("model", "fetch"), tell)
    found = scenario(
        of, 42, lambda i: {"fetch": value(60), "model": Pod(value(600), inputs=f"{i // 3}"), "tell": value(30)}
    )
    assert bool(found.recommended("cache-step")) is cached


def test_the_hit_ratio_is_a_setting() -> None:
    assert scenarios.cache_step().recommended("cache-step", minHitPercent="80") == []


@pytest.mark.parametrize(("count", "hits"), [(12, 6), (42, 21)])
def test_how_often_inputs_repeat_is_known_from_these_executions_only(count: int, hits: int) -> None:
    """Every second run repeats the input of the one before; of the hits to come, the interval is that of their share, and a
    little wider, since run times vary and few runs show little of that."""
    value = noise()
    item = scenario(argo(task("model")), count, lambda i: {"model": Pod(value(600), inputs=f"{i // 2}")}).one(
        "cache-step"
    )
    often = share_interval(hits, count)
    assert often is not None
    for gained, whole in ((item.gain_share, 1.0), (item.gain_seconds, 606.0)):
        assert gained is not None
        assert gained.likely == pytest.approx(0.5 * whole, rel=0.01)
        factor = gained.likely / 0.5
        assert (often.low - 0.09) * factor < gained.low < often.low * factor
        assert often.high * factor < gained.high < (often.high + 0.09) * factor


def test_no_cache_saves_more_than_the_run_takes() -> None:
    """A fan-out of a short item whose input is new and a long one whose input repeats."""
    value = noise()
    of = argo(task("model", items=2))
    runs = scenario(of, 12, lambda i: {"model": [Pod(value(20), inputs=f"{i}"), Pod(value(600), inputs="same")]})
    gained = runs.one("cache-step").gain_share
    assert gained is not None
    assert 0.5 < gained.low < gained.likely < gained.high < 1.0


@pytest.mark.parametrize("repeated", [20.0, 600.0])
def test_what_repeats_may_be_short_or_long(repeated: float) -> None:
    """Every second run has no new input; the others take another time."""
    new = 620.0 - repeated
    made = scenario(
        argo(task("model")),
        84,
        lambda i: {"model": Pod(repeated, inputs="none") if i % 2 else Pod(new, inputs=f"{i}")},
        every=DAY / 6,
    )
    item = made.one("cache-step", minGainPercent="1")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(41 / 84 * repeated, rel=0.2)
    assert item.saving_per_month is not None


def test_the_item_that_is_always_new_holds_the_fan_out_up() -> None:
    """All others are answered, and the run is as long as before."""
    value = noise(spread=0.001)
    pods = [[Pod(value(400), inputs=f"{k}") for k in range(9)] for _ in range(42)]
    made = scenario(
        argo(task("model", items=10)), 42, lambda i: {"model": [*pods[i], Pod(value(400), inputs=f"new-{i}")]}
    )
    item = made.one("cache-step")
    assert item.gain_seconds is None
    assert item.saving_per_month is not None


def test_the_items_of_a_run_are_answered_together_or_not() -> None:
    """Each third run changes all inputs, and the others none."""
    value = noise()
    made = scenario(
        argo(task("model", items=20)),
        42,
        lambda i: {"model": [Pod(value(400), inputs=f"{k}-{i // 3}") for k in range(20)]},
    )
    gained = made.one("cache-step").gain_share
    assert gained is not None
    assert gained.likely == pytest.approx(2 / 3, abs=0.02)


@pytest.mark.parametrize("every", [1, 2, 4])
def test_a_step_of_some_runs_saves_nothing_in_the_others(every: int) -> None:
    value = noise()
    made = scenario(
        argo(task("load"), task("model", "load")),
        84,
        lambda i: (
            {"load": value(600)} | ({} if i % every else {"model": Pod(value(600), inputs=f"{i // (3 * every)}")})
        ),
    )
    saved, month = made.one("cache-step").saving_per_month, made.analysis().cost.per_month
    assert saved is not None
    assert month is not None
    # Of equally long steps, one in every run and the other in each second or so, two of three times answered.
    assert saved.likely / month == pytest.approx(2 / 3 / (1 + every), rel=0.2)


def test_inputs_that_repeat_no_more_are_not_reported() -> None:
    value = noise()
    made = scenario(
        argo(task("model")),
        84,
        lambda i: {"model": Pod(value(600), inputs=f"{i}" if i > 54 or i % 3 == 0 else "test")},
        every=DAY / 6,
    )
    assert made.recommended("cache-step") == []


def _changed(of: Scenario, change: Callable[[int, StepExecution], StepExecution]) -> Scenario:
    runs = [replace(r, steps=tuple(change(k, e) for e in r.steps)) for k, r in enumerate(of.runs)]
    return replace(of, runs=tuple(runs))


def test_executions_of_unknown_inputs_are_taken_to_repeat_like_the_others() -> None:
    """The gain is a share of what is known, and so is the money."""
    value = noise()
    made = scenario(
        argo(task("model")), 84, lambda i: {"model": Pod(value(600), inputs=f"{i // 2 % 3}")}, every=DAY / 6
    )
    half = _changed(made, lambda k, e: replace(e, input_fingerprint=None) if k % 4 > 1 else e)
    every, some = made.one("cache-step"), half.one("cache-step")
    assert "39 of its 42 executions with known inputs" in some.because
    assert every.saving_per_month is not None
    assert some.saving_per_month is not None
    assert some.saving_per_month.likely == pytest.approx(every.saving_per_month.likely, rel=0.05)


def test_executions_of_unknown_outcome_are_neither_hits_nor_misses() -> None:
    value = noise()
    made = scenario(argo(task("model")), 84, lambda i: {"model": Pod(value(600), inputs=f"{i % 3}")}, every=DAY / 6)
    half = _changed(made, lambda k, e: replace(e, outcome=Outcome.UNKNOWN) if k < 42 else e)
    assert "39 of its 42 executions with known inputs" in half.one("cache-step").because


def test_the_tests_of_another_build_are_no_repeat() -> None:
    """Their inputs are the same in every run. A cache keyed by these would answer with what an earlier image did."""
    value = noise()
    made = scenario(argo(task("test")), 42, lambda i: {"test": Pod(value(600), inputs=f"{i % 3}")})
    built = _changed(made, lambda k, e: replace(e, containers=tuple(replace(c, image=f"ci:{k}") for c in e.containers)))
    assert made.recommended("cache-step")
    assert built.recommended("cache-step") == []
    assert all("inputs repeat" not in r.because for r in built.recommended("best-practices"))


def test_where_no_image_is_known_none_is_said_to_be_the_same() -> None:
    """As where only the engine's objects tell of runs."""
    value = noise()
    made = scenario(argo(task("test")), 42, lambda i: {"test": Pod(value(600), inputs=f"{i % 3}")})
    unknown = _changed(made, lambda _, e: replace(e, containers=()))
    assert "an earlier one with the same image, 93%" in made.one("cache-step").because
    assert "an earlier one, 93%" in unknown.one("cache-step").because


def test_another_image_is_no_second_input() -> None:
    value = noise()
    made = scenario(argo(task("model")), 42, lambda _: {"model": Pod(value(600), inputs="same")})
    released = _changed(
        made, lambda k, e: replace(e, containers=tuple(replace(c, image=f"etl:{k // 21}") for c in e.containers))
    )
    assert released.recommended("cache-step") == []

"""Reading objects whose types nobody guarantees."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from concertmaster.engines.common import manifest as m
from tests.support.engines.json_values import JSON


@pytest.mark.parametrize("value", [10**400, -(10**20), 1e308, "9" * 30])
def test_numbers_no_engine_takes_are_ignored(value: Any) -> None:
    problems = m.Problems()
    assert m.whole(value, "spec.parallelism", problems) is None
    assert "which no engine takes" in str(problems.all())


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-08-01T02:00:00Z", 1_785_549_600.0),
        ("0001-01-01T00:00:00Z", None),  # what Go writes for a time that is not set
        ("9999-12-31T23:59:59Z", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("soon", None),
        (7, None),
    ],
)
def test_times_that_no_object_of_a_cluster_has_are_unknown(written: object, moment: float | None) -> None:
    assert m.timestamp(written) == moment


@given(JSON)
def test_readers_answer_with_something_usable_for_any_value(value: Any) -> None:
    problems = m.Problems()
    assert isinstance(m.mapping(value, "x", problems), dict)
    assert isinstance(m.sequence(value, "x", problems), list | tuple)
    assert isinstance(m.text(value, "x", problems), str | None)
    assert isinstance(m.whole(value, "x", problems), int | None)
    assert isinstance(m.seconds(value, "x", problems), float | None)
    assert isinstance(m.quantity(value, "x", problems), float | None)
    m.container(value, "x", problems, at="/x")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30m", 1800.0), ("1h30m", 5400.0), ("500ms", 0.5), (90, 90.0), ("90", 90.0), ("{{x}}", None)],
)
def test_durations(written: object, seconds: float | None) -> None:
    problems = m.Problems()
    assert m.seconds(written, "timeout", problems) == seconds
    assert not problems.all()


@pytest.mark.parametrize("written", ["soon", "10 minutes", [], "5m x"])
def test_an_unreadable_duration_is_named(written: object) -> None:
    problems = m.Problems()
    assert m.seconds(written, "timeout", problems) is None
    assert "timeout" in problems.all()[0]


@pytest.mark.parametrize(
    ("written", "value"), [("500m", 0.5), ("2Gi", 2.0 * 1024**3), (2, 2.0), ("1e3", 1000.0), ("{{x}}", None)]
)
def test_quantities(written: object, value: float | None) -> None:
    problems = m.Problems()
    assert m.quantity(written, "cpu", problems) == value
    assert not problems.all()


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0.30000000000000004", 0.301),
        (0.3333, 0.334),
        ("0.0333", 0.034),
        ("1.3333333333333333Gi", 1431655765.334),
        ("1e-10", 1e-3),
        ("8Ei", float(2**63 - 1)),
        ("1e999999999999", float(2**63 - 1)),
        ("0e99", 0.0),
    ],
)
def test_a_quantity_is_rounded_and_capped_as_by_the_api_server(written: object, value: float) -> None:
    problems = m.Problems()
    assert m.quantity(written, "memory", problems) == pytest.approx(value, rel=1e-12)
    assert not problems.all()


@pytest.mark.parametrize("written", ["1 Gi", "1K", "1e3Gi", "1_000", "0x10", "\u0663", "1" * 65])
def test_what_kubernetes_takes_for_no_quantity_is_none_here(written: str) -> None:
    problems = m.Problems()
    assert m.quantity(written, "memory", problems) is None
    assert problems.all()


def test_an_unreadable_quantity_is_named_with_its_place_and_the_remedy() -> None:
    problems = m.Problems()
    assert m.quantity("lots", "steps[0].cpu", problems) is None
    assert problems.all() == ('steps[0].cpu is "lots", which is no quantity such as 500m or 2Gi: it is ignored',)


def test_problems_are_said_once_and_bounded() -> None:
    problems = m.Problems()
    for n in range(100):
        problems.add(f"problem {n}")
        problems.add(f"problem {n}")
    said = problems.all()
    assert len(said) == 41
    assert said[-1] == "60 further problems are not listed"


def test_a_container_shows_what_will_hold_and_what_is_written() -> None:
    problems = m.Problems()
    raw = {"name": "a", "image": "i", "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": 1, "memory": "1Gi"}}}
    found = m.container(raw, "c", problems, at="/spec/c")
    assert (found.cpu_request, found.cpu_limit) == (0.5, 1.0)
    assert found.memory_request == found.memory_limit == 1024.0**3  # the API server copies a lone limit
    assert found.resources == {"requests": {"cpu": "500m"}, "limits": {"cpu": 1, "memory": "1Gi"}}
    assert found.resources_pointer == "/spec/c/resources"
    assert m.container(raw, "c", problems, at=None).resources_pointer is None


def test_fingerprints_do_not_depend_on_the_order_of_keys() -> None:
    assert m.fingerprint([{"a": 1, "b": [2]}]) == m.fingerprint([{"b": [2], "a": 1}])
    assert m.fingerprint([{"a": 1}]) != m.fingerprint([{"a": 2}])

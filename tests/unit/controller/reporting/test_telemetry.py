"""What the operator's own metrics say of metrics sources."""

from __future__ import annotations

from concertmaster.controller.reporting.telemetry import Telemetry
from tests.support.controller.harness import report


def series(telemetry: Telemetry, name: str) -> dict[str, float]:
    """Value by label."""
    lines = [line for line in telemetry.render().decode().splitlines() if line.startswith(f"concertmaster_{name}{{")]
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines}


def test_a_source_that_nobody_asks_for_any_more_raises_no_alert() -> None:
    telemetry = Telemetry()
    telemetry.sources.observe({"a": report("a"), "b": report("b", ok=False)})
    assert series(telemetry, "source_up") == {"a": 1.0, "b": 0.0}
    telemetry.sources.observe({"a": report("a")})
    assert series(telemetry, "source_up") == {"a": 1.0}
    assert series(telemetry, "source_data_until_timestamp_seconds").keys() == {"a"}


def test_how_far_the_clock_of_each_source_is_off() -> None:
    telemetry = Telemetry()
    telemetry.sources.observe({"a": report("a", clock_ahead=600.0), "b": report("b")})
    assert series(telemetry, "source_clock_ahead_seconds") == {"a": 600.0, "b": 0.0}
    telemetry.sources.observe({"b": report("b")})
    assert series(telemetry, "source_clock_ahead_seconds") == {"b": 0.0}


def test_unassigned_pods_are_those_of_the_last_reading_of_each_source() -> None:
    telemetry = Telemetry()
    telemetry.sources.observe({"a": report("a", unassigned={"x": 2, "y": 1}), "b": report("b", unassigned={"x": 3})})
    assert series(telemetry, "unassigned_pods") == {"x": 5.0, "y": 1.0}
    telemetry.sources.observe({"a": report("a", unassigned={"x": 1}), "b": report("b", unassigned={}, queries=0)})
    assert series(telemetry, "unassigned_pods") == {"x": 4.0}, "a was read again, b was not"
    telemetry.sources.observe({"a": report("a")})
    assert series(telemetry, "unassigned_pods") == {}

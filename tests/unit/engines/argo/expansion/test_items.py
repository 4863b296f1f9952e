"""Names of the items of a fan-out, as the controller writes them (values from its own code, run in Go)."""

from __future__ import annotations

import pytest

from concertmaster.engines.argo.expansion.items import FanOut, fan_out
from concertmaster.engines.argo.expansion.values import NO_VALUES
from concertmaster.engines.common.manifest import Problems


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('["caf\u00e9","a<b&c>"]', ("0:caf\u00e9", "1:a<b&c>")),
        ('[{"b":"x","a":1.0}, 1e-3]', ("0:a:1.0,b:x", "1:1e-3")),
        ('[["x", 2], "\u2028"]', ("0:[x 2]", r"1:\u2028")),
        (r'["caf\u00e9","x\/y"]', None),
    ],
)
def test_names_are_as_they_are_written_and_unknown_with_escapes(text: str, names: tuple[str, ...] | None) -> None:
    found = fan_out({"withParam": text}, "task", NO_VALUES, Problems())
    assert found is not None
    assert (found.items, found.width) == (names, 2)


def test_a_text_that_is_nested_too_deep_to_be_read_has_no_names() -> None:
    problems = Problems()
    assert fan_out({"withParam": "[" * 40_000 + "]" * 40_000}, "task", NO_VALUES, problems) == FanOut(None, None)
    assert problems.all()
    found = fan_out({"withParam": "[" * 200 + '"x"' + "]" * 200}, "task", NO_VALUES, Problems())
    assert found is not None and found.items == ("0:[" + "[" * 198 + '"x"' + "]" * 198 + "]",)

"""Names of the items of a fan-out, as the controller writes them (values from its own code, run in Go)."""

from __future__ import annotations

import pytest

from concertmaster.engines.argo.expansion.items import FanOut, fan_out
from concertmaster.engines.argo.expansion.values import NO_VALUES
from concertmaster.engines.common.manifest import Problems


def named(text: str) -> tuple[str, ...] | None:
    problems = Problems()
    found = fan_out({"withParam": text}, "task", NO_VALUES, problems)
    assert isinstance(found, FanOut)
    assert not problems.all()
    return found.items


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (r'["caf\u00e9","a/b"]', (r"0:caf\u00e9", "1:a/b")),
        (r'["x\/y","\ud83d\ude00"]', (r"0:x\/y", r"1:\ud83d\ude00")),
        (r'[{"b":"\u00e9","a":1.0}]', (r"0:a:1.0,b:\u00e9",)),
        (r'[["\u00e9", 2]]', (r"0:[\u00e9 2]",)),
        (r'[{"\u00e9":[ 1, {"a": "\u0041"} ]}]', (r'0:é:[1,{"a":"\u0041"}]',)),
        (r'["a\u003cb","a<b&c>"]', ("0:a<b", "1:a<b&c>")),
        ('["a\\nb","\u2028"]', (r"0:a\nb", r"1:\u2028")),
        ('["café"]', ("0:café",)),
    ],
)
def test_escapes_of_a_json_text_stay_in_the_names(text: str, names: tuple[str, ...]) -> None:
    assert named(text) == names


def test_a_text_that_is_nested_too_deep_to_be_read_has_no_names() -> None:
    for sign in ("", r"\u00e9"):
        problems = Problems()
        found = fan_out({"withParam": "[" * 40_000 + f'"{sign}"' + "]" * 40_000}, "task", NO_VALUES, problems)
        assert found == FanOut(None, None)
        assert problems.all()
    assert named("[" * 200 + r'"\u00e9"' + "]" * 200) == ("0:[" + "[" * 198 + r'"\u00e9"' + "]" * 198 + "]",)

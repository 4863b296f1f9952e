"""Text of users in queries: names without a character of their own meaning are taken as they are, all others escaped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from concertmaster.prometheus.queries.promql import literal, one_of, quote

# Letters, and what has a meaning in a regular expression or a string of PromQL.
NAMES = st.text('ab-_0.+*?()|[]{}^$\\"\n\r\t\x00\x7f', max_size=6)


@given(names=st.lists(NAMES, max_size=4))
def test_each_name_is_escaped_by_itself(names: list[str]) -> None:
    assert one_of(names) == "|".join(literal(name) for name in sorted(set(names)))


@given(text=NAMES)
def test_a_string_holds_no_character_that_ends_it(text: str) -> None:
    inside = quote(text)[1:-1]
    assert inside.replace("\\\\", "").replace('\\"', "").count('"') == 0
    assert all(character >= " " and character != "\x7f" for character in inside)
    assert inside.encode().decode("unicode_escape") == text

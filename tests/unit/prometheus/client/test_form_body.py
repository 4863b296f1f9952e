"""Bodies of POST requests: as the standard library writes them, in a quarter of its steps."""

from __future__ import annotations

import sys
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.prometheus.client.form_body import form

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(params=st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_a_form_reads_as_the_standard_librarys(params: dict[str, str]) -> None:
    assert form(params).decode() == urlencode(params)


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ValueError):
        form({"query": "\ud800"})


def test_names_of_pods_take_no_step_each_character() -> None:
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    names = "|".join(f"nightly-etl-x7k2z-transform-{number}" for number in range(2_000))
    sys.setprofile(count)
    try:
        form({"query": names})
    finally:
        sys.setprofile(None)
    assert steps < len(names) / 4

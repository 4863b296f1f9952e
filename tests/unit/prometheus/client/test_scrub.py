"""What a store says, before people read it."""

from __future__ import annotations

import base64
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.prometheus.client import scrub
from concertmaster.prometheus.client.response import Envelope

BASIC = {"Authorization": "Basic " + base64.b64encode(b"reader:s3/cr+et").decode(), "X-Scope-OrgID": "team"}


@pytest.mark.parametrize(
    "said",
    [
        "denied: {secret}",
        "Authorization: Basic {encoded}",
        "?token=s3%2Fcr%2Bet",
        "pair reader:s3/cr+et twice s3/cr+et",
    ],
)
def test_a_password_is_masked_in_every_form(said: str) -> None:
    hidden = scrub.secrets(BASIC, {"Authorization"})
    encoded = BASIC["Authorization"].partition(" ")[2]
    clean = scrub.text(said.format(secret="s3/cr+et", encoded=encoded), hidden)
    assert scrub.MASK in clean
    for form in ("s3/cr+et", "s3%2Fcr%2Bet", encoded):
        assert form not in clean


def test_headers_that_are_no_credentials_stay_readable() -> None:
    hidden = scrub.secrets(BASIC, {"Authorization"})
    assert scrub.text("no tenant team", hidden) == "no tenant team"


def test_without_credentials_nothing_is_masked() -> None:
    assert scrub.secrets({}, {"Authorization"}) == ()
    assert scrub.text("a b", ()) == "a b"


def test_data_is_not_touched() -> None:
    found = Envelope("success", {"result": ["s3/cr+et"]}, warnings=("partial s3/cr+et",))
    clean = scrub.envelope(found, ("s3/cr+et",))
    assert clean.data == found.data
    assert clean.warnings == ("partial ***",)


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_whatever_is_said_is_one_visible_line(said: str, hidden: list[str]) -> None:
    clean = scrub.text(said, hidden)
    assert "\n" not in clean and "\x1b" not in clean
    assert not [c for c in clean if unicodedata.category(c) == "Cc" or unicodedata.bidirectional(c) in ("RLO", "LRO")]

"""Options as a command prints them for another command."""

from __future__ import annotations

import pytest

from concertmaster.cli.options import SpanOptions
from concertmaster.core.model.scalars import Duration


@pytest.mark.parametrize("window", ["14d", "36h", "84h", "3d12h30m", "90m", "1d00h00m07s"])
def test_a_printed_window_is_the_one_that_was_given(window: str) -> None:
    seconds = float(Duration(window).seconds)
    _, printed = SpanOptions((), (), seconds, None).arguments()
    assert Duration(printed).seconds == seconds

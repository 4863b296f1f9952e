"""When a call is tried again: bounded in number and time, and as the server asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.net.retry import RetryPolicy, Tools, parse_retry_after, retrying

POLICIES = st.builds(RetryPolicy, st.integers(1, 8), st.floats(0.1, 5.0), st.floats(5.0, 60.0))


class Refused(Exception):
    """What every attempt ends with."""


@given(POLICIES, st.floats(0.0, 0.999), st.floats(0.0, 300.0), st.none() | st.floats(0.0, 400.0))
def test_attempts_and_time_are_bounded_and_the_last_error_is_raised(
    policy: RetryPolicy, chance: float, seconds: float, asked: float | None
) -> None:
    pauses: list[float] = []
    tried = 0

    def attempt() -> None:
        nonlocal tried
        tried += 1
        raise Refused(tried)

    tools = Tools(monotonic=lambda: sum(pauses), sleep=pauses.append, chance=lambda: chance)
    with pytest.raises(Refused) as last:
        retrying(attempt, lambda *_: asked or 0.0, policy, deadline=seconds, tools=tools)
    assert last.value.args == (tried,)
    assert 1 <= tried <= policy.attempts
    assert len(pauses) == tried - 1
    assert sum(pauses) <= seconds
    assert all(pause >= max(asked or 0.0, policy.first_pause / 2) for pause in pauses)
    assert all(pause <= max(asked or 0.0, policy.longest_pause) for pause in pauses)
    assert pauses == sorted(pauses)


@given(POLICIES)
def test_a_final_error_is_not_tried_again(policy: RetryPolicy) -> None:
    tried = []

    def attempt() -> None:
        tried.append(1)
        raise Refused

    with pytest.raises(Refused):
        retrying(attempt, lambda *_: None, policy, deadline=1e9, tools=Tools(sleep=lambda _: pytest.fail("paused")))
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("-7", 0.0),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_what_a_server_asks_for(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, 1000.0) == seconds

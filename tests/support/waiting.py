"""Waiting for what another thread or process does: until it is done, however long a busy machine takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

LIMIT = 30.0  # seconds; only a failure takes that long


def until(condition: Callable[[], Any], what: str = "", seconds: float = LIMIT, pause: float = 0.01) -> Any:
    """The first true result of ``condition``; fails with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what or condition}; last seen: {found!r}"
        time.sleep(pause)
    return found


async def until_then(condition: Callable[[], object]) -> None:
    """The same beside the other tasks of an event loop."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT:.0f} s: {condition}"
        await asyncio.sleep(0.01)

"""Waiting for what another thread or process does: until it is done, however long a busy machine takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LIMIT = 30.0  # seconds; only a failure takes that long


def until(condition: Callable[[], object], what: str = "") -> None:
    """Return once ``condition`` holds; fails with ``what`` after LIMIT."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT:.0f} s: {what or condition}"
        time.sleep(0.01)


async def until_then(condition: Callable[[], object]) -> None:
    """The same beside the other tasks of an event loop."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT:.0f} s: {condition}"
        await asyncio.sleep(0.01)

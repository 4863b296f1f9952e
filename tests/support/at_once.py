"""Calls that are made at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable


def failures(*calls: Callable[[], object]) -> list[Exception]:
    """What these calls raise when they are made at once."""
    raised: list[Exception] = []
    begin = threading.Barrier(len(calls))

    def safely(call: Callable[[], object]) -> None:
        begin.wait()
        try:
            call()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=safely, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised

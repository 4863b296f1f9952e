"""Profiles of discovery: made, relabelled and withdrawn.

Thousands of them take minutes, in which each is a sign of life.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from concertmaster.controller.discovery.profiles import DesiredProfile
from concertmaster.controller.registry import Entry
from concertmaster.kube.client import KubeClient
from concertmaster.kube.profiles import (
    NO_FURTHER,
    ProfileWriteOutcome,
    ProfileWriteResult,
    create_profile,
    discovered_profile,
)

log = logging.getLogger("concertmaster.discovery")

_CONCURRENCY = 4  # profiles created at a time


def create(
    client: KubeClient, discovered: Sequence[DesiredProfile]
) -> Iterator[tuple[DesiredProfile, ProfileWriteResult | None]]:
    """Create profiles, several at a time; None for those in a namespace that refused another one, or did not say. The first
    of each namespace is created before the others, because one refusal is enough."""
    closed: set[str] = set()
    first = {desired.namespace: desired for desired in reversed(discovered)}
    rest = [desired for desired in discovered if desired is not first[desired.namespace]]

    def made(desired: DesiredProfile) -> tuple[DesiredProfile, ProfileWriteResult | None]:
        if desired.namespace in closed:
            return desired, None
        result = create_profile(
            client, discovered_profile(desired.namespace, desired.name, desired.labels, desired.target.spec)
        )
        if result.outcome in NO_FURTHER:
            closed.add(desired.namespace)
        return desired, result

    with ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="discovery") as pool:
        yield from pool.map(made, first.values())
        yield from pool.map(made, rest)


def each(
    entries: Iterable[Entry], write: Callable[[Entry], ProfileWriteResult], beat: Callable[[], None]
) -> list[Entry]:
    """Write profiles that discovery made, with a ``beat`` before each; those that were written, or are gone. Where the
    operator may not, or gets no answer, it asks once for each namespace and cycle."""
    closed: set[str] = set()
    written: list[Entry] = []
    for entry in entries:
        if entry.namespace in closed:
            continue
        beat()
        result = write(entry)
        if result.outcome in (ProfileWriteOutcome.DONE, ProfileWriteOutcome.GONE):
            written.append(entry)
            continue
        log.warning("%s", result.message)
        if result.outcome in NO_FURTHER:
            closed.add(entry.namespace)
    return written

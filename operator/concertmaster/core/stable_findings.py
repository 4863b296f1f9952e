"""Findings that repeat from reading to reading, as one stable list.

Each reading words them with other names and counts. Reported as they come, they would change every status in every cycle.
So a finding stays, in its first wording and place, until a reading of the same subject no longer has it.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping
from itertools import islice
from typing import Generic, TypeVar

_MAX_PER_SUBJECT = 5  # of one subject
K = TypeVar("K", bound=Hashable)


class StableFindings(Generic[K]):
    """Findings by subject."""

    def __init__(self) -> None:
        self._found: dict[K, dict[str, str]] = {}

    def learn(self, subject: K, findings: Mapping[str, str]) -> None:
        """Record the findings of the latest reading of ``subject``: sentences by what makes two of them the same
        finding."""
        before = self._found.pop(subject, {})
        if findings:
            kept = {
                kind: sentence for kind, sentence in before.items() if kind in findings
            }  # in their first order, too
            new = {kind: sentence for kind, sentence in findings.items() if kind not in before}
            self._found[subject] = dict(islice((kept | new).items(), _MAX_PER_SUBJECT))

    def add(self, subject: K, findings: Mapping[str, str]) -> None:
        """Add findings of a reading of the past of ``subject``: they do not show which ones have ended since."""
        self.learn(subject, {**self._found.get(subject, {}), **findings})

    def keep_only(self, subjects: Container[K]) -> None:
        """Forget the findings of all other subjects: these are no longer read, so nothing would end their findings."""
        self._found = {subject: findings for subject, findings in self._found.items() if subject in subjects}

    def of(self, subject: K) -> tuple[str, ...]:
        """The findings of one subject."""
        return tuple(self._found.get(subject, {}).values())

    @property
    def all(self) -> dict[K, tuple[str, ...]]:
        """The findings of all subjects that have any."""
        return {subject: self.of(subject) for subject in self._found}

    @property
    def by_kind(self) -> dict[K, Mapping[str, str]]:
        """The same, each by what makes two of them the same finding."""
        return dict(self._found)

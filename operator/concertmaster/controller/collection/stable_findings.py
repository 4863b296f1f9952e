"""Findings that repeat from look to look, as one steady list.

Each look words them with other names and counts. Shown as they come, such findings would change every status in every
cycle. So a finding stays, in its first wording and place, until a look of the same subject no longer has it.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping
from typing import Generic, TypeVar

_MOST = 5  # of one subject
K = TypeVar("K", bound=Hashable)


class StableFindings(Generic[K]):
    """Findings by subject."""

    def __init__(self) -> None:
        self._found: dict[K, dict[str, str]] = {}

    def learn(self, subject: K, found: Mapping[str, str]) -> None:
        """What the latest look found of ``subject``: sentences by what makes two of them the same finding."""
        before = self._found.pop(subject, {})
        if found:
            kept = {kind: sentence for kind, sentence in before.items() if kind in found}  # in their first order, too
            self._found[subject] = dict(
                list((kept | {k: s for k, s in found.items() if k not in kept}).items())[:_MOST]
            )

    def add(self, subject: K, found: Mapping[str, str]) -> None:
        """What a look at the past found of ``subject``: it says nothing of what has gone since."""
        self.learn(subject, {**self._found.get(subject, {}), **found})

    def keep_only(self, subjects: Container[K]) -> None:
        """Forget the findings of every other subject: nobody looks at it any more, so nothing would end them."""
        self._found = {subject: found for subject, found in self._found.items() if subject in subjects}

    def of(self, subject: K) -> tuple[str, ...]:
        """The findings of one subject."""
        return tuple(self._found.get(subject, {}).values())

    @property
    def all(self) -> dict[K, tuple[str, ...]]:
        """The findings of all subjects that have any."""
        return {subject: self.of(subject) for subject in self._found}

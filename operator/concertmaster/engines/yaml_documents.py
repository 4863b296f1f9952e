"""YAML texts of others, refused before they are read where they would end the process.

An alias stands for all that its anchor holds, so that a text of one kilobyte may hold gigabytes once it is walked; both
parsers recurse, and of a key that is set twice they keep the last one without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

MAX_LEVELS = 100
MAX_REPEATED = 100_000
"""Maximum values that the aliases of a text stand for."""

_MERGE = "<<"


@dataclass(slots=True)
class _Open:
    """A list (without ``keys``) or mapping that has begun: its anchor, the values in it, and whether a key is next."""

    anchor: str | None
    keys: set[str] | None
    size: int = 1
    key_next: bool = True


def check(text: str, loader: Any) -> None:
    """Raises yaml.YAMLError, with the place, where ``text`` is no YAML (as far as ``loader`` parses it), is nested too
    deeply, sets a key twice, or where its aliases repeat too much or themselves. Takes linear time."""
    checking = _Checking()
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionEndEvent):
            checking.end()
        elif isinstance(event, yaml.AliasEvent):
            checking.alias(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            checking.begin(event)
        elif isinstance(event, yaml.ScalarEvent):
            checking.scalar(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            checking.forget_anchors()


class _Checking:
    """What is known of a text between two events of its parser."""

    def __init__(self) -> None:
        self._around: list[_Open] = []
        self._sizes: dict[str, int | None] = {}  # values by anchor; None while what it names has not ended
        self._repeated = 0

    def begin(self, event: Any) -> None:
        """A list or a mapping."""
        if len(self._around) >= MAX_LEVELS:
            raise _error(event, f"it is nested too deeply, at more than {MAX_LEVELS} levels")
        if event.anchor:
            self._sizes[event.anchor] = None
        self._around.append(_Open(event.anchor, set() if isinstance(event, yaml.MappingStartEvent) else None))

    def end(self) -> None:
        ended = self._around.pop()
        if ended.anchor:
            self._sizes[ended.anchor] = ended.size
        self._count(ended.size)

    def alias(self, event: Any) -> None:
        size = self._sizes.get(event.anchor or "", 0)  # the parser refuses one that is not known
        self._repeated += size or 0
        if size is None:
            raise _error(event, f"{event.anchor} contains itself")
        if self._repeated > MAX_REPEATED:
            raise _error(event, f"its aliases repeat more than {MAX_REPEATED:,} values")
        self._count(size)

    def scalar(self, event: Any) -> None:
        inside = self._around[-1] if self._around else None
        if inside is not None and inside.keys is not None and inside.key_next and event.value != _MERGE:
            if event.value in inside.keys:
                raise _error(event, f"{event.value} is set twice")
            inside.keys.add(event.value)
        if event.anchor:
            self._sizes[event.anchor] = 1
        self._count(1)

    def forget_anchors(self) -> None:
        """They are those of one document."""
        self._sizes = {}

    def _count(self, size: int) -> None:
        """Add a value that has ended to what it is in."""
        if self._around:
            inside = self._around[-1]
            inside.size += size
            inside.key_next = not inside.key_next


def _error(event: Any, problem: str) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)

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
    around: list[_Open] = []
    sizes: dict[str, int | None] = {}  # values by anchor; None while what it names has not ended
    repeated = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionEndEvent):
            ended = around.pop()
            if ended.anchor:
                sizes[ended.anchor] = ended.size
            _count(around, ended.size)
        elif isinstance(event, yaml.AliasEvent):
            size = sizes.get(event.anchor or "", 0)  # the parser refuses one that is not known
            repeated += size or 0
            if size is None:
                raise _error(event, f"{event.anchor} contains itself")
            if repeated > MAX_REPEATED:
                raise _error(event, f"its aliases repeat more than {MAX_REPEATED:,} values")
            _count(around, size)
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(around) >= MAX_LEVELS:
                raise _error(event, f"it is nested too deeply, at more than {MAX_LEVELS} levels")
            if event.anchor:
                sizes[event.anchor] = None
            around.append(_Open(event.anchor, set() if isinstance(event, yaml.MappingStartEvent) else None))
        elif isinstance(event, yaml.ScalarEvent):
            inside = around[-1] if around else None
            if inside is not None and inside.keys is not None and inside.key_next and event.value != _MERGE:
                if event.value in inside.keys:
                    raise _error(event, f"{event.value} is set twice")
                inside.keys.add(event.value)
            if event.anchor:
                sizes[event.anchor] = 1
            _count(around, 1)
        elif isinstance(event, yaml.DocumentStartEvent):
            sizes = {}


def _count(around: list[_Open], size: int) -> None:
    """Add a value that has ended to what it is in."""
    if around:
        around[-1].size += size
        around[-1].key_next = not around[-1].key_next


def _error(event: Any, problem: str) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)

"""What the pod labels of one engine mean: which keys to read, and how an engine's own habits turn them into steps.

A preset is data and a few small functions. Values come from other people's pods and from a metrics store: nothing is
taken for granted about them but that they are text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from concertmaster.core.model import PodFact, PodLabels, StepSpec
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common.names import generated_base, scheduled_base
from concertmaster.engines.common.selectors import label_value

MAIN = "main"
"""The step of a pod whose labels name none, and the container that bears its pod's name."""

_MOST_ATTEMPTS = 1000  # more is no number of attempts
_LONGEST = 63  # characters of a name in a status, as of a label's value
_STRANGE = re.compile(r"[^-_.A-Za-z0-9]+")
_NANOSECONDS = re.compile(r"-\d{16,20}$")

Read = Callable[[PodFact, PodLabels], str | None]


def value(fact: PodFact, key: str | None) -> str | None:
    """Value of a pod's label, None where it has none or ``key`` is None."""
    return label_value(fact.labels, key) if key else None


def name(text: str) -> str:
    """``text`` as a name that fits where label values fit; with a hash of it where something had to go."""
    plain = _STRANGE.sub("-", text).strip("-_.")
    if plain == text and len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: _LONGEST - 9].rstrip('-_.')}-{digest}".lstrip("-")


def base(run: str) -> str:
    """The name that runs have in common: without what ``generateName`` or a schedule appends."""
    long = _NANOSECONDS.search(run)
    if long is not None and long.start():
        return run[: long.start()]
    return scheduled_base(run) or generated_base(run) or run


@dataclass(frozen=True, slots=True)
class Preset:
    """One engine. ``keys`` are its labels, ``more`` further ones it is recognised by; ``first`` is the number of a first
    attempt. ``beside`` are containers whose exit decides nothing. ``infers``: whether a pod's labels alone say that
    it is of this engine. ``daemons`` are steps that run beside all the others of a run; ``found_by`` is the key every pod
    of it has, the workflow's where None."""

    name: str
    title: str
    keys: PodLabels
    remedies: Callable[[Sizes], str | None]
    more: tuple[str, ...] = ()
    first: int = 0
    beside: frozenset[str] = frozenset()
    infers: bool = True
    of_workflow: Read = field(default=lambda fact, keys: value(fact, keys.workflow))
    of_run: Read = field(default=lambda fact, keys: value(fact, keys.run))
    of_step: Read = field(default=lambda fact, keys: value(fact, keys.step))
    of_item: Read = field(default=lambda fact, keys: value(fact, keys.item))
    daemons: tuple[StepSpec, ...] = ()
    found_by: str | None = None

    def labels(self, override: PodLabels | None = None) -> PodLabels:
        """Its keys, with those a profile or policy sets itself."""
        if override is None:
            return self.keys
        own = self.keys
        return PodLabels(
            workflow=override.workflow or own.workflow,
            run=override.run or own.run,
            step=override.step or own.step,
            attempt=override.attempt or own.attempt,
            item=override.item or own.item,
            preset=own.preset,
            value=override.value,
        )

    def finder(self, keys: PodLabels) -> str:
        """The key by which its pods are found among all others."""
        return self.found_by or keys.workflow

    def read(self, keys: PodLabels) -> tuple[str, ...]:
        """Every key it looks at."""
        return tuple(dict.fromkeys((*keys.keys, *self.more, *((self.found_by,) if self.found_by else ()))))

    def workflow(self, fact: PodFact, keys: PodLabels) -> str | None:
        """Which workflow a pod is of, None where its labels do not say."""
        if keys.workflow != self.keys.workflow:
            return value(fact, keys.workflow)
        return self.of_workflow(fact, keys)

    def run(self, fact: PodFact, keys: PodLabels) -> str | None:
        """Which run a pod is of."""
        return value(fact, keys.run) if keys.run != self.keys.run else self.of_run(fact, keys)

    def step(self, fact: PodFact, keys: PodLabels) -> str:
        """Which step of it."""
        found = value(fact, keys.step) if keys.step != self.keys.step else self.of_step(fact, keys)
        return name(found) if found else MAIN

    def item(self, fact: PodFact, keys: PodLabels) -> str | None:
        """Which item of a step that runs several."""
        found = value(fact, keys.item) if keys.item != self.keys.item else self.of_item(fact, keys)
        return name(found) if found else None

    def attempt(self, fact: PodFact, keys: PodLabels) -> int | None:
        """Which attempt, from 0; None where the labels do not say."""
        text = value(fact, keys.attempt)
        if text is None or not text.isascii() or not text.isdigit() or len(text) > 4:
            return None
        number = int(text) - (self.first if keys.attempt == self.keys.attempt else 0)
        return number if 0 <= number <= _MOST_ATTEMPTS else None

"""The meaning of one engine's pod labels: which keys to read, and how to derive steps from their values.

A preset consists of data and a few small functions. Values are untrusted: they come from arbitrary pods through the
metrics source, and nothing but their being text is assumed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from concertmaster.core.model import PodFact, PodLabels, StepSpec
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common.names import generated_base, scheduled_base
from concertmaster.engines.common.ordering import TryOf, one_try
from concertmaster.engines.common.selectors import label_value

MAIN = "main"
"""The step of a pod without a step label, and the name used for a container that is named after its pod."""

PAUSE = 30
"""Seconds before the first retry, in what is to be pasted."""

_MAX_ATTEMPTS = 1000  # a larger value is not a plausible number of attempts
_MAX_NAME_LENGTH = 63  # characters of a name in a status, as for label values
_INVALID_CHARACTERS = re.compile(r"[^-_.A-Za-z0-9]+")
_NANOSECONDS = re.compile(r"-\d{16,20}$")

Read = Callable[[PodFact, PodLabels], str | None]


def value(fact: PodFact, key: str | None) -> str | None:
    """Value of a pod's label; None if it is missing or ``key`` is None."""
    return label_value(fact.labels, key) if key else None


def name(text: str) -> str:
    """``text`` as a valid label value; if characters had to be removed, with a hash of the original."""
    plain = _INVALID_CHARACTERS.sub("-", text).strip("-_.")
    if plain == text and len(text) <= _MAX_NAME_LENGTH:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: _MAX_NAME_LENGTH - 9].rstrip('-_.')}-{digest}".lstrip("-")


def base(run: str) -> str:
    """The name that runs have in common: without the suffix of ``generateName`` or of a schedule."""
    long = _NANOSECONDS.search(run)
    if long is not None and long.start():
        return run[: long.start()]
    return scheduled_base(run) or generated_base(run) or run


@dataclass(frozen=True, slots=True)
class Preset:
    """The labels of one engine. ``keys`` are its label keys, ``more`` further ones that identify its pods; ``first`` is
    the number of a first attempt. ``written`` is what to paste where a workflow is defined, to set sizes, ``retries`` and
    ``concurrency`` the same for the retries of a step and the parallel pods of a run, where the engine documents such a
    setting; ``main`` are the containers whose sizes can be set there (None: each by its name), ``comment`` what begins a
    comment there. ``beside`` are containers whose exit does not affect the outcome. ``infers``: whether a pod's labels alone
    identify the engine. ``known_steps`` are steps that run beside all others of a run (daemons), or wait for what they
    create; a step only waits for the one of its name with ``work_suffix``, if any. ``try_of``: what pods of a step have in
    common if they are of one try of the whole run.
    ``found_by`` is a key that all its pods have, None for the workflow's. ``tests_changes``: whether its runs test changes
    of a program (CI). ``one_memory_size``: whether the memory that can be set is both request and limit."""

    title: str
    keys: PodLabels
    written: Callable[[Sizes], str | None]
    retries: Callable[[str, int], str | None] = lambda step, limit: None
    concurrency: Callable[[str, int], str | None] = lambda workflow, limit: None
    main: frozenset[str] | None = None
    comment: str = "#"
    more: tuple[str, ...] = ()
    first: int = 0
    beside: frozenset[str] = frozenset()
    infers: bool = True
    of_workflow: Read = field(default=lambda fact, keys: value(fact, keys.workflow))
    of_run: Read = field(default=lambda fact, keys: value(fact, keys.run))
    of_step: Read = field(default=lambda fact, keys: value(fact, keys.step))
    try_of: TryOf = one_try
    known_steps: tuple[StepSpec, ...] = ()
    work_suffix: str = ""
    found_by: str | None = None
    tests_changes: bool = False
    one_memory_size: bool = False

    @property
    def name(self) -> str:
        """Its name in profiles and policies."""
        return self.keys.preset or "podLabels"

    def remedies(self, sizes: Sizes) -> str | None:
        """What to paste where a workflow is defined, to set these sizes. A container beside the work has none there: its
        size, set for the work, would starve that."""
        own = {place: values for place, values in sizes.items() if self.main is None or place[1] in self.main}
        others = [
            f"{self.comment} step {step}, container {container}: set where that container is added to the pod"
            for step, container in sizes
            if (step, container) not in own
        ]
        return "\n".join([*filter(None, [self.written(own) if own else None]), *others]) or None

    def labels(self, override: PodLabels) -> PodLabels:
        """Its label keys, overridden by those that a profile or policy sets."""
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
        """The key that selects its pods among all others."""
        return self.found_by or keys.workflow

    def read(self, keys: PodLabels) -> tuple[str, ...]:
        """All keys that it reads."""
        return tuple(dict.fromkeys((*keys.keys, *self.more, *((self.found_by,) if self.found_by else ()))))

    def workflow(self, fact: PodFact, keys: PodLabels) -> str | None:
        """The workflow that a pod belongs to; None if its labels do not identify one."""
        if keys.workflow != self.keys.workflow:
            return value(fact, keys.workflow)
        return self.of_workflow(fact, keys)

    def run(self, fact: PodFact, keys: PodLabels) -> str | None:
        """The run that a pod belongs to; None if its labels do not identify one."""
        return value(fact, keys.run) if keys.run != self.keys.run else self.of_run(fact, keys)

    def step(self, fact: PodFact, keys: PodLabels) -> str:
        """The step of a pod."""
        step = value(fact, keys.step) if keys.step != self.keys.step else self.of_step(fact, keys)
        return name(step) if step else MAIN

    def item(self, fact: PodFact, keys: PodLabels) -> str | None:
        """The item of a pod, for steps with several; None otherwise."""
        item = value(fact, keys.item)
        return name(item) if item else None

    def attempt(self, fact: PodFact, keys: PodLabels) -> int | None:
        """The attempt of a pod, from 0; None if the labels do not number attempts."""
        text = value(fact, keys.attempt)
        if text is None or not text.isascii() or not text.isdigit() or len(text) > 4:
            return None
        number = int(text) - (self.first if keys.attempt == self.keys.attempt else 0)
        return number if 0 <= number <= _MAX_ATTEMPTS else None

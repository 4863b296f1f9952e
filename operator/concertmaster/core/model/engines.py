"""Engine properties that the core depends on. Engines declare them; no rule or check names an engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""Label of the runs or pods that Kueue admits, and the key of its value among the declared fields of a workflow."""

PARTIAL_ADMISSION = "kueue.x-k8s.io/job-min-parallelism"
"""Annotation of Jobs of which Kueue may admit fewer pods at a time than they ask for, and its key among declared fields."""

POD_BY_POD = "podByPod"
"""Key among the declared fields of a workflow whose pods Kueue admits one by one, not its runs."""

_NO_INHERITANCE = (re.compile(r"(?!)"), "")  # matches nothing
_AMOUNT = re.compile(r"/(requests|limits)/[^/]+$")


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """One kind of Kubernetes object an engine reads, and its patchable fields.

    ``short``: prefix of the names of discovered profiles; None when policies cannot discover the kind. ``alias``: kubectl's
    short name, where that is another one. ``fields``: patterns of patchable JSON pointers, each with a group ``resource``
    (cpu, memory or parallelism). ``inherits``: a pattern of pointers, and the template of the pointer whose value applies
    when the first is not set.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    short: str | None = None
    alias: str | None = None
    fields: tuple[re.Pattern[str], ...] = ()
    inherits: tuple[re.Pattern[str], str] = _NO_INHERITANCE
    respelled: bool = False  # the API server or the engine's webhook stores 1 for 1000m in the manifest
    compared: bool = False  # the engine may fail running workflows when the stored object changes
    referred: bool = False  # other workflows may run its templates, so that it needs no runs of its own

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version without its group."""
        return self.api_version.rpartition("/")[2]

    def resource(self, pointer: str) -> str | None:
        """The resource set by a patchable pointer, else None."""
        match = next((m for p in self.fields if (m := p.fullmatch(pointer)) is not None), None)
        return None if match is None else match["resource"]

    def tests_spelling(self, operation: Mapping[str, object]) -> bool:
        """Whether a JSON Patch operation tests an amount that the manifest may spell otherwise than the stored object."""
        tests = self.respelled and operation["op"] == "test" and operation["value"] is not None
        return tests and _AMOUNT.search(str(operation["path"])) is not None

    def inherited(self, pointer: str) -> str | None:
        """The pointer whose value applies when ``pointer`` is not set; None where nothing is inherited."""
        pattern, template = self.inherits
        match = pattern.fullmatch(pointer)
        return None if match is None else match.expand(template)


PatchableKinds = Mapping[str, ObjectKind]
"""The kinds of objects that a change may patch, by name."""


Sizes = Mapping[tuple[str, str], Mapping[str, str]]
"""Quantities to set: by step and container, and by ``requests.cpu``, ``limits.memory`` and so on."""


def _as_written(container: str) -> str | None:
    return container


@dataclass(frozen=True, slots=True)
class Scheduler:
    """The object whose schedule starts runs, with its relevant fields as written."""

    kind: str
    name: str
    declared: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """How manifests of one engine express what rules refer to. Compared by name only.

    A field is None where the engine lacks the feature, so that no rule proposes it.
    """

    name: str
    kinds: tuple[ObjectKind, ...] = field(default=(), compare=False)  # objects that define workflows, or parts of them
    deadline_field: str | None = field(default=None, compare=False)  # of a step, in seconds
    deadline_of_run: bool = field(default=False, compare=False)
    """Whether the deadline applies to the whole run, including retries."""
    retry_limit_fields: tuple[str, ...] = field(default=(), compare=False)
    """Of a step; the first that is declared, else the last."""
    retry_strategy_field: str | None = field(default=None, compare=False)  # of a step, with limit, policy and back-off
    memoize_field: str | None = field(default=None, compare=False)
    exit_handler: bool = field(default=False, compare=False)
    clean_up_fields: tuple[str, ...] = field(default=(), compare=False)  # of the workflow; one of them is enough
    keeps_few_scheduled: bool = field(default=False, compare=False)  # old scheduled runs are removed by default
    starts_late: bool = field(default=False, compare=False)
    """With Forbid and no startingDeadlineSeconds, the last start held back takes place after the run; else none does."""
    injected_containers: tuple[tuple[str, bool], ...] = field(default=(), compare=False)
    """Added to every pod: name, and whether it ends before the others start."""
    single_step: bool = field(default=False, compare=False)  # workflows have one step, named like the workflow
    starts_when_ready: bool = field(default=False, compare=False)  # a step may wait for another to be ready, not to end
    work_suffix: str = field(default="", compare=False)
    """A step only waits for the step of its name with this suffix, if there is one; empty: none does."""
    container_name: Callable[[str], str | None] = field(default=_as_written, compare=False)
    """The name a container of a pod has in the manifest; None where it has none there."""
    one_memory_size: bool = field(default=False, compare=False)
    """Whether the one size of memory that can be set is both request and limit of a container."""
    tests_changes: bool = field(default=False, compare=False)
    """Whether runs test changes of a program (CI): that one fails may be its result, which a retry only repeats."""
    caller: re.Pattern[str] | None = field(default=None, compare=False)
    """Matches pointers below the element that calls a step."""
    sets_resources: tuple[str, ...] = field(default=(), compare=False)
    """What may give pods other requests and limits than the definition declares, each with its article."""
    remedies: Callable[[Sizes], str | None] = field(default=lambda sizes: None, compare=False)
    """What to write where a workflow is defined, in the engine's own words, to set sizes; None where a patch does it."""
    retries: Callable[[str, int], str | None] = field(default=lambda step, limit: None, compare=False)
    """The same for the number of retries of a step."""
    concurrency: Callable[[str, int], str | None] = field(default=lambda workflow, limit: None, compare=False)
    """The same for how many pods of a run of a workflow may run at a time."""

    def __str__(self) -> str:
        return self.name

    def object_kind(self, kind: str) -> ObjectKind | None:
        """The kind of that name; None when the engine has no such kind."""
        return next((k for k in self.kinds if k.kind == kind), None)

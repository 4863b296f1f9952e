"""Input sizes of runs: the values that ``spec.inputs`` of a profile or policy refers to, read from run objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from concertmaster.core.known import total
from concertmaster.core.model import InputSource, RunRecord, StepExecution
from concertmaster.core.model.inputs import sources_of
from concertmaster.core.model.scalars import Quantity, ScalarError
from concertmaster.engines.common.jsonpath import JsonPathError, find
from concertmaster.engines.common.manifest import Problems, mapping, shown, text
from concertmaster.engines.common.objects import mappings

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NamedValues:
    """Named values of an object, as text."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)

    def of(self, source: InputSource) -> str | None:
        """The value that ``source`` names; None if it is missing, or if ``source`` is a JSONPath."""
        for values, name in (
            (self.parameters, source.parameter),
            (self.annotations, source.annotation),
            (self.env, source.env),
        ):
            if name is not None:
                return values.get(name)
        return None


@dataclass(frozen=True, slots=True)
class RunValues:
    """Named values of a run: of the run as a whole, and of each of its pods by pod name."""

    run: NamedValues = NamedValues()
    pods: Mapping[str, NamedValues] = field(default_factory=dict)


ValuesOf = Callable[[Raw, Sequence[Raw]], RunValues]
"""Returns the named values of a run object and its children."""


def with_inputs(
    record: RunRecord, sources: Sequence[InputSource], raw: Raw, children: Sequence[Raw], read: ValuesOf
) -> tuple[RunRecord, tuple[str, ...]]:
    """``record`` with the input sizes that ``sources`` refer to, and messages about values that are not valid sizes.

    ``read`` returns the named values of the run ``raw`` and its ``children``. For each step the first source with a
    size applies: sources of the step before sources of every step, and for one source the pod's own value before the
    run's. The size of the run as a whole comes from sources without a step.
    """
    if not sources:
        return record, ()
    problems, values = Problems(), read(raw, children)
    whole = {s: _of_run(s, raw, values, record.run, problems) for s in sources}
    steps = tuple(
        e
        if (size := _of_step(e, sources, whole, values, record.run, problems)) is None
        else replace(e, input_size=size)
        for e in record.steps
    )
    run = next((size for s in sources if s.step is None and (size := whole[s]) is not None), None)
    return replace(record, steps=steps, input_size=run), problems.all()


def _of_run(source: InputSource, raw: Raw, values: RunValues, run: str, problems: Problems) -> float | None:
    if source.json_path is None:
        return _size(values.run.of(source), source, run, problems)
    try:
        texts = find(source.json_path, raw)
    except JsonPathError as error:
        problems.add(f"spec.inputs: {error}")
        return None
    return total(_size(v, source, run, problems) for v in texts)


def _of_step(
    e: StepExecution,
    sources: Sequence[InputSource],
    whole: Mapping[InputSource, float | None],
    values: RunValues,
    run: str,
    problems: Problems,
) -> float | None:
    own = values.pods.get(e.pod or "")
    for source in sources_of(sources, e.step):
        size = _size(own.of(source), source, run, problems) if own is not None else None
        size = whole[source] if size is None else size
        if size is not None:
            return size
    return None


def _size(value: object, source: InputSource, run: str, problems: Problems) -> float | None:
    """A number or quantity of at least 0; None if missing or invalid."""
    if value is None or isinstance(value, bool):
        return None
    written = text(value, f"{source} of run {run}", problems)
    if written is None:
        return None
    try:
        size = Quantity(written.strip()).bytes
    except ScalarError:
        size = -1.0
    if size < 0:
        problems.add(f"spec.inputs: {source} of run {run} is {shown(written)}, neither a number nor a quantity")
        return None
    return size


def parameters_of(rows: object, where: str) -> dict[str, str]:
    """Parameters from a list of objects with ``name`` and ``value``, as used by Argo, Tekton and containers. Entries
    without a literal value are skipped."""
    ignored = Problems()
    named: dict[str, str] = {}
    for row in mappings(rows, where, ignored):
        name, value = row.get("name"), row.get("value")
        if isinstance(name, str) and isinstance(value, str | int | float) and not isinstance(value, bool):
            named[name] = str(value)
    return named


def annotations_of(raw: Raw) -> dict[str, str]:
    """Annotations of an object."""
    ignored = Problems()
    meta = mapping(raw.get("metadata"), "metadata", ignored)
    return {k: str(v) for k, v in mapping(meta.get("annotations"), "metadata.annotations", ignored).items()}


def of_annotations(raw: Raw, children: Sequence[Raw]) -> RunValues:
    """Values of a run that has only its own annotations."""
    return RunValues(NamedValues(annotations=annotations_of(raw)))


def of_pods(templates: Callable[[Raw], Iterable[Raw]]) -> ValuesOf:
    """Values of a run whose children are pods: those of the run are the annotations and environment of its pod
    templates, which ``templates`` returns; each pod adds its own."""

    def values(raw: Raw, pods: Sequence[Raw]) -> RunValues:
        of_run = [_pod(t) for t in templates(raw)]
        return RunValues(
            NamedValues(
                annotations={k: v for t in of_run for k, v in t.annotations.items()} | annotations_of(raw),
                env={k: v for t in of_run for k, v in t.env.items()},
            ),
            {str(mapping(p.get("metadata"), "metadata", Problems()).get("name")): _pod(p) for p in pods},
        )

    return values


def _pod(raw: Raw) -> NamedValues:
    """Annotations and literal environment variables of a pod or pod template."""
    ignored = Problems()
    spec = mapping(raw.get("spec"), "spec", ignored)
    env: dict[str, str] = {}
    for container in mappings(spec.get("containers"), "containers", ignored):
        env |= parameters_of(container.get("env"), "env")
    return NamedValues(annotations=annotations_of(raw), env=env)

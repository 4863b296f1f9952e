"""Units of sizing recommendations: one container of one template, however many steps use it.

Several steps may use the same template, and a size applies to all of them. Their executions are therefore combined: the
largest peak of a run counts, whichever step had it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from concertmaster.core import text
from concertmaster.core.analysis.runs.usage import RunUsage, together
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.fast_init import fast_init
from concertmaster.core.model import POD, Finding, StepSpec
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.stats.exact import is_over


@fast_init
@dataclass(frozen=True, slots=True)
class SizingUnit:
    """A container with its usage over all steps that run it. ``step``: the one that delays runs most."""

    step: StepAnalysis
    container: ContainerUsage
    others: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Step and container, as tables name them."""
        return f"{self.step.step}/{self.container.name}"

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of all these steps."""
        return self.step.step, *self.others

    def described(self, finding: Finding) -> Finding:
        """The finding, with the other affected steps named."""
        if not self.others:
            return finding
        verb = "runs" if len(self.others) == 1 else "run"
        note = f"; {text.listing(list(self.others))} {verb} the same template and counted in"
        return replace(finding, because=finding.because + note)


def sizing_units(
    analysis: Analysis, resource: str, sections: Sequence[str] = ("requests", "limits"), *, inits: bool = False
) -> Iterator[SizingUnit]:
    """Every container of every template, in the order of the graph, without steps that were removed, and without init
    containers that end before the others unless ``inits``. Steps whose pods have another amount of the ``resource`` in one
    of the ``sections`` than the template declares are units of their own, as what it declares has no effect on them; all
    others of the template are one, as a change of its field applies to all."""
    groups: dict[str, list[tuple[StepAnalysis, ContainerUsage]]] = {}
    for step in analysis.steps:
        if step.spec is None and _removed(analysis, step):
            continue
        for container in (c.as_declared(resource) for c in (*step.containers, *(step.inits if inits else ()))):
            key = container.place or f"{_template(step)} {container.name}"
            if container.overrides:
                elsewhere = [container.overridden(section, resource) for section in sections]
                key += "".join(f" {section} {o.have}" for section, o in zip(sections, elsewhere, strict=True) if o)
            groups.setdefault(key, []).append((step, container))
    for members in groups.values():
        declared = [m for m in members if m[0].spec is not None] or members
        first = max(declared, key=lambda m: m[0].path.drag if m[0].path is not None else 0.0)
        others = tuple(s.step for s, _ in members if s is not first[0])
        members.sort(key=lambda member: any(of == resource for _, of in member[1].overrides))  # as declared first
        yield SizingUnit(first[0], _together(members, resource) if others else first[1], others)


def _template(step: StepAnalysis) -> str:
    """What the fields of a step that cannot be patched belong to: a template of another object, or the step itself."""
    spec = step.spec
    return f"{spec.template_in} {spec.template}" if spec is not None and spec.template_in else step.step


def _removed(analysis: Analysis, step: StepAnalysis) -> bool:
    """Whether the newest runs lack a step that the definition does not declare: it was removed, or has another name."""
    ran = {time for container in step.containers for time in container.columns["time"]}
    return is_over([run.end in ran for run in analysis.runs])


def defaulted(evidence: Evidence, unit: SizingUnit, resource: str) -> SizingUnit:
    """The unit with the request and the limit that a LimitRange gives its container, which declares neither: these are
    what its pods reserve and have."""
    container, request, limit = unit.container, f"{resource}_request", f"{resource}_limit"
    if getattr(container, request) is not None or getattr(container, limit) is not None or container.name == POD:
        return unit
    asked, most = evidence.capacity.defaults(resource)
    if asked is None:
        return unit
    return replace(unit, container=replace(container, **{request: asked, limit: most}))  # type: ignore[arg-type]


def shared(analysis: Analysis, spec: StepSpec) -> bool:
    """Whether other steps use the same template, to which any change applies as well."""
    return spec.pointer is not None and sum(s.pointer == spec.pointer for s in analysis.definition.graph.steps) > 1


def _together(members: Sequence[tuple[StepAnalysis, ContainerUsage]], resource: str) -> ContainerUsage:
    """The container of several steps as one, worked out once for all rules that ask for it: for all resources, unless only
    the pods count that have what is declared of the ``resource``."""
    containers = [container for _, container in members]
    key = "together", any(c.partial for c in containers) and resource, *(step.step for step, _ in members)
    return containers[0].remembered(key, lambda: _merged(containers))


def _merged(rows: Sequence[ContainerUsage]) -> ContainerUsage:
    executions, ambiguous = sum(c.executions for c in rows), sum(c.ambiguous for c in rows)
    unsampled = sum(c.unsampled for c in rows)
    by_time: dict[float, list[RunUsage]] = {}
    for run in (r for c in rows for r in c.runs):
        by_time.setdefault(run.time, []).append(run)
    return replace(
        rows[0],
        executions=executions,
        ambiguous=ambiguous,
        unsampled=unsampled,
        unsampled_before=sum(c.unsampled_before for c in rows),
        coverage=(executions - ambiguous - unsampled) / executions if executions else None,
        runs=tuple(together(time, of_time) for time, of_time in sorted(by_time.items())),
        declared_runs={resource: runs for c in rows for resource, runs in c.declared_runs.items()},
        partial=any(c.partial for c in rows),
    )


def by_unit(
    evidence: Evidence, resource: str, find: Callable[[Evidence, SizingUnit], Finding | None], *, inits: bool = False
) -> Iterator[Finding]:
    """Findings of ``find`` for each unit of the ``resource``, init containers if ``inits``."""
    for unit in sizing_units(evidence.analysis, resource, inits=inits):
        finding = find(evidence, unit)
        if finding is not None:
            yield unit.described(finding)

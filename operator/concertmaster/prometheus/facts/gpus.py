"""GPUs of pods: what they requested, by kube-state-metrics, and how busy they were, by DCGM. Pure.

kube-state-metrics writes the name of an extended resource with underscores; the name that people know is put together
again. A GPU counts as active when it was busy at any moment, so that one which is merely held stands out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.drafts import ContainerDraft, PodDraft, PodName
from concertmaster.prometheus.queries.extended import EXPORTED
from concertmaster.prometheus.queries.scope import LabelScheme

ACTIVE_UTILIZATION = 0.05  # highest use (0 to 1) from which a GPU counts as active: a mere context on it stays below

GpuUse = dict[tuple[str, str, str], dict[str, dict[str, float]]]  # (namespace, pod, container) -> GPU -> stat -> value

_DOMAIN = "_com_"


def read_gpus(vector: Vector, scheme: LabelScheme, use: GpuUse) -> None:
    """Merge an answer of the ``gpus`` query by maximum per GPU, all values as shares (0 to 1)."""
    plain = [scheme.name(label).removeprefix(EXPORTED) for label in ("namespace", "pod", "container")]
    names = ("stat", "UUID", "gpu", "GPU_I_ID", *plain, *(EXPORTED + name for name in plain))
    for (stat, device, index, part, *places), value in vector.select(*names):
        moved = stat.startswith(EXPORTED)
        namespace, pod, container = places[3:] if moved else places[:3]
        name = stat.removeprefix(EXPORTED)
        share = value / 100.0 if name.startswith("util") else value
        seen = use.setdefault((namespace, pod, container), {}).setdefault(f"{device or index}/{part}", {})
        seen[name] = max(min(1.0, max(0.0, share)), seen.get(name, 0.0))


def requests_gpus(draft: PodDraft) -> bool:
    """Whether a container of the pod requests any."""
    return any(_request(inside) is not None for inside in draft.containers.values())


def with_gpus(
    facts: Iterable[PodFact], drafts: Iterable[PodDraft], use: GpuUse, *, reused: Set[PodName]
) -> tuple[PodFact, ...]:
    """Facts with requests and use of GPUs. The series know a pod by its name only: where a name was borne by several
    pods, use stays unknown."""
    inside = {draft.uid: draft.containers for draft in drafts if requests_gpus(draft)}
    return tuple(
        replace(fact, containers=tuple(_container(fact, c, inside[fact.uid], use, reused) for c in fact.containers))
        if fact.uid in inside
        else fact
        for fact in facts
    )


def _container(
    pod: PodFact, fact: ContainerFact, drafts: Mapping[str, ContainerDraft], use: GpuUse, reused: Set[PodName]
) -> ContainerFact:
    requested = _request(drafts[fact.name]) if fact.name in drafts else None
    if requested is None:
        return fact
    resource, amount = requested
    fact = replace(fact, gpu_resource=resource, gpu_request=amount)
    devices = use.get((pod.namespace, pod.pod, fact.name), {})
    if not devices or (pod.namespace, pod.pod) in reused:
        return fact
    means = [seen.get("active.mean", seen.get("util.mean", 0.0)) for seen in devices.values()]
    peaks = [seen.get("active.peak", seen.get("util.peak", 0.0)) for seen in devices.values()]
    return replace(fact, gpu_used=sum(means), gpus_active=float(sum(peak >= ACTIVE_UTILIZATION for peak in peaks)))


def _request(inside: ContainerDraft) -> tuple[str, float] | None:
    """Resource and number of GPUs a container holds. Extended resources may not differ in request and limit."""
    requests = {
        name: n for side in (inside.limits, inside.requests) for name, n in side.items() if _DOMAIN in name and n > 0
    }
    if not requests:
        return None
    return resource_name(max(requests, key=lambda name: (requests[name], name))), sum(requests.values())


def resource_name(exported: str) -> str:
    """The name of an extended resource: ``nvidia.com/mig-1g.5gb`` from ``nvidia_com_mig_1g_5gb``."""
    vendor, _, resource = exported.partition(_DOMAIN)
    name = f"mig-{resource.removeprefix('mig_')}" if resource.startswith("mig_") else resource
    return f"{vendor.replace('_', '.')}.com/{name.replace('_', '.')}"

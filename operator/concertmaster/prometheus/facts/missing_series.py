"""Which series a metrics source lacks, the effect of that, and the fix. Pure: judged by the facts that came out.

Widely used allow-lists drop several of the series that matter here, and nothing fails when they do: a figure is just
unknown forever. So the absence is reported, with the setting that fixes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.prometheus.facts.drafts import PodDraft
from concertmaster.prometheus.facts.vanished_pods import ScrapeTargets

MIN_EXAMPLES = 3  # pods or containers needed before "none of them has it" is significant

_KEEP = "keep it in the metric allow-list or relabelling of the kube-state-metrics scrape"
_DCGM = "scrape NVIDIA's dcgm-exporter with its mapping of GPUs to pods (DCGM_EXPORTER_KUBERNETES=true)"
_KUBELET = "keep it in the metric relabelling of the kubelet's /metrics/cadvisor scrape"


@dataclass(frozen=True, slots=True)
class MissingSeries:
    """Something the metrics source does not have: ``series`` names it, ``effect`` what stays unknown, ``fix`` what to
    change.

    ``essential`` marks what recommendations cannot do without.
    """

    series: str
    effect: str
    fix: str
    essential: bool = False

    def __str__(self) -> str:
        return f"{self.series}: {self.effect}; {self.fix}."


SERIES: tuple[MissingSeries, ...] = (
    MissingSeries("kube_pod_info", "no pod can be assigned to a run", _KEEP, True),
    MissingSeries(
        "kube_pod_status_phase", "how pods ended is unknown but for the reasons of their containers", _KEEP, True
    ),
    MissingSeries("kube_pod_container_state_started", "durations of steps stay unknown", _KEEP, True),
    MissingSeries("kube_pod_completion_time", "the end of a pod is only known to a scrape", _KEEP, True),
    MissingSeries(
        "kube_pod_container_resource_requests", "requests are unknown where no definition tells them", _KEEP, True
    ),
    MissingSeries("kube_pod_created", "waiting before a pod is scheduled stays unknown", _KEEP),
    MissingSeries("kube_pod_status_scheduled_time", "time in the scheduler's queue stays unknown", _KEEP),
    MissingSeries("kube_pod_start_time", "time for image pull and start stays unknown", _KEEP),
    MissingSeries("kube_pod_container_info", "image changes cannot be detected", _KEEP),
    MissingSeries("container_cpu_usage_seconds_total", "CPU use stays unknown", _KUBELET, True),
    MissingSeries("container_memory_working_set_bytes", "memory use stays unknown", _KUBELET, True),
    MissingSeries("container_memory_max_usage_bytes", "memory peaks between two scrapes are not seen", _KUBELET),
)
"""The series that facts are made of, each as it is reported where it is missing."""
_COMPLETION, _PHASE = "kube_pod_completion_time", "kube_pod_status_phase"
_BY_NAME = {missing.series: missing for missing in SERIES}

_PODS: dict[str, Callable[[PodFact], object]] = {
    "kube_pod_created": lambda pod: pod.created,
    "kube_pod_status_scheduled_time": lambda pod: pod.scheduled,
    "kube_pod_start_time": lambda pod: pod.started,
    "kube_pod_status_phase": lambda pod: pod.phase,
}
_CONTAINERS: dict[str, Callable[[ContainerFact], object]] = {
    "kube_pod_container_state_started": lambda inside: inside.started,
    "kube_pod_container_info": lambda inside: inside.image,
    "container_cpu_usage_seconds_total": lambda inside: inside.cpu_seconds,
    "container_memory_working_set_bytes": lambda inside: inside.memory_sampled_peak,
    "container_memory_max_usage_bytes": lambda inside: inside.memory_kernel_peak,
}


def absent(facts: Sequence[PodFact]) -> list[MissingSeries]:
    """Series that none of the facts has although they could, and containers whose series cannot be attributed. A container
    may have no requests: whether theirs are missing, the definition tells (``core.analysis.data_warnings``)."""
    ended = [pod for pod in facts if not pod.vanished]
    missing = []
    if len(ended) >= MIN_EXAMPLES:
        missing += [_BY_NAME[name] for name, get in _PODS.items() if all(get(pod) is None for pod in ended)]
        if all(pod.reason is None for pod in ended) and _failed_without_reason(ended):
            missing.append(
                MissingSeries(
                    "kube_pod_container_status_terminated_reason",
                    "causes of failed pods are unknown (out of memory, deadline, error)",
                    _KEEP,
                )
            )
    containers = [inside for pod in facts for inside in pod.containers if not inside.init]
    if len(containers) >= MIN_EXAMPLES:
        missing += [
            _BY_NAME[name] for name, get in _CONTAINERS.items() if all(get(inside) is None for inside in containers)
        ]
        limited = [inside for inside in containers if inside.cpu_limit is not None and inside.cpu_seconds is not None]
        if len(limited) >= MIN_EXAMPLES and all(inside.throttled_share is None for inside in limited):
            missing.append(
                MissingSeries("container_cpu_cfs_throttled_periods_total", "throttling is not seen", _KUBELET)
            )
        held = [
            inside for inside in containers if inside.gpu_request and (inside.gpu_resource or "").startswith("nvidia")
        ]
        if len(held) >= MIN_EXAMPLES and all(inside.gpu_used is None for inside in held):
            missing.append(MissingSeries("DCGM_FI_DEV_GPU_UTIL", "whether requested GPUs are used is unknown", _DCGM))
        vague = [inside for inside in containers if inside.ambiguous]
        if vague:
            missing.append(
                MissingSeries(
                    "label id of the container series",
                    f"{len(vague)} of {len(containers)} containers cannot be distinguished from others of the"
                    " same name and get no size recommendations",
                    "do not drop the label id in the metric relabelling of the kubelet's /metrics/cadvisor scrape",
                )
            )
    return missing


def ends(drafts: Sequence[PodDraft]) -> list[MissingSeries]:
    """That no pod has its completion time, although some succeeded: a pod that failed may not have had a container. Or that
    none has a phase."""
    succeeded = [draft for draft in drafts if "Succeeded" in draft.phases]
    lacking = []
    if len(succeeded) >= MIN_EXAMPLES and not any(_COMPLETION in draft.times for draft in succeeded):
        lacking.append(_BY_NAME[_COMPLETION])
    if len(succeeded) >= MIN_EXAMPLES and all(draft.stood_in or not draft.phases for draft in drafts):
        lacking.append(_BY_NAME[_PHASE])
    return lacking


def prices(facts: Sequence[PodFact]) -> list[MissingSeries]:
    """That prices of nodes are unknown, where a policy uses them."""
    placed = [pod for pod in facts if pod.node]
    if len(placed) < MIN_EXAMPLES or any(pod.instance_type or pod.node_prices for pod in placed):
        return []
    return [
        MissingSeries(
            "kube_node_labels and node_cpu_hourly_cost",
            "prices by node are unknown and the flat prices of the policy are used",
            "export node labels (kube-state-metrics --metric-labels-allowlist=nodes=[node.kubernetes.io/instance-type,...])"
            " for pricing.source NodeTable, or scrape OpenCost for OpenCost",
        )
    ]


def state_metrics(targets: ScrapeTargets, held: int) -> list[MissingSeries]:
    """What the state of the targets that expose pods means for pods held back."""
    missing = []
    if targets.lost:
        down = ", ".join(sorted(instance for _, instance in targets.down)) or "its target is gone"
        missing.append(
            MissingSeries(
                "kube_pod_info",
                f"kube-state-metrics is down ({down}), so {held} running pods cannot be distinguished from finished ones",
                "bring it back; nothing is lost meanwhile",
                essential=True,
            )
        )
    elif held and not targets.known:
        missing.append(
            MissingSeries(
                "up",
                f"{held} pods disappeared and it is unknown whether they finished or kube-state-metrics stopped",
                "let the operator read the series up of the kube-state-metrics job",
            )
        )
    return missing


def renamed(labels: Sequence[str], family: str) -> MissingSeries:
    """A scrape that moved labels away, found and read all the same."""
    return MissingSeries(
        f"labels {', '.join(labels)} of the {family} series",
        f"the scrape renamed them to {', '.join(f'exported_{label}' for label in labels)};"
        " they are read from there, dashboards and user queries are not",
        "set honor_labels: true (honorLabels in a ServiceMonitor) for that scrape",
    )


def nothing(namespaces: Sequence[str]) -> MissingSeries:
    """No pod information at all for a scope. The namespaces are counted, not named: other tenants read this too."""
    scope = f"the {len(namespaces)} namespaces read" if len(namespaces) > 1 else "the namespaces read"
    return MissingSeries(
        "kube_pod_info",
        f"no recent samples for {scope}",
        "check that kube-state-metrics is scraped, that extraMatchers of the source are right and that its"
        " --namespaces option does not leave them out",
        essential=True,
    )


def _failed_without_reason(pods: Sequence[PodFact]) -> bool:
    failed = [pod for pod in pods if pod.phase == "Failed"]
    return len(failed) >= MIN_EXAMPLES and all(inside.reason is None for pod in failed for inside in pod.containers)

"""Whether kube-state-metrics exports the pod labels by which engines tell the runs and steps of finished pods."""

from __future__ import annotations

from concertmaster.engines.base import Engine
from concertmaster.engines.jobs.engine import ENGINE as JOB
from concertmaster.engines.jobset.engine import ENGINE as JOBSET
from concertmaster.engines.rayjob.engine import ENGINE as RAYJOB
from concertmaster.engines.rayjob.pods import SERVES
from concertmaster.engines.tekton.engine import ENGINE as TEKTON
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.facts.missing_series import MissingSeries
from concertmaster.prometheus.queries.bulk import by_stat
from concertmaster.prometheus.queries.promql import equalities, matcher, selector
from concertmaster.prometheus.queries.scope import LabelScheme

_ENGINES: tuple[tuple[Engine, str, str, str], ...] = (
    (TEKTON, "TaskRun", "kube_pod_info", "created_by_kind"),
    (JOBSET, "JobSet", "kube_job_owner", "owner_kind"),
    (RAYJOB, "RayCluster", "kube_pod_info", "created_by_kind"),
)
"""Engines whose pods their names do not tell apart: the kind that owns their pods or Jobs, and the label that says so."""
_OPTIONAL = {SERVES}  # only some clusters have pods with it
_OWNER = "owner:"  # marks the presence of an owner among those of labels


def unexported_labels(client: PrometheusClient, now: float, within: str) -> MissingSeries | None:
    """The labels that no pod has in the range ``within`` before ``now`` (unix seconds), of engines with pods there; None
    where nothing is lacking. One query. Raises MetricsError."""
    source = client.source
    scheme, where = LabelScheme(source.labels.state_metrics), equalities(source.extra_matchers)

    def any_of(metric: str, match: str) -> str:
        return f"group(last_over_time({selector(metric, [*where, match])}{within}))"

    keys = {kind: [key for key in engine.pod_labels if key not in JOB.pod_labels] for engine, kind, _, _ in _ENGINES}
    parts = {_OWNER + kind: any_of(metric, scheme.match(label, "=", kind)) for _, kind, metric, label in _ENGINES}
    for key in (key for needed in keys.values() for key in needed):
        parts[key] = any_of("kube_pod_labels", matcher(scheme.pod_label(key), "!=", ""))
    seen = {stat for (stat,), _ in client.instant(by_stat(**parts), now, name="pod labels", whole=False).select("stat")}
    used = {kind: needed for kind, needed in keys.items() if _OWNER + kind in seen}
    lacking = [kind for kind, needed in used.items() if {*needed} - seen - _OPTIONAL]
    if not lacking:
        return None
    missing = [key for kind in lacking for key in used[kind] if key not in seen]
    wanted = ",".join(key for needed in used.values() for key in needed)  # the list is set as a whole
    return MissingSeries(
        "kube_pod_labels",
        f"no pod has {', '.join(missing)}: runs and steps of {' and '.join(lacking)} pods are guessed from names",
        f"add these to the pods of kube-state-metrics' --metric-labels-allowlist (exact keys): pods=[{wanted}]",
    )

"""Field names of JobSets that rules read. JobSets are immutable, so no field may be changed."""

from __future__ import annotations

from concertmaster.core.model import EngineTraits, ObjectKind

RUN = ObjectKind("jobset.x-k8s.io/v1alpha2", "JobSet", "jobsets")

JOBSET = EngineTraits(
    name="JobSet",
    kinds=(RUN,),
    deadline_field="activeDeadlineSeconds",
    deadline_of_run=True,
    retry_limit_fields=("failurePolicy.maxRestarts",),
    clean_up_fields=("ttlSecondsAfterFinished",),
    single_step=True,
    starts_when_ready=True,
)

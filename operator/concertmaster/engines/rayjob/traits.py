"""Field names of RayJobs that rules read. KubeRay uses the spec as of the start of the run, so no field may be
changed."""

from __future__ import annotations

from concertmaster.core.model import EngineTraits, ObjectKind

RUN = ObjectKind("ray.io/v1", "RayJob", "rayjobs")

RAYJOB = EngineTraits(name="RayJob", kinds=(RUN,), deadline_of_run=True, clean_up_fields=("shutdownAfterJobFinishes",))

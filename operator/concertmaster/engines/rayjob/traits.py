"""How RayJobs say what rules need to know. KubeRay takes the spec as it was when the run began: nothing is changed."""

from __future__ import annotations

from concertmaster.core.model import EngineTraits, ObjectKind

RUN = ObjectKind("ray.io/v1", "RayJob", "rayjobs")

RAYJOB = EngineTraits(name="RayJob", kinds=(RUN,), deadline_of_run=True, clean_up_fields=("shutdownAfterJobFinishes",))

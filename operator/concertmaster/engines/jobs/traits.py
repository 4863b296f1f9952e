"""Field names of Jobs and CronJobs that rules read, and the fields that changes may set."""

from __future__ import annotations

import re

from concertmaster.core.model import EngineTraits, ObjectKind

API = "batch/v1"
RUN = ObjectKind(API, "Job", "jobs")
_TEMPLATE = "/spec/jobTemplate/spec"

JOB = EngineTraits(
    name="Job",
    kinds=(
        ObjectKind(
            API,
            "CronJob",
            "cronjobs",
            short="cronjob",
            alias="cj",
            fields=(
                re.compile(rf"{_TEMPLATE}/(?P<resource>parallelism)"),
                re.compile(
                    rf"{_TEMPLATE}/template/spec/(containers|initContainers)/\d+"
                    r"/resources/requests/(?P<resource>cpu|memory)"
                ),
            ),
            respelled=True,
        ),
        RUN,
    ),
    deadline_field="activeDeadlineSeconds",
    deadline_of_run=True,
    retry_limit_fields=("backoffLimitPerIndex", "backoffLimit"),
    clean_up_fields=("ttlSecondsAfterFinished",),
    keeps_few_scheduled=True,
    starts_late=True,
    single_step=True,
)

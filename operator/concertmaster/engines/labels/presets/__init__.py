"""Presets for engines with documented pod labels, one module each."""

from collections.abc import Mapping

from concertmaster.engines.labels.preset import Preset
from concertmaster.engines.labels.presets.airflow import AIRFLOW
from concertmaster.engines.labels.presets.dagster import DAGSTER
from concertmaster.engines.labels.presets.flyte import FLYTE
from concertmaster.engines.labels.presets.github import GITHUB
from concertmaster.engines.labels.presets.gitlab import GITLAB
from concertmaster.engines.labels.presets.jenkins import JENKINS
from concertmaster.engines.labels.presets.kubeflow import PIPELINES, TRAINER
from concertmaster.engines.labels.presets.kuberay import KUBERAY
from concertmaster.engines.labels.presets.nextflow import NEXTFLOW
from concertmaster.engines.labels.presets.plain import PLAIN
from concertmaster.engines.labels.presets.prefect import PREFECT
from concertmaster.engines.labels.presets.spark import SPARK
from concertmaster.engines.labels.presets.volcano import VOLCANO

ALL: tuple[Preset, ...] = (
    AIRFLOW,
    DAGSTER,
    FLYTE,
    GITHUB,
    GITLAB,
    JENKINS,
    PIPELINES,
    KUBERAY,
    NEXTFLOW,
    PREFECT,
    SPARK,
    TRAINER,
    VOLCANO,
)
BY_NAME: Mapping[str, Preset] = {preset.name: preset for preset in ALL}

__all__ = ["ALL", "BY_NAME", "PLAIN"]

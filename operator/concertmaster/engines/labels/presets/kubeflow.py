"""Kubeflow Pipelines v2 and Kubeflow Trainer.

Pipelines run as Argo Workflows named ``<pipeline>-<five characters>``; pods have ``workflows.argoproj.io/workflow`` and
``pipeline/runid``. The task is only an annotation unless the pipeline sets a label for it
(``kubernetes.add_pod_label(task, "pipelines.kubeflow.org/task_name", ...)``); without that label the Argo template is
the step.

https://www.kubeflow.org/docs/components/pipelines/
https://kubeflow-pipelines.readthedocs.io (dsl.ParallelFor)

A TrainJob runs as a JobSet of the same name, whose pods have JobSet's labels; its replicated Jobs (``node``,
``dataset-initializer`` ...) are the steps.

https://www.kubeflow.org/docs/components/trainer/
"""

from __future__ import annotations

from concertmaster.core.model import PodFact, PodLabels
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.common.names import argo_pod_name
from concertmaster.engines.labels.preset import MAIN, PAUSE, Preset, base, value

_WORKFLOW, _V2 = "workflows.argoproj.io/workflow", "pipelines.kubeflow.org/v2_component"
_JOBSET = "jobset.sigs.k8s.io/"
_NODE = "node"  # the replicated Job that runs the training


def _pipeline(fact: PodFact, keys: PodLabels) -> str | None:
    run = value(fact, keys.workflow)
    return base(run) if run and value(fact, _V2) else None


def _task(fact: PodFact, keys: PodLabels) -> str | None:
    pod_name = argo_pod_name(value(fact, _WORKFLOW) or "", fact.pod)
    template = pod_name.template if pod_name is not None else None
    task = value(fact, keys.step)
    if task is None or template is None or template.endswith("-impl"):
        return task or template
    return f"{task}.{template.removeprefix('system-')}"  # the driver pod that prepares the task


def pipeline_remedies(sizes: Sizes) -> str | None:
    """Methods of a task in the pipeline's function."""
    names = {"requests": "request", "limits": "limit"}
    return snippets.joined(
        [
            [
                f"# task {step}",
                *(
                    f'task.set_{resource}_{names[section]}("{amount}")'
                    for section, amounts in snippets.sections(values, snippets.COMPUTE).items()
                    for resource, amount in amounts.items()
                ),
            ]
            for (step, _), values in sizes.items()
        ]
    )


def trainer_remedies(sizes: Sizes) -> str | None:
    """``resourcesPerNode`` of a TrainJob; the runtime's template for its other Jobs."""
    blocks = []
    for (step, container), values in sizes.items():
        if step == _NODE and container == _NODE:
            lines = [line.replace("resources:", "resourcesPerNode:", 1) for line in snippets.yaml_lines(values, 4)]
            blocks.append(["# TrainJob", "spec:", "  trainer:", *lines])
        else:
            lines = snippets.yaml_lines(values, 0)
            blocks.append([f"# TrainingRuntime: replicated Job {step}, container {container}", *lines])
    return snippets.joined(blocks)


def pipeline_retries(step: str, limit: int) -> str:
    return f'# task {step}\n.set_retry(num_retries={limit}, backoff_duration="{PAUSE}s", backoff_factor=2)'


def pipeline_concurrency(workflow: str, limit: int) -> str:
    return f"# the loop of {workflow} whose pods wait\nwith dsl.ParallelFor(items=items, parallelism={limit}) as item:"


PIPELINES = Preset(
    title="Kubeflow Pipelines",
    keys=PodLabels(_WORKFLOW, "pipeline/runid", "pipelines.kubeflow.org/task_name", preset="kubeflow-pipelines"),
    more=(_V2,),
    beside=frozenset({"wait"}),
    infers=False,
    of_workflow=_pipeline,
    of_run=lambda fact, keys: value(fact, keys.run) or value(fact, _WORKFLOW),
    of_step=_task,
    written=pipeline_remedies,
    retries=pipeline_retries,
    concurrency=pipeline_concurrency,
    main=frozenset({MAIN}),
)

TRAINER = Preset(
    title="Kubeflow Trainer",
    keys=PodLabels(
        f"{_JOBSET}jobset-name",
        f"{_JOBSET}jobset-name",
        f"{_JOBSET}replicatedjob-name",
        f"{_JOBSET}restart-attempt",
        "batch.kubernetes.io/job-completion-index",
        preset="kubeflow-trainer",
    ),
    infers=False,
    of_workflow=lambda fact, keys: base(run) if (run := value(fact, keys.workflow)) else None,
    written=trainer_remedies,
)

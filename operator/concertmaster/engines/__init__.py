"""Engines: turn workflow objects and pods into definitions and run records. Pure: no I/O, no clock.

``define`` and ``define_all`` read the definitions that cluster objects declare, ``infer_definitions`` derives workflows
from pod facts where nothing is declared, ``assign`` assigns every pod to one step of one run, ``RunBuilder`` builds run
records.
"""

from concertmaster.core.model import UNKNOWN_STEP
from concertmaster.engines.assign import assign
from concertmaster.engines.claims import Claims, children, end_alone, end_mark, ended
from concertmaster.engines.common.executions import merge_executions, with_merged_containers
from concertmaster.engines.common.placing import Assignment
from concertmaster.engines.define import define, define_all
from concertmaster.engines.graph.steps import Answers, from_queries
from concertmaster.engines.infer import complete, infer_definitions
from concertmaster.engines.jobs.pods import job_ends
from concertmaster.engines.live import LiveRun, span
from concertmaster.engines.outcomes import LOST_SECONDS, QUIET_SECONDS
from concertmaster.engines.reading import whole_run
from concertmaster.engines.registry import ENGINES, PATCHABLE, by_object, object_kind, run_kind
from concertmaster.engines.runs import RunBuilder, decided_at

__all__ = [
    "ENGINES",
    "LOST_SECONDS",
    "PATCHABLE",
    "QUIET_SECONDS",
    "UNKNOWN_STEP",
    "Answers",
    "Assignment",
    "Claims",
    "LiveRun",
    "RunBuilder",
    "assign",
    "by_object",
    "children",
    "complete",
    "decided_at",
    "define",
    "define_all",
    "end_alone",
    "end_mark",
    "ended",
    "from_queries",
    "infer_definitions",
    "job_ends",
    "merge_executions",
    "object_kind",
    "run_kind",
    "span",
    "whole_run",
    "with_merged_containers",
]

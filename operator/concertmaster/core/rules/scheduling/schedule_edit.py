"""Changes of the object that starts the runs of a workflow: the workflow itself, or another one."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.core.lifecycle import commands
from concertmaster.core.model import Edit, Finding, Scheduler
from concertmaster.core.rules.evidence import Evidence


def schedule_line(by: Scheduler) -> tuple[str, str] | None:
    """Pointer and text of the only cron schedule; None if there are several."""
    several = by.declared.get("schedules")
    if isinstance(several, list) and several:
        return ("/spec/schedules/0", several[0]) if len(several) == 1 and isinstance(several[0], str) else None
    one = by.declared.get("schedule")
    return ("/spec/schedule", one) if isinstance(one, str) else None


def with_edit(finding: Finding, evidence: Evidence, by: Scheduler, edit: Edit) -> Finding:
    """The finding with the edit, or with a command that patches the other object that starts the workflow."""
    key = evidence.analysis.definition.key
    if (by.kind, by.name) == (key.kind, key.name):
        return replace(finding, edits=(edit,))
    return replace(finding, how=commands.patch_other(key.namespace, by.kind, by.name, (edit,)))

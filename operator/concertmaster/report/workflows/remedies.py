"""What to do about a recommendation where no single command makes the change."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from concertmaster.api.labelled import labels_of
from concertmaster.core.model.enums import RuleName
from concertmaster.core.model.recommendations import rule_of
from concertmaster.core.rules.base import ELSEWHERE, GRADUAL, INIT
from concertmaster.core.rules.fetched import FETCHED
from concertmaster.engines.labels.definition import TRAITS, preset_of
from concertmaster.report.workflows import list_entries

# Rules that recommend to optimize a step: what-if shows the gain beforehand.
TRIED = frozenset(
    {
        RuleName.BOTTLENECK,
        RuleName.IO_BOUND,
        RuleName.NODE_SKEW,
        RuleName.OVERLAP_STAGES,
        RuleName.SPLIT_LONG_STEP,
        RuleName.STRAGGLER,
        RuleName.VARIANCE,
    }
)
_LEADING = re.compile(r"\d+")


def snippet(item: Mapping[str, Any], profile: Mapping[str, Any]) -> str | None:
    """The lines for a workflow's definition, in the words of an engine known by pod labels: as the operator says, else read
    off the status, so that sizes, retries and limits are known without the operator too."""
    labels = labels_of(profile.get("spec") or {})
    if item.get("snippet") or labels is None or INIT in str(item.get("action")):
        return item.get("snippet")
    rule, _, step = str(item["id"]).partition(".")
    traits = TRAITS[preset_of(labels).name]
    count = _LEADING.match(str(item.get("proposed") or ""))
    if rule == RuleName.RETRY_POLICY and count:
        return traits.retries(step, int(count[0]))
    if rule == RuleName.PARALLELISM and count:
        return traits.concurrency(labels.value, int(count[0]))
    sizes: dict[tuple[str, str], dict[str, str]] = {}
    for line in item.get("items") or ():
        row = list_entries.item_of(str(line))
        if row is not None:
            sizes.setdefault((row["step"] or "", row["container"] or ""), {})[row["field"] or ""] = row["new"] or ""
    return traits.remedies(sizes)


def failed_pod(item: Mapping[str, Any]) -> str:
    """The pod that an item about a failing step names; empty for none."""
    named = re.findall(r"pod ([a-z0-9.-]+)", str(item.get("evidence")))
    return next(iter(named), "") if rule_of(str(item["id"])) == RuleName.FAILING_STEP else ""


def _why_slower(item: Mapping[str, Any], step: str, get: str) -> tuple[str, str]:
    """Where to look for the cause of a regression. ``get``: the command that prints the definition; empty without one."""
    if GRADUAL in str(item.get("action")):
        return (
            f"Look for what grows with {step or 'the runs'}, such as its input, a table, a log or a cache: no single change"
            " explains it. Where a parameter or a metric has the size, set it as spec.inputs: runs are then compared at"
            " equal size",
            "",
        )
    if not get:
        return f"Compare the images and arguments of the pods of {step or 'each step'} before and after that moment", ""
    return "See which field of the definition was changed by whom, and when", f"{get} -o yaml --show-managed-fields"


def next_step(item: Mapping[str, Any], profile: Mapping[str, Any]) -> tuple[str, str]:
    """What to do where no single command can make the change: a sentence, and a command that helps (empty: none)."""
    rule, _, step = item["id"].partition(".")
    reference = (profile.get("spec") or {}).get("workflowRef") or {}
    meta = profile.get("metadata") or {}
    namespace, name = meta.get("namespace", "default"), meta.get("name", "")
    target = f"{reference['kind'].lower()} {reference['name']}" if reference else ""
    if rule == RuleName.DEGRADATION:
        return _why_slower(item, step, f"kubectl -n {namespace} get {target}" if target else "")
    if FETCHED in str(item.get("expected")):
        return f"Make the change at the source of the definition ({item['proposed']}): runs do not use {target}", ""
    if rule in (RuleName.CPU_REQUEST, RuleName.MEMORY_REQUEST, RuleName.RIGHT_SIZE):
        if snippet(item, profile):
            return f"Set {item['proposed']} where the workflow is defined", ""
        if ELSEWHERE in str(item.get("expected")):
            declared = target or "the definition"
            return f"Set {item['proposed']} in what overrides {declared} for the pods: its own value has no effect", ""
        pods = f"the pods of {step or 'its steps'} are defined"
        return f"Set {item['proposed']} where {pods}; the operator cannot see that place", ""
    if rule == RuleName.FAILING_STEP:
        pod = failed_pod(item)
        if pod and item.get("deleted"):
            return (
                f"Pod {pod} is deleted: read its log where logs are kept, or that of the next failed pod of {step}",
                "",
            )
        if pod:
            logs = f"kubectl -n {namespace} logs {pod} --all-containers --tail=100"
            return "Read the log of the failed pod while it is there", logs
        return f"Read the logs of the failed pods of {step}", ""
    if rule in TRIED and step:
        return (
            "Replay the runs with the step at half its duration, to see what a change would bring",
            f"kubectl concertmaster what-if {name} -n {namespace} --scale {shlex.quote(f'{step}=0.5')}",
        )
    if not target:
        return f"Where the pods of {step or 'its steps'} are defined: {item['proposed']}", ""
    return f"Make the change in the definition ({item['proposed']})", f"kubectl -n {namespace} edit {target}"

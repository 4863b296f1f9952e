"""Completed writes with user and time, from the API server's audit log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from concertmaster.controller.workflow_change import WorkflowChangeView

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {
            "level": "RequestResponse",
            "resources": [
                {"group": "batch", "resources": ["cronjobs"]},
                {"group": "concertmaster.dev", "resources": ["workflowchanges", "workflowchanges/status"]},
            ],
        },
        {"level": "RequestResponse", "resources": [{"group": "coordination.k8s.io"}]},
        {"level": "Metadata", "resources": [{"group": "concertmaster.dev"}]},
        {"level": "None"},
    ],
}
# Possible next phases of each phase: any other status has skipped a phase or gone back.
ORDER = {
    "": {"Proposed", "Failed", "Superseded"},
    "Proposed": {"Proposed", "Applied", "Completed", "Superseded", "Failed", "Conflict"},
    "Applied": {"Applied", "Proposed", "Verifying", "Superseded", "Failed", "Conflict"},
    "Verifying": {"Verifying", "Completed", "Conflict"},
    "Completed": {"Completed"},
    "Conflict": {"Conflict"},
    "Failed": {"Failed"},
    "Superseded": {"Superseded"},
}


@dataclass(frozen=True, slots=True)
class Write:
    """One completed write; ``after`` is the resulting object, if logged. ``came`` and ``at`` are the times at which the
    request arrived and completed (unix seconds)."""

    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    came: float
    at: float
    after: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


def arguments(directory: Path) -> list[str]:
    """Flags of the API server; the log is ``audit.log`` in ``directory``."""
    policy = directory / "audit-policy.yaml"
    policy.write_text(json.dumps(POLICY))
    log = directory / "audit.log"
    return [f"--audit-policy-file={policy}", f"--audit-log-path={log}", "--audit-log-mode=blocking"]


def writes(log: Path) -> list[Write]:
    """All writes that succeeded, in order of completion."""
    found = []
    for line in log.read_text().splitlines() if log.is_file() else ():
        entry = json.loads(line)
        ref = entry.get("objectRef") or {}
        code = (entry.get("responseStatus") or {}).get("code", 0)
        if not 200 <= code < 300 or "dryRun=" in entry["requestURI"]:
            continue
        resource = ref.get("resource", "") + (f"/{ref['subresource']}" if ref.get("subresource") else "")
        came, at = (_seconds(entry[key]) for key in ("requestReceivedTimestamp", "stageTimestamp"))
        after, user = entry.get("responseObject") or {}, entry["user"]["username"]
        name = ref.get("name") or str((after.get("metadata") or {}).get("name", ""))
        found.append(Write(user, entry["verb"], resource, ref.get("namespace", ""), name, came, at, after))
    return sorted(found, key=lambda write: write.at)


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def wrong_phases(found: Sequence[Write]) -> list[str]:
    """Statuses of changes with an invalid phase transition."""
    phases: dict[str, str] = {}
    wrong = []
    for write in found:
        if write.resource != "workflowchanges/status":
            continue
        change = WorkflowChangeView(write.after)
        before = phases.get(change.uid, "")
        if change.phase not in ORDER.get(before, set()):
            wrong.append(f"{change.ref}: {before or 'new'} -> {change.phase}")
        phases[change.uid] = change.phase
    return wrong


def seconds_with_two(found: Sequence[Write], users: Sequence[str]) -> tuple[int, int]:
    """Number of seconds in which one of these users began a write after another had acquired the lease, and number of
    lease transitions."""
    taken: list[tuple[float, str]] = []
    for write in found:
        if write.resource == "leases" and write.user in users:
            holder = str((write.after.get("spec") or {}).get("holderIdentity") or "")
            if holder and (not taken or taken[-1][1] != holder):
                taken.append((write.at, holder))
    wrong = set()
    for write in found:
        if write.user not in users or write.resource == "leases":
            continue
        holder = next((who for at, who in reversed(taken) if at <= write.came), write.user)
        if holder != write.user:
            wrong.add(int(write.came))
    return len(wrong), max(0, len(taken) - 1)


def tally(found: Sequence[Write]) -> Counter[str]:
    """Writes by user, without leases."""
    return Counter(write.user for write in found if write.resource != "leases")


def trail(found: Sequence[Write], key: tuple[str, str]) -> list[str]:
    """What was written to the CronJob of this name and to its changes, a line each, for whoever investigates a violation."""
    ours, lines = {key}, []
    for write in found:
        if write.resource == "workflowchanges/status":
            target = WorkflowChangeView(write.after).target
            if target is not None and (target.namespace, target.name) == key:
                ours.add(write.key)
        if write.key not in ours:
            continue
        at = datetime.fromtimestamp(write.at, UTC).isoformat(timespec="milliseconds")
        if write.resource == "cronjobs":
            what = json.dumps(write.after.get("spec", {}).get("jobTemplate", {}).get("spec"))
        else:
            answer = write.after.get("status")
            status = answer if isinstance(answer, Mapping) else {}  # that to a deletion says "Success"
            last = [f"{c['type']}={c['status']}: {c.get('message', '')[:120]}" for c in status.get("conditions") or ()]
            what = f"{status.get('phase')} {'; '.join(last)}"
        lines.append(f"{at} {write.user} {write.verb} {write.resource} {write.name} {what}")
    return lines

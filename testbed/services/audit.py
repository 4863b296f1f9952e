"""What the API server's audit log says of a release's shards: who wrote what, where and when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from testbed.services.cluster import ADMIN
from testbed.services.controlplane import Options

_GROUP = "shards"
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "userGroups": [_GROUP], "verbs": ["create", "patch", "update", "delete"]},
        {"level": "None"},
    ],
}


class Call(NamedTuple):
    """One request to write: when it came (unix seconds), from whom, and what it was, such as ``patch cronjobs``."""

    at: float
    user: str
    what: str
    name: str


def audited(users: Sequence[str], directory: Path) -> tuple[Options, Path]:
    """A control plane that logs what ``users`` write, who may do everything; and the log, in ``directory``."""
    rules, log = directory / "audit-policy.yaml", directory / "audit.log"
    rules.write_text(json.dumps(_POLICY))
    groups = {ADMIN: ("system:masters",), **dict.fromkeys(users, ("system:masters", _GROUP))}
    # In one file: by default the server begins another one at 100 MB.
    whole = ("--audit-log-mode=blocking", "--audit-log-maxsize=10000")
    flags = (f"--audit-policy-file={rules}", f"--audit-log-path={log}", *whole)
    return Options(users=groups, apiserver_args=flags), log


def writes(log: Path) -> dict[str, list[Call]]:
    """By namespace ("": the whole cluster) the writes in workflows, profiles, policies and Events, oldest first; Leases and
    summaries, which each shard has of its own, are left out."""
    found: dict[str, list[Call]] = {}
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        ref = entry.get("objectRef") or {}
        kind = ref.get("resource", "")
        if ref.get("apiGroup") == "concertmaster.dev" or kind in ("cronjobs", "events"):
            place = ref.get("namespace", "")
            if kind == "events" and place == "default":
                place = ""  # Events about cluster policies
            at = datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
            what = "/".join(part for part in (f"{entry['verb']} {kind}", ref.get("subresource")) if part)
            found.setdefault(place, []).append(Call(at, entry["user"]["username"], what, ref.get("name", "")))
    return {place: sorted(calls) for place, calls in found.items()}


def writers(calls: Sequence[Call]) -> list[str]:
    """Who wrote, one after the other."""
    return [
        call.user
        for before, call in zip((None, *calls), calls, strict=False)
        if before is None or before.user != call.user
    ]

"""What happened after a shard was killed: from the logs of the others, the API server's audit log, the summaries, and the
analyses that the history keeps."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.scale.figures import cycles, unix
from concertmaster.controller.profiles.last_analyses import AnalysisRecord
from concertmaster.controller.shards.assignment import owner
from testbed.services.audit import Call, writers

_ALIVE = "shards alive: "
_STAMP = 0.05  # seconds by which the beginning of a cycle is less exact than its log line


@dataclass(frozen=True, slots=True)
class Taken:
    """How one of the shards that are left took over (unix seconds): when it found the other one lost, from when on a cycle
    of its looked after the namespaces, and when that cycle ended. ``profiles``: workflows it has since."""

    noticed: float
    begun: float
    ended: float
    profiles: int


def taken(log: Path, lost: str, since: float) -> Taken | None:
    """The same from its log; None until that cycle has ended."""
    noticed = next((at for at, alive in _alive(log) if at >= since and lost not in alive), None)
    if noticed is None:
        return None
    for cycle in cycles(log):
        ended = unix(cycle["ts"])
        if (begun := ended - cycle["seconds"]) >= noticed - _STAMP:
            return Taken(noticed, begun, ended, cycle["profiles"])
    return None


def _alive(log: Path) -> Iterable[tuple[float, set[str]]]:
    """When which shards were alive, as one of them saw it."""
    for line in log.read_text().splitlines():
        if _ALIVE in line:
            entry = json.loads(line)
            yield unix(entry["ts"]), set(str(entry["msg"]).removeprefix(_ALIVE).split(", "))


def counted(items: Iterable[Mapping[str, Any]], policy: str, shards: Sequence[str]) -> tuple[int, int | None]:
    """Workflows that the status of a cluster policy counts, and those that the summaries of ``shards`` add up to; None while
    one of these is missing or was made for others. ``items``: policies and ConfigMaps."""
    shown, parts = 0, dict[str, int]()
    for item in items:
        name = item["metadata"]["name"]
        if item["kind"] == "ConfigMap" and name.endswith("-summary"):
            part = json.loads(item["data"]["summary.json"])
            if set(part["shards"]) == set(shards):
                parts[name.removesuffix("-summary")] = part["policies"].get(policy, {}).get("matched", 0)
        elif item["kind"] == "ClusterOptimizationPolicy" and name == policy:
            shown = (item.get("status") or {}).get("matchedProfiles", 0)
    return shown, sum(parts[s] for s in shards) if set(shards) <= set(parts) else None


def two_writers(found: Mapping[str, Sequence[Call]], shards: Collection[str], lost: str, killed: float) -> list[str]:
    """Namespaces in which shards did not follow one another: one wrote again after another had, or, once ``lost`` was
    ``killed`` (unix seconds), somebody who was not the heir."""
    wrong = []
    for place, calls in found.items():
        before, after = writers([c for c in calls if c.at < killed]), writers([c for c in calls if c.at >= killed])
        heir = owner(place, [s for s in shards if s != lost])
        if after[:1] == [lost]:
            after = after[1:]  # sent before, it arrived later
        if len(before) > len(set(before)) or after not in ([], [heir]):
            wrong.append(place)
    return wrong


@dataclass(frozen=True, slots=True)
class Kept:
    """An analysis in the history: of which runs, when, and whether it rested on the newest alone."""

    runs: str
    at: float
    provisional: bool


class _Row(msgspec.Struct):
    record: AnalysisRecord


_DECODER = msgspec.msgpack.Decoder(_Row)


def kept(content: bytes) -> Kept:
    """An analysis as the history keeps it."""
    record = _DECODER.decode(content).record
    return Kept(record.runs.digest, record.at, record.provisional)


def anew(before: Mapping[str, Kept], after: Mapping[str, Kept]) -> tuple[int, int]:
    """How many profiles of ``before`` were analysed anew, and how many of them although no run had ended."""
    again = [(was, after[uid]) for uid, was in before.items() if uid in after and after[uid].at > was.at]
    return len(again), sum(was.runs == now.runs and not was.provisional for was, now in again)

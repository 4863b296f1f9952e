"""What a benchmark says of a shard that was killed is read from logs, summaries and kept analyses."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.scale.shards import takeover
from benchmarks.scale.shards.__main__ import spent
from benchmarks.scale.shards.takeover import Kept
from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.controller.profiles.last_analyses import AnalysisRecord
from concertmaster.controller.shards.assignment import owner
from concertmaster.history import RunsDigest
from testbed.services.audit import Call, writes

SHARDS = ("op-0", "op-1", "op-2")
KILLED = 1_800_000_000.0
PLACE = next(f"team-{n}" for n in range(100) if owner(f"team-{n}", SHARDS) == "op-0")
HEIR = str(owner(PLACE, SHARDS[1:]))
THIRD = next(s for s in SHARDS[1:] if s != HEIR)


def _stamp(after: float) -> str:
    """The time of a log line, in seconds after the kill."""
    return datetime.fromtimestamp(KILLED + after, UTC).isoformat(timespec="milliseconds")


def _log(path: Path, *lines: tuple[float, dict[str, Any]]) -> Path:
    path.write_text("\n".join(["not JSON", *(json.dumps({"ts": _stamp(at), **line}) for at, line in lines)]) + "\n")
    return path


def _alive(*shards: str) -> dict[str, Any]:
    return {"msg": f"shards alive: {', '.join(shards)}"}


def _cycle(seconds: float, profiles: int) -> dict[str, Any]:
    return {"msg": "cycle", "seconds": seconds, "profiles": profiles}


def test_a_cycle_that_was_under_way_has_not_taken_over(tmp_path: Path) -> None:
    lines = [
        (-90.0, _alive(*SHARDS[1:])),  # before the other had started
        (-60.0, _alive(*SHARDS)),
        (20.0, _alive(*SHARDS[1:])),
        (22.0, _cycle(5.0, 10)),
        (26.0, _cycle(3.0, 15)),
    ]
    assert takeover.taken(_log(tmp_path / "early.log", *lines[:4]), "op-0", KILLED) is None
    found = takeover.taken(_log(tmp_path / "late.log", *lines), "op-0", KILLED)
    assert found is not None
    assert [round(t - KILLED, 3) for t in (found.noticed, found.begun, found.ended)] == [20.0, 23.0, 26.0]
    assert found.profiles == 15


def _summary(shard: str, alive: tuple[str, ...], matched: int) -> dict[str, Any]:
    text = json.dumps({"shards": alive, "policies": {"all": {"matched": matched}}})
    return {"kind": "ConfigMap", "metadata": {"name": f"{shard}-summary"}, "data": {"summary.json": text}}


def test_summaries_add_up_only_when_all_were_made_for_the_same_shards() -> None:
    policy = {"kind": "ClusterOptimizationPolicy", "metadata": {"name": "all"}, "status": {"matchedProfiles": 9}}
    other = {"kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}}
    old = [policy, other, _summary("op-0", SHARDS, 2), _summary("op-1", SHARDS, 3), _summary("op-2", SHARDS, 4)]
    assert takeover.counted(old, "all", SHARDS) == (9, 9)
    assert takeover.counted(old, "all", SHARDS[1:]) == (9, None)
    new = [*old[:3], _summary("op-1", SHARDS[1:], 4), _summary("op-2", SHARDS[1:], 5)]
    assert takeover.counted(new, "all", SHARDS[1:]) == (9, 9)
    assert takeover.counted([{**policy, "status": None}], "all", SHARDS) == (0, None)


@pytest.mark.parametrize(
    ("calls", "wrong"),
    [
        ([(-9.0, "op-0"), (-5.0, "op-0"), (25.0, HEIR)], False),
        ([(-9.0, "op-0"), (0.1, "op-0"), (25.0, HEIR)], False),  # sent before it was killed
        ([(-9.0, THIRD), (-5.0, "op-0"), (25.0, HEIR)], False),  # it started before the other
        ([(-9.0, "op-0"), (-7.0, HEIR), (-5.0, "op-0")], True),
        ([(-9.0, "op-0"), (25.0, HEIR), (26.0, "op-0")], True),
        ([(-9.0, "op-0"), (25.0, THIRD)], True),
        ([(-9.0, "op-0"), (25.0, HEIR), (26.0, THIRD)], True),
    ],
)
def test_shards_follow_one_another(calls: list[tuple[float, str]], wrong: bool) -> None:
    found = {PLACE: [Call(KILLED + at, who, "patch workflowprofiles/status", "etl") for at, who in calls]}
    assert takeover.two_writers(found, SHARDS, "op-0", KILLED) == ([PLACE] if wrong else [])


def test_an_analysis_of_the_same_runs_is_a_repeated_one() -> None:
    before = {uid: Kept("one run", KILLED, False) for uid in ("same", "repeated", "new run", "gone")}
    before["provisional"] = Kept("one run", KILLED, True)
    after = {
        "same": Kept("one run", KILLED, False),
        "repeated": Kept("one run", KILLED + 30, False),
        "new run": Kept("two runs", KILLED + 30, False),
        "provisional": Kept("one run", KILLED + 30, False),
        "created": Kept("one run", KILLED + 30, False),
    }
    assert takeover.anew(before, after) == (3, 1)


def test_what_the_history_keeps_can_be_read() -> None:
    ready = ConditionUpdate(ConditionType.READY, True, Reason.ACTIVE, "")
    record = AnalysisRecord("inputs", RunsDigest("digest"), ready, ready, KILLED, 60.0, b"", provisional=True)
    row = msgspec.msgpack.encode({"version": "1", "body": "", "record": record, "detail": None, "runs": None})
    assert takeover.kept(row) == Kept("digest", KILLED, True)


def test_cpu_is_of_a_minute() -> None:
    before = {"cpu_s": [1.0, 2.0], "postgres_cpu_s": 10.0}
    assert spent(before, {"cpu_s": [3.0, 6.0], "postgres_cpu_s": 11.0}, 2.0) == {
        "cpu_s": [1.0, 2.0],
        "postgres_cpu_s": 0.5,
    }


def test_the_audit_log_says_who_wrote_where(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"

    def entry(after: float, user: str, **ref: str) -> str:
        stamp = datetime.fromtimestamp(KILLED + after, UTC).isoformat(timespec="microseconds")
        at = stamp.replace("+00:00", "Z")
        return json.dumps(
            {"requestReceivedTimestamp": at, "user": {"username": user}, "verb": "patch", "objectRef": ref}
        )

    profile = {"apiGroup": "concertmaster.dev", "resource": "workflowprofiles", "subresource": "status", "name": "etl"}
    lines = [
        entry(2.0, "op-1", namespace="a", **profile),
        entry(1.0, "op-0", namespace="a", **profile),
        entry(3.0, "op-0", apiGroup="coordination.k8s.io", resource="leases", namespace="ops", name="op-0"),
        entry(4.0, "op-1", resource="events", namespace="default", name="all.1"),
    ]
    log.write_text("\n".join(lines) + "\n")
    what = "patch workflowprofiles/status"
    assert writes(log) == {
        "a": [Call(KILLED + 1.0, "op-0", what, "etl"), Call(KILLED + 2.0, "op-1", what, "etl")],
        "": [Call(KILLED + 4.0, "op-1", "patch events", "all.1")],
    }

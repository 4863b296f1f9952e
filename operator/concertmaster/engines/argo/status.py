"""The node table in the status of a Workflow: decoding, and parsing of node names.

Large runs store their nodes compressed in the object, very large ones in the controller's database, which only the Argo
server can read; then only start, end and phase of the run are known, which is reported as a problem.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.core.model.amounts import digits
from concertmaster.core.units import MIB
from concertmaster.engines.argo.packed import PackedError, unpack
from concertmaster.engines.common.bounds import decoded_bytes
from concertmaster.engines.common.manifest import Problems, flag, mapping, sequence, text, timestamp

MAX_NODES_BYTES = 32 * MIB
"""Maximum size in bytes of a node table to decompress; 10,000 nodes take about 10 MB."""
MAX_NODES_MEMORY = 192 * MIB
"""Maximum memory in bytes of a node table to decode; 10,000 nodes take about 50 MB."""

COMPOSITE = frozenset({"Steps", "StepGroup", "DAG", "TaskGroup", "Retry"})
MAX_NAME_LENGTH = 16_384
"""Maximum characters of a node's name, which contains the items of every fan-out around it."""
_MAX_NESTING = 100  # attempts and items in one name: the controller stops at 100 levels itself
_PARENTHESES = re.compile(r"\((\d{1,9})(?::([^()]*))?\)")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_EXIT_CODE = re.compile(r"exit code (\d{1,9})\b")
_GROUP = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of the node table. ``key``: task names from the entrypoint. ``items`` and ``attempts`` as in the node
    name, outermost first. Times are unix seconds."""

    id: str
    name: str
    kind: str
    phase: str
    key: tuple[str, ...]
    items: tuple[str, ...]
    attempts: tuple[int, ...]
    started: float | None
    finished: float | None
    children: tuple[str, ...]
    hooked: bool
    raw: Mapping[str, Any]

    @property
    def composite(self) -> bool:
        """Whether it only contains other nodes. A composite answered from a cache contains none, though its dependents may
        be its children, and counts as a leaf."""
        return self.kind in COMPOSITE and not self.cache_hit

    @property
    def daemoned(self) -> bool:
        """Whether it is a daemon that became ready. The controller sets ``finished`` of such a node at that moment and
        does not update it when the pod ends; it also keeps the pod's address, which no other node has."""
        return bool(self.raw.get("podIP")) or flag(self.raw.get("daemoned"))

    @property
    def exit_code(self) -> int | None:
        """Exit code of the main container, from the outputs or else from the message."""
        outputs = self.raw.get("outputs")
        code = outputs.get("exitCode") if isinstance(outputs, Mapping) else None
        if isinstance(code, str) and digits(code) is not None:
            return digits(code)
        message = self.raw.get("message")
        match = _EXIT_CODE.search(message) if isinstance(message, str) else None
        return int(match.group(1)) if match else None

    @property
    def cache_hit(self) -> bool | None:
        """Whether it was answered from a cache; None if it is not memoized."""
        memo = self.raw.get("memoizationStatus")
        return flag(memo.get("hit")) if isinstance(memo, Mapping) else None


def read_nodes(status: Mapping[str, Any], run: str, problems: Problems) -> dict[str, Node]:
    """All nodes by id, in the order of the table; nodes that cannot be read are skipped and reported."""
    table: object = status.get("nodes")
    if not table and status.get("compressedNodes"):
        table = _decompressed(status["compressedNodes"], problems)
    if not table and status.get("offloadNodeStatusVersion"):
        problems.add(
            f"the nodes of run {run} are kept in the controller's database (offloadNodeStatusVersion): its steps are only "
            "known from the metrics"
        )
    out: dict[str, Node] = {}
    for identity, raw in mapping(table, "status.nodes", problems).items():
        node = _node(identity, mapping(raw, f"status.nodes.{identity}", problems), run, problems)
        if node is not None:
            out[identity] = node
    return out


def parse_node_name(name: str, run: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]] | None:
    """Task names, items and attempts in a node name such as ``run.a(0:x)[1].b(2)``; None if it is not a node of this
    run."""
    if not name.startswith(run) or len(name) > MAX_NAME_LENGTH:
        return None
    rest = name[len(run) :]
    items: list[str] = []
    attempts: list[int] = []
    for match in _PARENTHESES.finditer(rest):
        if match.group(2) is None:
            attempts.append(int(match.group(1)))
        else:
            items.append(f"{match.group(1)}:{match.group(2)}")
    bare = _GROUP.sub("", _PARENTHESES.sub("", rest))
    if (bare and not bare.startswith(".")) or len(items) + len(attempts) > _MAX_NESTING:
        return None
    return tuple(part for part in bare.split(".") if part), tuple(items), tuple(attempts)


def _node(identity: str, raw: Mapping[str, Any], run: str, problems: Problems) -> Node | None:
    name = text(raw.get("name"), f"status.nodes.{identity}.name", problems)
    parsed = parse_node_name(name, run) if name is not None else None
    if name is None or parsed is None:
        problems.add(f"node {identity} of run {run} has no readable name: it is left out")
        return None
    key, items, attempts = parsed
    children = sequence(raw.get("children"), f"status.nodes.{identity}.children", problems)
    nodeflag = raw.get("nodeFlag")
    return Node(
        id=identity,
        name=name,
        kind=str(raw.get("type") or ""),
        phase=str(raw.get("phase") or "Pending"),
        key=key,
        items=items,
        attempts=attempts,
        started=timestamp(raw.get("startedAt")),
        finished=timestamp(raw.get("finishedAt")),
        children=tuple(str(c) for c in children),
        hooked=isinstance(nodeflag, Mapping) and flag(nodeflag.get("hooked")),
        raw=raw,
    )


def _decompressed(packed: object, problems: Problems) -> Mapping[str, Any]:
    try:
        unpacked = unpack(base64.b64decode(str(packed), validate=True), MAX_NODES_BYTES)
        if decoded_bytes(unpacked) > MAX_NODES_MEMORY:
            problems.add(
                "status.compressedNodes holds too many values to be decoded: the steps of this run are only known from the "
                "metrics"
            )
            return {}
        table = json.loads(unpacked)
        # A lone surrogate is not valid text: the API server would have replaced it as well.
        if _SURROGATE.search(unpacked):
            table = json.loads(json.dumps(table, ensure_ascii=False).encode("utf-8", "replace"))
        return mapping(table, "status.compressedNodes", problems)
    except (PackedError, binascii.Error, ValueError, RecursionError) as error:
        why = error if isinstance(error, PackedError) else type(error).__name__
        problems.add(
            f"status.compressedNodes cannot be read: {why}; the steps of this run are only known from the metrics"
        )
        return {}

"""Step executions as compact bytes and back, without loss.

Those of a run are stored in columns: a JSON array for each field, of one value where all are alike, deflated against a
dictionary of what most rows contain. A column that says nothing is null. Records of live objects hold an array by position
for each execution, with unknown values at the end left out.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from itertools import islice
from operator import attrgetter
from sys import intern
from typing import Any

import msgspec

from concertmaster.core.fast_init import positional_constructor
from concertmaster.core.model import (
    ContainerFact,
    Outcome,
    RunRecord,
    Source,
    StepExecution,
    Suspension,
    VolumeUse,
    WorkflowKey,
)
from concertmaster.history.columns import Columns

ROWS, COLUMNS = 1, 2
"""First byte of what is stored: a record, with its executions by position, or executions in columns. The lists below may
only grow at their end: what an older version did not write is unknown. Any other change needs a new byte, also one of a
default in the model, which columns leave out."""

_EXECUTION = (
    "step", "item", "attempt", "pod", "uid", "node", "created", "scheduled", "started", "finished", "outcome", "reason",
    "ready", "input_size", "input_fingerprint", "cache_hit", "exit_code", "message", "after",
    "network_receive_bytes", "network_transmit_bytes", "instance_type", "spot", "node_prices",
    "serving", "volumes", "overhead",
)  # fmt: skip
_CONTAINER = (
    "name", "image", "started", "finished", "reason", "cpu_request", "cpu_limit", "memory_request", "memory_limit",
    "cpu_seconds", "cpu_sampled_seconds", "memory_sampled_peak", "memory_kernel_peak", "samples", "expected_samples",
    "cpu_peak_cores", "throttled_share", "oom_events", "cpu_waiting_seconds", "io_waiting_seconds", "fs_read_bytes",
    "fs_write_bytes", "init", "ambiguous", "gpu_resource", "gpu_request", "gpu_used", "gpus_active", "storage_request",
    "storage_limit", "storage_peak", "sidecar", "restarted_after_oom",
)  # fmt: skip
_FLAGS = ("init", "ambiguous", "sidecar")
# Executions of records are read by position: where fields stand that need a conversion, and how an object is made of them.
_FLAG_PLACES = tuple(sorted(_CONTAINER.index(name) for name in _FLAGS))
_ATTEMPT, _OUTCOME = _EXECUTION.index("attempt"), _EXECUTION.index("outcome")
_VOLUMES = _EXECUTION.index("volumes")
_TUPLES = tuple(_EXECUTION.index(name) for name in ("after", "node_prices", "overhead"))
_OUTCOMES = {o.value: o for o in Outcome}
# What users' queries say of a model joins a run when it is read.
_made_execution = positional_constructor(
    StepExecution, (_EXECUTION[0], "containers", "extra", *_EXECUTION[1:], "model")
)
_made_container = positional_constructor(ContainerFact, _CONTAINER)
_of_execution, _of_container = attrgetter(*_EXECUTION), attrgetter(*_CONTAINER)
_UID = _EXECUTION.index("uid")


def _tuple(values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


# Names are interned: a few of them, which thousands of executions share.
_OUTER = Columns(
    StepExecution,
    _EXECUTION,
    written={"volumes": lambda volumes: [[v.claim, v.used, v.capacity] for v in volumes]},
    read={
        "step": intern,
        "outcome": _OUTCOMES.__getitem__,
        "after": _tuple,
        "node_prices": _tuple,
        "overhead": _tuple,
        "volumes": lambda volumes: tuple([VolumeUse(*v) for v in volumes]),
    },
)
_INNER = Columns(ContainerFact, _CONTAINER, read={"name": intern})
_DICTIONARY = (
    b'OOMKilledDeadlineExceededEvictedPreemptingVanishedErrorFailedUnknownSkippedCached'
    b'["main",null,null,null,"Error",["init",null,1,["sidecar",null,0.1,0.5,1.0,2.0,4.0,134217728.0,268435456.0,536870912.0,'
    b'1073741824.0,2147483648.0,4294967296.0,null,null,null,null,true]],0,"Succeeded",null,null,[["main","["wait","'
)  # fmt: skip


def encode_executions(executions: Sequence[StepExecution]) -> bytes:
    """Executions as bytes."""
    numbers = [len(e.containers) for e in executions]
    inner = _INNER.pack([c for e in executions for c in e.containers])
    extra = [dict(e.extra) for e in executions]
    return _deflate([numbers, _OUTER.pack(executions), inner, *([extra] if any(extra) else [])], COLUMNS)


def decode_executions(body: bytes) -> list[StepExecution]:
    """The executions that ``encode_executions`` wrote."""
    numbers, outer, inner, *extra = _inflate(body, COLUMNS)
    _uids(outer, len(numbers))
    step, *others = _OUTER.fill(outer, len(numbers))
    made = map(_made_container, *_INNER.fill(inner, sum(numbers)))
    containers = [tuple(islice(made, number)) for number in numbers]
    extras = extra[0] if extra else [{} for _ in numbers]
    return list(map(_made_execution, step, containers, extras, *others))


def uids_of(body: bytes) -> list[str]:
    """The uids of the executions that ``encode_executions`` wrote."""
    numbers, outer, *_ = _inflate(body, COLUMNS)
    return _uids(outer, len(numbers))


def _uids(outer: Sequence[list[Any] | None], count: int) -> list[str]:
    found = list(islice(_OUTER.field(outer, _UID, count), count))
    if set(map(type, found)) - {str}:
        raise ValueError("executions without uid")
    return found


def encode_record(record: RunRecord) -> bytes:
    """One live run record, its executions included, as bytes."""
    known = (record.start, record.end, record.outcome.value, record.source.value, record.fingerprint)
    head: list[object] = [*known, dict(record.extra)]
    held = record.suspension
    suspended = None if held is None else [held.seconds, held.by, held.evictions, held.until]
    more = _trimmed(
        [[list(p) for p in record.pauses] or None, record.input_size, suspended, record.created, record.fetched]
    )
    return _deflate([[*head, *more], [_execution_row(e) for e in record.steps]])


def decode_record(body: bytes, key: WorkflowKey, run: str) -> RunRecord:
    """The record that ``encode_record`` wrote."""
    (start, end, outcome, source, mark, extra, *more), rows = _inflate(body)
    idle, size, held, created, fetched = (*more, *[None] * (5 - len(more)))[:5]
    pauses = tuple((float(a), float(b)) for a, b in idle or ())
    steps = tuple(_execution(r) for r in rows)
    suspension = Suspension(*held) if held is not None else None
    known = (key, run, start, end, Outcome(outcome), Source(source), steps, mark, extra, pauses, size, suspension)
    return RunRecord(*known, created, fetched)


def _execution_row(e: StepExecution) -> list[Any]:
    values = list(_of_execution(e))
    values[_VOLUMES] = [[v.claim, v.used, v.capacity] for v in e.volumes] or None
    return [_trimmed(values), [_container_row(c) for c in e.containers], *([dict(e.extra)] if e.extra else [])]


def _container_row(c: ContainerFact) -> list[Any]:
    values = list(_of_container(c))
    for place in _FLAG_PLACES:
        values[place] = values[place] or None
    return _trimmed(values)


def _execution(row: Sequence[Any]) -> StepExecution:
    given, containers, *extra = row
    step, *values = _named(given, len(_EXECUTION))
    known = len(given)
    if known > _ATTEMPT:
        values[_ATTEMPT - 1] = values[_ATTEMPT - 1] or 0
    if known > _OUTCOME:
        values[_OUTCOME - 1] = _OUTCOMES[values[_OUTCOME - 1] or Outcome.UNKNOWN]
        for place in _TUPLES:
            if known > place and values[place - 1] is not None:
                values[place - 1] = tuple(values[place - 1])
    if known > _VOLUMES:
        values[_VOLUMES - 1] = tuple([VolumeUse(*v) for v in values[_VOLUMES - 1] or ()])
    return _made_execution(intern(step), tuple([_container(c) for c in containers]), extra[0] if extra else {}, *values)


def _container(given: Sequence[Any]) -> ContainerFact:
    values = _named(given, len(_CONTAINER))
    values[0] = intern(values[0])  # a few names that thousands of rows share
    if len(values) > _FLAG_PLACES[0]:
        for place in _FLAG_PLACES:
            if len(values) > place:
                values[place] = bool(values[place])
    return _made_container(*values)


def _named(given: Sequence[Any], size: int) -> list[Any]:
    """The fields of a row that this version knows; the name comes first and is always known."""
    if not given:
        raise ValueError("a row without a name")
    return list(given[:size])


def _trimmed(values: list[Any]) -> list[Any]:
    end = len(values)
    while end and values[end - 1] is None:
        end -= 1
    return values[:end]


def _deflate(content: object, form: int = ROWS) -> bytes:
    packer = zlib.compressobj(level=6, wbits=-15, zdict=_DICTIONARY)
    raw = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return bytes([form]) + packer.compress(raw) + packer.flush()


def _inflate(body: bytes, form: int = ROWS) -> Any:
    if not body or body[0] != form:
        raise ValueError(f"history row of unknown format {body[:1].hex() or 'empty'}")
    raw = zlib.decompressobj(wbits=-15, zdict=_DICTIONARY).decompress(body[1:])
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # NaN and lone surrogates are no JSON, and rows may hold them
        return json.loads(raw.decode("utf-8", "surrogatepass"))

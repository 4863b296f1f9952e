"""One archived run as the record that its live object would have given."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from concertmaster.archive import ArchiveRow, ArchiveTable
from concertmaster.controller.archive.formats import ArchiveFormat
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.live.run_objects import UNREADABLE
from concertmaster.core.model import RunRecord, Source, WorkflowKey
from concertmaster.engines import Claims, children, end_alone, ended, whole_run
from concertmaster.kube.nesting import check_depth

log = logging.getLogger("concertmaster.archive")

_TAIL = 600.0  # seconds from the end of a run's last step to that of the run, at most


@dataclass(frozen=True, slots=True)
class Result:
    """One row. ``record`` is what it adds to the history, ``key`` the observed workflow it is a run of; ``count`` as
    metrics call the result, empty for what concerns no workflow. ``lacking``: objects that belong to it may come later."""

    record: RunRecord | None = None
    key: WorkflowKey | None = None
    count: str = ""
    lacking: bool = False


@dataclass(slots=True)
class RunsOfArchive:
    """Converts rows of an archive to records. ``problems``: sentences on rows that could not be read; ``waiting``:
    records that are not stored yet, by name."""

    archive: ArchiveTable
    form: ArchiveFormat
    history: HistoryProvider
    claims: Claims
    problems: list[str] = field(default_factory=list)
    waiting: dict[tuple[WorkflowKey, str], RunRecord] = field(default_factory=dict)

    def read(self, row: ArchiveRow) -> Result:
        """The run of a row. Raises ArchiveError and HistoryError; an object that cannot be read costs only
        itself."""
        document, size = self.archive.document(row)
        if document is None:
            if not size:  # deleted since it was listed
                return Result()
            return self.unreadable(row, f"its object has {size >> 20} MiB")
        try:
            raw, parts = self.form.objects(document)
            belonging = children(raw)
            parts = [belonging.reduce(dict(part)) for part in parts] if belonging is not None else parts
            if (found := _identity(raw)) != (row.uid, row.namespace, row.name):
                return self.unreadable(row, f"its object is that of {'/'.join(found[1:])}")
            for obj in (raw, *parts):
                check_depth(obj)
            definition = self.claims.of(raw) if ended(raw) else None
            run = whole_run(raw, definition, parts) if definition is not None else None
        except UNREADABLE as error:
            log.warning("archived run %s/%s (%s) is left out", row.namespace, row.name, row.uid, exc_info=error)
            return self.unreadable(row, f"{type(error).__name__}: {str(error)[:200]}")
        if definition is None or run is None:
            return Result()
        record = run.record if run.complete else end_alone(run)
        if record is None:
            return Result()
        name, count = (definition.key, record.run), "complete" if record.steps else "end"
        lacking = not run.complete and self.form.lacks(raw, parts)
        known = self.waiting.get(name) or self.history.store.live_record(*name)
        if known is not None and not adds(record, known):
            return Result(None, definition.key, count, lacking)
        if known is not None and known.created == record.created:  # what Kueue said is not in the archive
            record = replace(record, suspension=known.suspension or record.suspension)
        self.waiting[name] = record
        return Result(record, definition.key, count, lacking)

    def known(self, row: ArchiveRow, observed: Collection[WorkflowKey]) -> WorkflowKey | None:
        """The one of these workflows in whose history this run is with its steps, as it ended: its row was only written
        again."""
        if row.created is None or row.finished is None:
            return None
        for key in observed:
            record = self.history.store.live_record(key, row.name)
            if record is None or not record.steps or record.created != row.created or record.end is None:
                continue
            if 0.0 <= row.finished - record.end < _TAIL:
                return key
        return None

    def unreadable(self, row: ArchiveRow, why: str) -> Result:
        """Report a row that costs only itself."""
        self.problems.append(f"archived run {row.namespace}/{row.name} cannot be read: {why}")
        return Result(count="unreadable")


def adds(record: RunRecord, known: RunRecord) -> bool:
    """Whether an archived run says more than what is ``known`` under its name: that may be a later run of the name, and
    what the live object said of the same end has as much, except sizes of inputs that were not asked for then."""
    if known.source is Source.HISTORY:
        return True
    if record.created is not None and known.created is not None and record.created != known.created:
        return record.created > known.created
    if not known.steps or not record.steps:
        return bool(record.steps)
    if known.end == record.end:
        return _sizes(known) != _sizes(record)
    return known.end is None or (record.end is not None and record.end > known.end)


def _sizes(record: RunRecord) -> tuple[float | None, ...]:
    return (record.input_size, *(step.input_size for step in record.steps))


def _identity(raw: Mapping[str, Any]) -> tuple[str, str, str]:
    """Uid, namespace and name of an object: those of its row decide who may see it."""
    meta = raw.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    return str(meta.get("uid")), str(meta.get("namespace")), str(meta.get("name"))

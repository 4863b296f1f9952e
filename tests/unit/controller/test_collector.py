"""Whether a cycle is followed by the next one at once."""

from __future__ import annotations

from typing import Any, cast

import pytest

from concertmaster.api.conditions import Reason
from concertmaster.controller.archive.archived_runs import ArchiveReport
from concertmaster.controller.collector import Collector
from concertmaster.controller.health import Health
from concertmaster.controller.source_report import SourceReport


class Archive:
    def __init__(self, more: bool) -> None:
        self.more = more

    def read(self, *_: object) -> ArchiveReport:
        return ArchiveReport(more=self.more)


@pytest.mark.parametrize("source", [False, True])
@pytest.mark.parametrize("archive", [False, True])
def test_there_is_more_to_read_where_a_source_or_an_archive_has_more(source: bool, archive: bool) -> None:
    nothing: Any = None
    archives = [cast(Any, Archive(archive)), cast(Any, Archive(False))]
    collector = Collector(nothing, None, Health(stall_after=60.0), nothing, interval=60.0, archives=archives)
    collector.reports = {"a": SourceReport("a", True, Reason.COMPLETE, "", more=source)}
    assert collector.archived_runs([], {}, 0.0).more is archive
    assert collector.more is (source or archive)

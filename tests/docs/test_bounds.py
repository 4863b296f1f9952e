"""The numbers that the documents promise as bounds are those of the code: tests of the bounds set smaller ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from concertmaster.archive import argo
from concertmaster.controller.archive import archived_runs, turns
from concertmaster.controller.discovery import labelled, time_shares
from concertmaster.controller.live import run_objects
from concertmaster.history.runs import reader
from concertmaster.settings.model import Limits

DOCS = Path(__file__).parents[2] / "docs"
PROMISED = [
    ("threat-model.md", f"lists of namespaces take turns of {run_objects.MAX_TURN_SECONDS:g} s, "),
    ("threat-model.md", f", {run_objects.MAX_LIST_SECONDS:g} s of a cycle together"),
    ("threat-model.md", f"the newest runs with {reader.MAX_EXECUTIONS:,} step executions are analyzed"),
    ("threat-model.md", f"namespaces take turns for the {labelled.MAX_WORKFLOWS:,} places"),
    ("threat-model.md", f"{time_shares.SHARE:g} s of a cycle for each namespace"),
    ("threat-model.md", f"at most {turns.MAX_SHARE:g} s of a cycle for one namespace before the others had their turn"),
    ("threat-model.md", f"{argo.MAX_BYTES >> 20} MiB of an object"),
    ("engines/argo.md", f"Reading takes about {archived_runs.MAX_SECONDS:g} s of a cycle"),
    ("engines/argo.md", f"a turn takes at most {turns.MAX_SHARE:g} s"),
    ("engines/argo.md", f"{argo.PAGE} at a time"),
    ("operations.md", f"`limits.historyPerNamespace` ({Limits().history_per_namespace})"),
]


@pytest.mark.parametrize(("page", "words"), PROMISED)
def test_a_bound_is_the_one_that_is_promised(page: str, words: str) -> None:
    assert words in (DOCS / page).read_text()

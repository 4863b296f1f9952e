"""The checklist of mistakes: what people are shown, tried on the command line and on settings files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos import mistakes

CHECKLIST = mistakes.checklist()


def test_there_are_at_least_sixty_kinds_and_each_says_what_where_and_what_to_do() -> None:
    entries = [entry for part in CHECKLIST.values() for entry in part]
    assert len({entry["mistake"] for entry in entries}) == len(entries) >= 60
    assert set(CHECKLIST) == {"settings", "flags", "resources", "conditions"}
    assert all(len(str(entry[part])) > 2 for entry in entries for part in mistakes.PARTS)


@pytest.mark.parametrize("entry", CHECKLIST["settings"], ids=lambda entry: entry["mistake"].replace(" ", "-"))
def test_a_settings_file(entry: dict[str, Any], tmp_path: Path) -> None:
    said = mistakes.settings(entry, tmp_path, mistakes.in_process)
    assert not mistakes.missing(entry, said), said


@pytest.mark.parametrize("entry", CHECKLIST["flags"], ids=lambda entry: entry["mistake"].replace(" ", "-"))
def test_a_call(entry: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    said = mistakes.flags(entry, tmp_path, mistakes.in_process)
    assert not mistakes.missing(entry, said), said

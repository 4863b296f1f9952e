"""Options shared by the benchmarks that simulate histories by kind and seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.accuracy import speed
from benchmarks.options import by_kind_and_seed, target

KINDS = ("hang", "retry")
RESULT = Path("result.json")


@pytest.mark.parametrize(
    ("given", "published"),
    [([], True), (["--seeds", "3"], True), (["--dry"], False), (["--only", "hang"], False), (["--only", *KINDS], True)],
)
def test_only_a_result_of_all_kinds_replaces_the_published_one(given: list[str], published: bool) -> None:
    options = by_kind_and_seed("", KINDS, seeds=20).parse_args(given)
    assert target(options, RESULT) == (RESULT if published else None)
    assert target(options, RESULT, whole=False) is None
    elsewhere = by_kind_and_seed("", KINDS, seeds=20).parse_args([*given, "--out", "some.json"])
    assert target(elsewhere, RESULT) == Path("some.json")


def test_a_misspelt_kind_is_refused_with_the_names_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        by_kind_and_seed("", KINDS, seeds=20).parse_args(["--only", "hangs"])
    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert all(f"'{kind}'" in said for kind in ("hangs", *KINDS))


@pytest.mark.parametrize(
    ("given", "published"), [([], True), (["--dry"], False), (["--rounds", "2"], False), (["--only", "changes"], False)]
)
def test_the_published_speed_is_that_of_all_cases_in_all_rounds(
    given: list[str], published: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, other = tmp_path / "speed.json", tmp_path / "other.json"
    row = {"what": "nothing", "goal_ms": None, "median_ms": 1.0, "slowest_ms": 1.0}
    monkeypatch.setattr(speed, "RESULT", result)
    monkeypatch.setattr(speed, "measure", lambda only, rounds: [row])
    monkeypatch.setattr("sys.argv", ["speed", *given])
    speed.main()
    assert result.exists() == published
    monkeypatch.setattr("sys.argv", ["speed", *given, "--out", str(other)])
    result.unlink(missing_ok=True)
    speed.main()
    assert other.exists() and not result.exists()

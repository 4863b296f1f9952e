"""Trends of the command line that reach beyond the metrics, out of the operator's history."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner

from concertmaster.cli.commands.analyze import command
from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.daily import RUN, DailyRow
from concertmaster.history import Store
from concertmaster.report import daily

FACTS = Path(__file__).parents[4] / "examples" / "facts" / "demo.jsonl.gz"
SEARCH = WorkflowKey("demo", "WorkflowTemplate", "blast-search")


def rows(first: str, days: int) -> list[DailyRow]:
    start = int(datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp() // 86_400)
    return [
        DailyRow(start + n, RUN, 4, 3, 1, 3, 3 * 1800.0, 1790.0, 1900.0, cost=2.0, wasted=0.5, queue=60.0, until=1.0)
        for n in range(days)
    ]


def test_months_of_the_history_stand_before_those_of_the_metrics(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with Store(str(path)) as store:
        store.daily.record(SEARCH, rows("2026-07-01", 62))
    args = ["--facts", str(FACTS), "--workflow", "blast-search", "--period", "monthly", "--history", str(path)]
    answer = CliRunner().invoke(command, args)
    assert answer.exit_code == 0, answer.output
    july, august = (line.split() for line in answer.output.splitlines() if line.startswith(("2026-07", "2026-08")))
    assert july[1:3] == ["124", "75%"]
    assert "30m00s" in july and "31m52s" in july
    assert august[1] == "124"
    assert "2026-11   42" in answer.output


def test_a_file_that_is_no_history_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(b"not a database, though long enough to look like one" * 100)
    answer = CliRunner().invoke(command, ["--facts", str(FACTS), "--trends", "--history", str(other)])
    assert answer.exit_code == 1
    assert "other.db" in str(answer.exception or answer.output)


def test_history_without_trends_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "h.db"
    file.touch()
    answer = CliRunner().invoke(command, ["--facts", str(FACTS), "--history", str(file)])
    assert answer.exit_code == 2
    assert "add --trends" in answer.output


def test_months_are_a_table() -> None:
    table = daily.months_table(rows("2026-10-30", 4), "EUR").splitlines()
    header = ["MONTH", "RUNS", "SUCCESS", "P50", "P95", "COST", "(EUR)", "UNUSED", "SCHEDULING", "LATENCY", "SCORE"]
    assert table[0].split() == header
    assert table[1].split() == ["2026-10", "8", "75%", "29m50s", "31m52s", "4.00", "1.00", "2m00s", "-"]
    assert table[2].startswith("2026-11")
    assert daily.months_table([], "EUR") == ""

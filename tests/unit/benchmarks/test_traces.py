"""Steps of Nextflow traces, sizes at a cold start, and how often a run is unlike those before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.nested import cases, sizing
from benchmarks.nested.choose import Rows
from benchmarks.nested.traces import amount, span, traces
from benchmarks.nested.unlike import DRAWS, FACTORS, unlike

GB = 2.0**30
HEADER = (
    "task_id\thash\tnative_id\tname\tstatus\texit\tsubmit\tduration\trealtime\t%cpu\tpeak_rss\tpeak_vmem\trchar\twchar"
)


def _line(
    task: int, *, status: str = "COMPLETED", minute: int | None = None, waited: str = "2m", peak: str = "1.5 GB"
) -> str:
    submit = f"2026-05-04 10:{task if minute is None else minute:02}:00.123"
    cells = [f"{task}", "ab/cd", f"{task}", f"X:ALIGN (s{task})", status, "0", submit, waited, "1m 30s", "98.5%"]
    return "\t".join([*cells, peak, "3 GB", f"{task} MB", "1 GB"])


def _written(directory: Path, *lines: str, header: str = HEADER) -> dict[str, list[cases.Step]]:
    (directory / "run.txt").write_text("\n".join(["# a comment", header, *lines]) + "\n")
    return traces(directory)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4m 59s", 299.0),
        ("1d 2h", 93600.0),
        ("1m30s", 90.0),
        ("110ms", 0.11),
        ("2.2s", 2.2),
        ("1500", 1.5),
        ("2.064E3s", np.nan),
        ("-", np.nan),
        ("", np.nan),
    ],
)
def test_durations_are_read_as_they_are_printed(text: str, seconds: float) -> None:
    assert span(text) == pytest.approx(seconds, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1.2 GB", 1.2 * GB),
        ("8.GB", 8.0 * GB),
        ("1.5 TB", 1536.0 * GB),
        ("724.7 KB", 724.7 * 1024),
        ("0", 0.0),
        ("1288490188", 1288490188.0),
        ("1,5 GB", np.nan),
        ("-", np.nan),
    ],
)
def test_sizes_are_read_as_they_are_printed(text: str, size: float) -> None:
    assert amount(text) == pytest.approx(size, nan_ok=True)


def test_a_trace_gives_completed_tasks_in_the_order_they_ended(tmp_path: Path) -> None:
    lines = [_line(task) for task in range(1, 11)]
    lines += [
        _line(11, minute=0, waited="1h"),
        _line(12, status="FAILED"),
        _line(13, peak="-"),
        _line(14, status="CACHED"),
    ]
    (step,) = _written(tmp_path, *lines)["trace run"]
    assert step.inputs.tolist() == [task * 2.0**20 for task in range(1, 12)]  # the eleventh began first and ended last
    assert (step.ended - step.submitted).tolist() == pytest.approx([120.0] * 10 + [3600.0])
    assert set(step.peaks.tolist()) == {1.5 * GB} and set(step.seconds.tolist()) == {90.0}
    assert step.cores[0] == pytest.approx(0.985)
    assert step.preset == 6.0 * GB  # nothing is known of the request: the smallest label of nf-core that holds it


def test_requests_and_missing_times_are_taken_as_the_trace_has_them(tmp_path: Path) -> None:
    rows = [f'"SORT\tCOMPLETED\t10s\t-\t2 GB\t{size}\t{k}' for k, size in enumerate(["4 GB", "16 GB", "0"] * 4)]
    header = "process\tstatus\trealtime\tpeak_rss\trss\tmemory\tcpus"
    (step,) = _written(tmp_path, *rows, header=header)["trace run"]
    assert step.preset == 10.0 * GB and step.peaks[0] == 2.0 * GB and step.preset_cores == 6.0
    assert np.isnan(step.inputs).all()
    assert step.submitted[1:].tolist() == step.ended[:-1].tolist()


def test_a_duration_that_is_missing_is_taken_for_the_run_time(tmp_path: Path) -> None:
    (step,) = _written(tmp_path, *(_line(task, waited="-") for task in range(1, 11)))["trace run"]
    assert set((step.ended - step.submitted).tolist()) == {90.0}


def test_tasks_without_a_time_make_all_of_them_follow_each_other(tmp_path: Path) -> None:
    lines = [_line(task) for task in range(1, 11)]
    (step,) = _written(tmp_path, *lines, lines[0].replace("2026-05-04 10:01:00.123", "-"))["trace run"]
    assert step.submitted.tolist() == [90.0 * k for k in range(11)]


def test_raw_times_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    lines = [_line(task).replace(f"2026-05-04 10:{task:02}:00.123", f"17778{task:02}000000") for task in range(1, 11)]
    (tmp_path / "run.txt").write_text("\ufeff" + "\r\n".join(["# a comment", HEADER, *lines]), encoding="utf-8")
    (step,) = traces(tmp_path)["trace run"]
    assert np.diff(step.submitted).tolist() == [1000.0] * 9


def test_a_peak_above_all_labels_gets_twice_as_much(tmp_path: Path) -> None:
    (step,) = _written(tmp_path, *(_line(task, peak="300 GB") for task in range(1, 11)))["trace run"]
    assert step.preset == 600.0 * GB


def test_a_directory_without_a_usable_trace_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no trace of Nextflow"):
        _written(tmp_path, _line(1))


def _step(peaks: list[float], submitted: list[float], ended: list[float]) -> cases.Step:
    n = len(peaks)
    seconds, unknown = np.full(n, 3600.0), np.full(n, np.nan)
    return cases.Step(
        unknown, GB * np.array(peaks), seconds, unknown, 8.0 * GB, np.nan, np.array(submitted), np.array(ended)
    )


def test_at_a_cold_start_runs_are_sized_from_what_has_ended_when_they_are_submitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def requests(step: cases.Step, known: cases.Places, ahead: cases.Places, *, by_input: bool) -> Rows:
        asked.append((known.tolist(), ahead.tolist(), by_input))
        return np.full(ahead.size, 4.0 * GB)

    monkeypatch.setattr(sizing, "requests", requests)
    # Three begin before any has ended, one after three, and two when it ends, one of which ends at once.
    step = _step([1.0] * 5 + [8.0], [0.0, 0.0, 0.0, 9.0, 10.0, 10.0], [5.0, 8.0, 8.5, 10.0, 10.0, 30.0])
    (row,) = sizing.cold_start([step])
    assert asked == [([0, 1, 2], [3], True), ([0, 1, 2, 3], [4], True), ([0, 1, 2, 3, 4], [5], True)]
    # Two runs of an hour at 3 GiB more than needed, and one that is killed at 4 GiB first.
    assert row.tolist() == pytest.approx([10.0 * GB / 1e9, 1.0, 3.0, row[3]])


def test_no_run_counts_at_a_cold_start_of_runs_that_all_begin_at_once() -> None:
    assert sizing.cold_start([_step([1.0] * 5, [0.0] * 5, [10.0] * 5)]).shape == (0, 4)


def test_runs_are_counted_as_unlike_by_how_far_apart_the_known_ones_lie() -> None:
    times = [0.0] * 9
    # Nine runs are enough for three known ones only, and one of the six others needs three times as much.
    apart, sizes, runs = unlike({"steps": [_step([1.0] * 8 + [3.0], times, times)]})
    (shares,) = sizes.values()
    assert runs[3].tolist() == shares.tolist()
    assert list(sizes) == [512.0] and set(apart) == {0.03, 0.3}
    draws = shares[FACTORS.tolist().index(2.0)] / (3.0 / 6.0) * DRAWS
    assert draws == pytest.approx(round(draws)) and 3 <= round(draws) < DRAWS
    assert shares[FACTORS.tolist().index(4.0)] == 0.0
    # Where the large one is known, nothing is beyond it.
    assert (apart[0.3] == 0.0).all() and apart[0.03][0] == pytest.approx(0.5)

"""The section of benchmarks/RESULTS.md on workflows that become slower."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.series.rises.kinds import KINDS
from benchmarks.series.rises.score import LIVES
from benchmarks.series.tally import Share, Tally, read

RESULT = Path(__file__).parents[2] / "results" / "rises.json"
_COLUMNS = {
    "reported": "reported",
    "dated": "with a date",
    "date": "that is right",
    "between": "begin and end",
    "published": "days reported",
    "gone and back": "gone and back",
    "other id": "other id",
    "other words": "date or none",
    "other date": "other date",
}


def lines(result: Mapping[str, Any]) -> list[str]:
    """The latest result of `make bench-rises`, as lines of the page."""
    tally, seeds = read(result["rows"]), result["seeds"]
    return [
        "",
        "## Since when workflows are slower (`make bench-rises`)",
        "",
        f"{seeds} histories a law through the whole analysis: two weeks of 14 to 168 runs of four steps, two of which become"
        " slower, noise of 3 to 20%, a third with weekends; frequent ones start each half hour, so that of three weeks the"
        " newest 200 runs and the medians of days are known. Is a `degradation` reported, does it have a date, and is that"
        " of a change: within a run, for growth and by day half a day more. Of a gradual one: are its begin and end"
        f" right, both within a tenth of two weeks. Beside them {seeds // LIVES} longer histories a law, analysed daily for"
        " four weeks from the begin of what happens: days on which it is gone and back within a week; of two reports in a"
        " row, those with another id, with a date instead of none or none instead of a date, with a date that is a day and"
        " more off the one before.",
        "",
        f"| law | {' | '.join(_COLUMNS.values())} |",
        "|---" * (1 + len(_COLUMNS)) + "|",
        *(_row(tally, kind.name, f"{kind.name}: {kind.what}") for kind in KINDS if kind.rises),
        "",
        "Where runs do not take longer in the end, or their inputs explain it:",
        "",
        "| law | reported | days reported | gone and back |",
        "|---|---|---|---|",
        *(
            f"| {kind.name}: {kind.what} | "
            + " | ".join(_cell(tally.share(m, kind=kind.name)) for m in ("false", "published", "gone and back"))
            + " |"
            for kind in KINDS
            if not kind.rises
        ),
    ]


def _row(tally: Tally, kind: str, title: str) -> str:
    return f"| {title} | {' | '.join(_cell(tally.share(measure, kind=kind)) for measure in _COLUMNS)} |"


def _cell(share: Share) -> str:
    return f"{share.hits} of {share.cases}" if share.cases else "-"

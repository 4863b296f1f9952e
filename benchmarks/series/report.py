"""The section of benchmarks/RESULTS.md on series of other laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.series.changes import LENGTHS
from benchmarks.series.growth import KINDS as GROWTHS
from benchmarks.series.inputs import KINDS as INPUTS
from benchmarks.series.laws import LAWS
from benchmarks.series.score import WHAT
from benchmarks.series.sides import SIDES
from benchmarks.series.tally import Share, Tally, read

RESULT = Path(__file__).parents[1] / "results" / "series.json"


class Promise(NamedTuple):
    """At most this share (0 to 1) of the cases of a ``measure`` are hits; ``what`` a hit is."""

    measure: str
    share: float
    what: str
    kinds: Sequence[str]


class Column(NamedTuple):
    """A measure under its ``title``."""

    title: str
    measure: str


_VALUES = [law.name for law in LAWS]
_OTHERS = {law.name for law in LAWS if not law.independent}
_INPUTS = [law.name for law in INPUTS]
_GROWTHS = [law.name for law in GROWTHS]
_CHANGES = (
    Column("quiet: alarm", "quiet"),
    Column("clear", "quiet reported"),
    Column("step", "step"),
    Column("more", "more"),
    Column("factor", "factor"),
    Column("stretch", "stretch"),
    Column("end", "end"),
    Column("ramp", "ramp"),
    Column("growth", "growth"),
)
_SIDES = (
    Column("compared: false", "called"),
    Column("power", "power"),
    Column("ratio", "ratio"),
    Column("watched: false", "watched"),
    Column("caught", "caught"),
)
_PROBLEMS = (Column("problem: false", "problems"), Column("runs found", "problem found"))
_FLOWS = (
    Column("published: quiet", "flow quiet"),
    Column("returned", "flow returned"),
    Column("faster", "flow faster"),
    Column("step", "flow step"),
    Column("newest", "flow end"),
)
_OF_INPUTS = tuple(
    Column(f"{title}{more}", f"{measure}{', larger inputs' if more else ''}")
    for title, measure in (
        ("quiet", "quiet"),
        ("step", "step"),
        ("false", "called"),
        ("power", "power"),
        ("ratio", "ratio"),
    )
    for more in ("", "*")
)
_OF_GROWTH = (
    Column("said, never comes", "never"),
    Column("said in time", "said"),
    Column("date holds", "date"),
)
PROMISES = (
    Promise("quiet", 0.004, "quiet series with a change point", _VALUES),
    Promise("quiet reported", 0.001, "quiet series with an increase that is clear", _VALUES),
    Promise("called", 0.04, "comparisons without a change called one", _VALUES),
    Promise("watched", 0.10, "verdicts over many looks, without a change", _VALUES),
    Promise("quiet", 0.004, "quiet series with a change point at equal input", _INPUTS),
    Promise("quiet, larger inputs", 0.004, "the same where inputs grow", _INPUTS),
    Promise("called", 0.04, "comparisons at equal input without a change called one", _INPUTS),
    Promise("called, larger inputs", 0.04, "the same where inputs are larger", _INPUTS),
    Promise("order", 0.0, "predictions that depend on the order of equal inputs", _INPUTS),
    Promise("never", 0.05, "objectives said to be missed that never are", _GROWTHS),
)
_KEPT = (
    Promise("factor", 0.95, "intervals of the factor of a change point", _VALUES),
    Promise("ratio", 0.96, "intervals of the ratio of a comparison", _VALUES),
    Promise("ratio", 0.96, "of one at equal input", _INPUTS),
    Promise("ratio, larger inputs", 0.96, "where inputs are larger", _INPUTS),
    Promise("date", 0.95, "intervals of the date at which an objective is missed", _GROWTHS),
)
"""At least this share of the intervals hold the truth."""
_NAMED = 5  # laws, the worst ones of each promise


def lines(result: Mapping[str, Any]) -> list[str]:
    """The latest result of `make bench-series`, as lines of the page."""
    tally = read(result["rows"])
    kinds = {kind for kind, *_ in result["rows"]}
    flows = [law.name for law in LAWS if law.flow]
    return [
        "",
        "## Series of other laws (`make bench-series`)",
        "",
        f"{len(kinds)} laws that the methods do not know, {result['seeds']} seeds of each: whole seconds, zeros, caches,"
        " values that carry over with noise on top, seasons, heavy tails, missing stretches, spread that changes, memory in"
        " slabs. Series of 15 to 400 runs; what is planted is about three times the usual deviation of a run. Percent, over"
        " all lengths.",
        "",
        f"Promises are made for runs that are independent and alike but for what is planted, as by all but {len(_OTHERS)} of"
        " the laws of values; inputs and growth are modelled by forms that are not theirs.",
        "",
        *_promises(tally),
        "",
        "By law. *Clear*: an increase of at least a tenth that would be reported. *Step*: found within three runs; *more*:"
        " further points beside it, or only elsewhere; *factor*: 95% intervals that hold it. *Stretch*: both ends of a level"
        " that returns; *end*: the first or newest runs; *ramp*, *growth*: noticed at all. *Compared*: 4 and 4 to 40 and 40"
        " runs before and after; *watched*: seven looks at up to 30 runs. *Problem*: in a tenth of the runs, with other"
        " steps around.",
        "",
        *_table(tally, _VALUES, (*_CHANGES, *_SIDES, *_PROBLEMS)),
        "",
        "The same over all laws, by the number of runs, and of runs before and after.",
        "",
        *_by_size(tally.of(_VALUES), [str(n) for n in LENGTHS], _CHANGES),
        "",
        *_by_size(tally.of(_VALUES), [f"{before}, {after}" for before, after in SIDES], _SIDES[:3]),
        "",
        "Through the whole analysis of a workflow, two weeks of at most 120 runs: a `degradation` that is published."
        " *Returned*: for a level that is back, *faster*: for one that has become faster or was slower at first; *newest*:"
        " for a slow end.",
        "",
        *_table(tally, flows, _FLOWS),
        "",
        "Run times that follow their inputs, inputs known; *: inputs three times as large from the change on. *Quiet*:"
        " change points without a change of the step; *false*: comparisons.",
        "",
        *_table(tally, _INPUTS, _OF_INPUTS),
        "",
        "An objective 3 to 15% above the present level, 28 to 168 runs in two weeks. *In time*: it is missed no further"
        " ahead than growth has been observed.",
        "",
        *_table(tally, _GROWTHS, _OF_GROWTH),
    ]


def _promises(tally: Tally) -> list[str]:
    """What is promised, what comes of it over all laws and those of independent runs, and the laws that break it."""
    return [
        "| promise | | all laws | independent runs | broken beyond chance | worst |",
        "|---|---|---|---|---|---|",
        *(_row(tally, promise, f"at most {_percent(100.0 * promise.share)}", kept=False) for promise in PROMISES),
        *(_row(tally, promise, f"at least {_percent(100.0 * promise.share)}", kept=True) for promise in _KEPT),
    ]


def _row(tally: Tally, promise: Promise, bound: str, *, kept: bool) -> str:
    shares = {kind: tally.share(promise.measure, kind=kind) for kind in promise.kinds}
    shares = {kind: share for kind, share in shares.items() if share.cases}
    if kept:
        broken = {k: s for k, s in shares.items() if s.inverse.exceeds(1.0 - promise.share)}
    else:
        broken = {k: s for k, s in shares.items() if s.exceeds(promise.share)}
    worst = sorted(broken, key=lambda kind: shares[kind].percent or 0.0, reverse=not kept)
    named = "; ".join(f"{_short(kind)} {_percent(shares[kind].percent)}" for kind in worst[:_NAMED]) or "-"
    whole, assumed = (_together([s for k, s in shares.items() if every or k not in _OTHERS]) for every in (True, False))
    return f"| {promise.what} | {bound} | {whole} | {assumed} | {len(broken)} of {len(shares)} | {named} |"


def _together(shares: Sequence[Share]) -> str:
    hits, cases = (sum(share[i] for share in shares) for i in (0, 1))
    return f"{_percent(Share(hits, cases).percent)} of {cases:,}"


def _table(tally: Tally, kinds: Sequence[str], columns: Sequence[Column]) -> list[str]:
    """A row for each kind, and one over all of them."""
    rows = [
        f"| law | {' | '.join(column.title for column in columns)} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for kind in kinds:
        cells = [_percent(tally.share(column.measure, kind=kind).percent) for column in columns]
        if any(cell != "-" for cell in cells):
            rows.append(f"| {_short(kind)}: {WHAT[kind]} | {' | '.join(cells)} |")
    whole = tally.of(kinds)
    rows.append(f"| all | {' | '.join(_percent(whole.share(column.measure).percent) for column in columns)} |")
    return rows


def _by_size(tally: Tally, sizes: Sequence[str], columns: Sequence[Column]) -> list[str]:
    """A row for each size."""
    rows = [f"| runs | {' | '.join(column.title for column in columns)} |", "|---" * (1 + len(columns)) + "|"]
    for size in sizes:
        cells = [_percent(tally.share(column.measure, size=size).percent) for column in columns]
        rows.append(f"| {size} | {' | '.join(cells)} |")
    return rows


def _short(kind: str) -> str:
    return kind.partition(": ")[2] or kind


def _percent(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}%" if 0.0 < value < 10.0 else f"{value:.0f}%"


def plain(result: Mapping[str, Any], *, by_size: bool = False) -> str:
    """The section, and with ``by_size`` each measure of each law by the number of runs."""
    out = lines(result)
    if by_size:
        tally = read(result["rows"])
        for kind, measure in dict.fromkeys((key.kind, key.measure) for key in sorted(tally.cases)):
            sizes = [key.size for key in tally.cases if key.kind == kind and key.measure == measure]
            cells = [f"{size}: {_percent(tally.share(measure, kind=kind, size=size).percent)}" for size in sizes]
            out.append(f"{kind}, {measure}: {'; '.join(cells)}")
    return "\n".join(out)

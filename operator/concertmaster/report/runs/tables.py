"""Runs and comparisons as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.api.views.runs import RunComparisonView, RunView, TimeSplitView, WorkflowRuns
from concertmaster.core import text
from concertmaster.report.runs.comparison import PARTS
from concertmaster.report.tables import table


def runs_table(page: WorkflowRuns) -> str:
    """One line per run, newest first."""
    rows = [
        [
            r.run,
            r.ended or "-",
            seconds(r.duration_seconds),
            r.outcome.value,
            f"{r.slowest_step} {seconds(r.slowest_seconds)}" if r.slowest_step else "-",
            seconds(waiting(r.time_split)),
            str(r.failed_attempts),
            "-" if r.cost is None else text.number(r.cost),
            r.changed or "",
        ]
        for r in page.runs
    ]
    header = [
        "RUN",
        "ENDED",
        "DURATION",
        "OUTCOME",
        "SLOWEST STEP",
        "WAITING",
        "FAILED PODS",
        f"COST ({page.currency})",
    ]
    return table([*header, "CHANGED SINCE THE RUN BEFORE"], rows)


def run_text(run: RunView) -> str:
    """One run in full: its critical path and its pods."""
    lines = [
        f"{run.run}: {run.outcome.value}, {seconds(run.duration_seconds)}, {run.started or 'unknown start'}"
        f" to {run.ended or 'end unknown'}",
        "",
        split_table({"THIS RUN": run.time_split}),
        "",
        "CRITICAL PATH",
        table(
            ["STEP", "TIME", "OF IT"], [[p.step, seconds(p.seconds), _parts(p.time_split)] for p in run.critical_path]
        ),
        "",
        table(
            ["POD", "CRITICAL", "OUTCOME", "CREATED", "STARTED", "FINISHED", "NODE"],
            [
                [
                    "/".join(filter(None, (p.step, p.item))) + (f" (attempt {p.attempt + 1})" if p.attempt else ""),
                    "yes" if p.critical else "",
                    p.outcome.value + (f" ({p.reason})" if p.reason else ""),
                    *(f"+{seconds(t)}" if t is not None else "-" for t in (p.created, p.started, p.finished)),
                    p.node or "-",
                ]
                for p in run.pods
            ],
        ),
    ]
    lines += [text.count(run.more_pods, "more pod")] if run.more_pods else []
    return "\n".join([*lines, *(f"note: {problem}" for problem in run.problems)])


def comparison_text(compared: RunComparisonView) -> str:
    """The answer, then the figures behind it."""
    names = (compared.before.run, compared.after.run)
    lines = [
        *compared.answer,
        "",
        split_table(dict(zip(names, (compared.before.time_split, compared.after.time_split), strict=True))),
    ]
    rows = [
        [
            s.step,
            seconds(s.before_seconds),
            seconds(s.after_seconds),
            text.signed(s.extra_seconds) if s.before or s.after else "off path",
            ", ".join(f"{d.kind} {d.before} -> {d.after}" for d in s.differences),
        ]
        for s in compared.steps
    ]
    lines += ["", table(["STEP", "BEFORE", "AFTER", "ON THE CRITICAL PATH", "DIFFERENT"], rows)]
    return "\n".join(lines)


def split_table(splits: dict[str, TimeSplitView | None]) -> str:
    """The time split of one or two runs, with their difference."""
    known = [s for s in splits.values() if s is not None]
    if not known:
        return "The time split is unknown: not all pods of the run are known."
    header = ["TIME", *splits, *(["DIFFERENCE"] if len(known) == 2 else [])]
    rows = []
    for label, values in split_rows(list(splits.values())):
        row = [label, *(seconds(v) for v in values)]
        rows.append([*row, text.signed((values[1] or 0.0) - (values[0] or 0.0))] if len(known) == 2 else row)
    return table(header, rows)


def split_rows(splits: Sequence[TimeSplitView | None]) -> list[tuple[str, list[float | None]]]:
    """Each part of the time split that took time, with its seconds in each of the splits."""
    rows = [(label, [None if s is None else getattr(s, name) for s in splits]) for name, label in PARTS.items()]
    return [(label, values) for label, values in rows if any(values)]


def waiting(split: TimeSplitView | None) -> float | None:
    """Seconds of the critical path in which nothing worked."""
    return None if split is None else split.controller + split.limit + split.scheduling + split.start_up + split.retry


def _parts(split: TimeSplitView) -> str:
    return ", ".join(f"{PARTS[n]} {seconds(v)}" for n in PARTS if (v := getattr(split, n)) >= 0.5)


def seconds(value: float | None) -> str:
    """A duration for a cell."""
    return "-" if value is None else text.duration(value)

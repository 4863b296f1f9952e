"""The Gantt chart of one run: a row per pod, with what it waited for before its work, and the critical path marked."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.api.views.runs import PodRow, RunView
from concertmaster.core import text
from concertmaster.core.model import Outcome
from concertmaster.web.charts.axis import marks

MAX_ROWS = 80  # rows drawn
_PLOT, _ROW, _TOP = 690, 20, 24
_CHARACTER, _MAX_LABEL = 6.7, 32  # pixels of a character of a label, about, and most characters


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of a row: ``kind`` is wait, start or work."""

    x: float
    width: float
    kind: str


@dataclass(frozen=True, slots=True)
class GanttRow:
    """One pod."""

    y: float
    label: str
    title: str
    critical: bool
    failed: bool
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class GanttChart:
    """Rows, and marks of the time axis (x, label)."""

    width: float
    height: float
    rows: tuple[GanttRow, ...]
    ticks: tuple[tuple[float, str], ...]
    label_width: float
    row_height: int = _ROW
    left_out: int = 0


def gantt_chart(run: RunView) -> GanttChart | None:
    """The chart; None where no pod of the run is known."""
    known = [p for p in run.pods if p.finished is not None and (p.created is not None or p.started is not None)]
    if not known:
        return None
    shown = known
    if len(known) > MAX_ROWS:
        critical = [p for p in known if p.critical]
        others = [p for p in known if not p.critical][: max(0, MAX_ROWS - len(critical))]
        chosen = {id(p) for p in (*critical[:MAX_ROWS], *others)}
        shown = [p for p in known if id(p) in chosen]
    end = max([p.finished or 0.0 for p in known] + [run.duration_seconds or 0.0, 1e-3])
    scale = _PLOT / end
    left = 24.0 + _CHARACTER * max(len(_label(p)) for p in shown)  # a phone has no room to give away
    rows = tuple(_row(p, _TOP + i * _ROW, left, scale) for i, p in enumerate(shown))
    ticks = tuple((left + at * scale, label) for at, label in marks(end))
    left_out = len(known) - len(shown) + run.more_pods
    return GanttChart(left + _PLOT + 40, _TOP + len(rows) * _ROW + 8, rows, ticks, left, left_out=left_out)


def _name(pod: PodRow) -> str:
    return "/".join(filter(None, (pod.step, pod.item))) + (f" #{pod.attempt + 1}" if pod.attempt else "")


def _label(pod: PodRow) -> str:
    name = _name(pod)
    return name if len(name) <= _MAX_LABEL else name[: _MAX_LABEL - 1] + "…"


def _row(pod: PodRow, y: float, left: float, scale: float) -> GanttRow:
    begin = pod.created if pod.created is not None else pod.started or 0.0
    end = pod.finished or begin
    scheduled = pod.scheduled if pod.scheduled is not None else begin
    started = pod.started if pod.started is not None else scheduled
    parts = (("wait", begin, scheduled), ("start", scheduled, started), ("work", started, end))
    bars = [Bar(left + a * scale, max(0.0, b - a) * scale, kind) for kind, a, b in parts if b > a]
    if not bars:
        bars = [Bar(left + begin * scale, 0.0, "work")]
    bars[-1] = Bar(bars[-1].x, max(1.5, bars[-1].width), bars[-1].kind)
    title = (
        f"{_name(pod)}: {pod.outcome.value}{f' ({pod.reason})' if pod.reason else ''}, scheduling latency"
        f" {text.duration(max(0.0, scheduled - begin))}, startup {text.duration(max(0.0, started - scheduled))},"
        f" execution {text.duration(max(0.0, end - started))}{f', on {pod.node}' if pod.node else ''}"
    )
    return GanttRow(y, _label(pod), title, pod.critical, pod.outcome is Outcome.FAILED, tuple(bars))

"""The table of supported engines on their overview page, generated from the registry."""

from __future__ import annotations

import re

from concertmaster.engines.base import PODS
from concertmaster.engines.registry import ENGINES

_TABLE = re.compile(r"^\| page \|.*\n(?:\|.*\n)+", re.MULTILINE)
_LABELLED = ("WorkflowProfile with `podLabels`", "pods")
_GRAPH = "| [Graph](graph.md) | WorkflowProfile with `graph` or `runSelector` | pods, or results of queries |"


def render(page: str) -> str:
    """The page with an updated table. Engines with a common page share a row."""
    rows: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for engine in ENGINES:
        if engine.page is not None:
            declare, run = rows.setdefault(engine.page, ([], []))
            declare += [kind.kind for kind in engine.traits.kinds]
            if not engine.traits.kinds:
                continue  # its workflows are profiles, even if objects provide the outcome of their runs
            for kind in engine.run_kinds:
                run += [k.kind for k in (kind.object, kind.children) if k is not None and k is not PODS]
    lines = ["| page | objects that declare | objects that run |", "|---|---|---|"]
    for (title, file), (declare, run) in rows.items():
        columns = (", ".join(declare), ", ".join(run)) if declare or run else _LABELLED
        lines.append(f"| [{title}]({file}) | {' | '.join(columns)} |")
    return _TABLE.sub("\n".join([*lines, _GRAPH]) + "\n", page, count=1)

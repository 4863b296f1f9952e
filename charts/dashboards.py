"""The Grafana dashboards, generated as JSON from the panels of ``charts.boards``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from charts import boards
from charts.boards import Panel

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {"legend": {"showLegend": True}},
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}},
    "table": {"showHeader": True},
}
_TARGET: dict[str, dict[str, Any]] = {"timeseries": {}, "stat": {}, "table": {"format": "table", "instant": True}}


def _panel(number: int, panel: Panel, x: int, y: int, height: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": height},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "expr": expr,
                "legendFormat": legend,
                "datasource": _SOURCE,
                **_TARGET[panel.kind],
            }
            for i, (expr, legend) in enumerate(panel.queries)
        ],
    }


def _layout(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    placed, x, y, tallest = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > 24:
            x, y, tallest = 0, y + tallest, 0
        height = 5 if panel.kind == "stat" else 8
        placed.append(_panel(number, panel, x, y, height))
        x, tallest = x + panel.width, max(tallest, height)
    return placed


def _variable(name: str, label: str, query: str, *, all_of_them: bool = False) -> dict[str, Any]:
    every = {"includeAll": True, "multi": True, "current": {"text": "All", "value": "$__all"}} if all_of_them else {}
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": query,
        "definition": query,
        "refresh": 2,
        "sort": 1,
        **every,
    }


def _annotation(name: str, expr: str) -> dict[str, Any]:
    """Vertical lines at the times (unix seconds) that ``expr`` returns as values."""
    return {
        "name": name,
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "orange",
        "expr": expr,
        "titleFormat": name,
        "useValueForTime": "on",
        "step": "60s",
    }


def _dashboard(
    uid: str,
    title: str,
    panels: Sequence[Panel],
    variables: Sequence[dict[str, Any]] = (),
    annotations: Sequence[dict[str, Any]] = (),
) -> str:
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    document = {
        "uid": uid,
        "title": title,
        "tags": ["concertmaster"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "annotations": {"list": list(annotations)},
        "panels": _layout(panels),
    }
    return json.dumps(document, indent=1) + "\n"


def render() -> dict[str, str]:
    """JSON text by file name."""
    served = "concertmaster_workflow_run_late"
    fleet = _variable("namespace", "Namespace", f"label_values({served}, namespace)", all_of_them=True)
    namespace = _variable("namespace", "Namespace", f"label_values({served}, namespace)")
    workflow = _variable("workflow", "Workflow", f'label_values({served}{{namespace="$namespace"}}, workflow)')
    one = f'{served}{{namespace="$namespace", workflow="$workflow"}}'
    kind = _variable("kind", "Kind", f"label_values({one}, kind)")
    return {
        "fleet.json": _dashboard("concertmaster-fleet", "Concertmaster: fleet", boards.FLEET, [fleet]),
        "workflow.json": _dashboard(
            "concertmaster-workflow",
            "Concertmaster: workflow",
            boards.WORKFLOW,
            [namespace, workflow, kind],
            [_annotation("Change point", boards.CHANGE_POINTS)],
        ),
        "changes.json": _dashboard("concertmaster-changes", "Concertmaster: changes", boards.CHANGES),
        "operator.json": _dashboard("concertmaster-operator", "Concertmaster: operator", boards.OPERATOR),
    }

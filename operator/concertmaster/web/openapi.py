"""The OpenAPI description of the JSON API, made from its routes and models."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from concertmaster import __version__
from concertmaster.api.views.workflow import ErrorBody
from concertmaster.core.analysis.periods import Period
from concertmaster.core.model.enums import RecommendationState, Severity
from concertmaster.report.workflows.fleet import SORT
from concertmaster.web.api import Route

_TEXT: dict[str, Any] = {"type": "string"}
PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "namespace": ("Only workflows of this namespace.", _TEXT),
    "label": ("Only workflows with this label, as key or key=value.", _TEXT),
    "kind": ("Only workflows of this kind.", _TEXT),
    "severity": ("Only with a recommendation of at least this severity.", {"enum": [s.value for s in Severity]}),
    "q": ("Only workflows with this text in namespace or name.", _TEXT),
    "sort": ("Order.", {"enum": list(SORT), "default": "impact"}),
    "reverse": ("1: the other way round.", {"enum": ["1"]}),
    "offset": ("Lines before the first.", {"type": "integer", "minimum": 0, "default": 0}),
    "limit": ("Most lines.", {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}),
    "state": ("Only in this state.", {"enum": [s.value for s in RecommendationState]}),
    "pods": ("Most pods at a time; 0: as now.", {"type": "integer", "minimum": 0, "maximum": 1000, "default": 0}),
    "no-retries": ("1: every pod succeeds at its first attempt.", {"enum": ["1"]}),
    "period": ("Length of a period.", {"enum": [p.value for p in Period], "default": Period.DAILY.value}),
    "before": ("The run compared with: a name, latest or typical.", {**_TEXT, "default": "typical"}),
    "after": ("The run in question: a name, latest or typical.", {**_TEXT, "default": "latest"}),
}


def description(routes: Sequence[Route]) -> dict[str, Any]:
    """The document."""
    models: list[type[BaseModel]] = list(dict.fromkeys([*(r.model for r in routes), ErrorBody]))
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [(m, "serialization") for m in models]
    _, schemas = models_json_schema(modes, ref_template="#/components/schemas/{model}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Concertmaster",
            "version": __version__,
            "description": "Read-only views of workflows, as the dashboard shows them. Times are RFC 3339 in UTC, null is "
            "not known.",
        },
        "paths": {r.path: {"get": _operation(r)} for r in routes},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{route.model.__name__}"}
    schema = {"type": "array", "items": reference} if route.many else reference
    places = re.findall(r"\{(\w+)\}", route.path)
    return {
        "summary": route.summary,
        "operationId": "_".join(re.findall(r"\w+", route.path.removeprefix("/api/v1/"))),
        "parameters": [
            *({"name": p, "in": "path", "required": True, "schema": _TEXT} for p in places),
            *(
                {"name": p, "in": "query", "description": PARAMETERS[p][0], "schema": PARAMETERS[p][1]}
                for p in route.parameters
            ),
        ],
        "responses": {
            "200": {"description": route.summary, "content": {"application/json": {"schema": schema}}},
            **{
                code: {
                    "description": words,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}},
                }
                for code, words in (
                    ("403", "The token or the rights of its owner do not suffice."),
                    ("404", "There is no such object."),
                    ("503", "The cluster could not be read."),
                )
            },
        },
    }


def encoded(routes: Sequence[Route]) -> str:
    """As the file in ``docs/reference``."""
    return json.dumps(description(routes), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from concertmaster.web.api import Api

    Path(sys.argv[1]).write_text(encoded(Api().routes()), encoding="utf-8")

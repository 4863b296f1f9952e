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
from concertmaster.web.api import Route
from concertmaster.web.queries import PARAMETERS, TEXT


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
            *({"name": p, "in": "path", "required": True, "schema": TEXT} for p in places),
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
                    ("400", "A parameter has a value that it does not take."),
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

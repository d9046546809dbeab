"""describe: an application's OpenAPI description, with the problems that its routes refer to."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from esper.web.problems import Problem


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the description of all routes; what a `Problem` is stands in it once."""
    text = get_openapi(title=app.title, version=app.version, routes=app.routes)
    parts = text.setdefault("components", {}).setdefault("schemas", {})
    template = "#/components/schemas/{model}"
    schema = Problem.model_json_schema(mode="serialization", ref_template=template)
    parts.update(schema.pop("$defs", {}))
    parts["Problem"] = schema
    return text


def install(app: FastAPI, description: dict[str, Any]) -> None:
    """Let the application give this description of itself."""
    # FastAPI's own way to replace the description (its guide, "Extending OpenAPI").
    setattr(app, "openapi", lambda: description)  # noqa: B010 mypy refuses a plain assignment

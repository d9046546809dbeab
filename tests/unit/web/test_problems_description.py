from __future__ import annotations

import pytest
from fastapi import FastAPI

from esper.web.problems import describe, documented, install


@pytest.fixture
def app() -> FastAPI:
    made = FastAPI(title="Test", version="7")

    @made.get("/here", responses=documented(404))
    async def here() -> None:
        return None

    return made


def test_a_problem_stands_in_the_description_once_and_routes_refer_to_it(app: FastAPI) -> None:
    text = describe(app)
    assert (text["info"]["title"], text["info"]["version"]) == ("Test", "7")
    answers = text["paths"]["/here"]["get"]["responses"]
    (content,) = answers["404"]["content"].values()
    assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
    schemas = text["components"]["schemas"]
    assert {"Problem", "Fault"} <= set(schemas)
    assert "$defs" not in schemas["Problem"]


def test_an_application_gives_the_description_that_was_installed(app: FastAPI) -> None:
    install(app, {"openapi": "3.1.0", "paths": {}})
    assert app.openapi() == {"openapi": "3.1.0", "paths": {}}

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import esper
from esper.contracts.lifecycle import SeedLifecycleState


def test_the_versions_are_the_documented_ones() -> None:
    assert esper.__version__ == "0.2.0"
    assert esper.__api_version__ == "v1"


@pytest.mark.parametrize("name", [name for name in esper.__all__ if not name.startswith("__")])
def test_every_public_name_can_be_reached_and_says_what_it_is(name: str) -> None:
    assert (getattr(esper, name).__doc__ or "").strip()


def test_a_name_is_the_one_that_its_own_file_defines() -> None:
    assert esper.SeedLifecycleState is SeedLifecycleState
    assert "SeedLifecycleState" in dir(esper)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'esper' has no attribute 'warp'"):
        esper.warp  # type: ignore[attr-defined]  # noqa: B018  the access is the test


def test_what_type_checkers_see_is_what_is_there() -> None:
    tree = ast.parse(Path(inspect.getfile(esper)).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == esper._HOME
    assert set(seen) | {"__version__", "__api_version__"} == set(esper.__all__)


def test_importing_the_package_and_its_configuration_needs_no_torch() -> None:
    code = "import sys, esper; esper.EsperConfig; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

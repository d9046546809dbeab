from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

from esper.contracts.errors import ConfigError
from esper.utils import extras

ROOT = Path(__file__).resolve().parents[3]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]
SHIPPED = ("urza", "library", "tezzeret")


def declared(extra: str) -> set[str]:
    """Packages of an extra as they are imported."""
    names = {re.split(r"[\[>=<]", line)[0].lower().replace("_", "-") for line in EXTRAS[extra]}
    return {
        imported
        for imported, owners in importlib.metadata.packages_distributions().items()
        if names & {owner.lower().replace("_", "-") for owner in owners}
    }


@pytest.mark.parametrize("package", sorted(extras.EXTRA_OF))
def test_the_extra_that_is_named_brings_the_package(package: str) -> None:
    # Starlette comes with FastAPI.
    assert package in declared(extras.EXTRA_OF[package]) | {"starlette"}


@pytest.mark.parametrize("extra", SHIPPED)
def test_every_package_of_an_extra_is_known(extra: str) -> None:
    ours = {name for name in declared(extra) if not name.startswith(("_", "esper"))}
    assert ours <= set(extras.EXTRA_OF) | {"esper"}


@pytest.mark.parametrize(("extra", "named"), [(None, "library"), ("urza", "urza")])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    extra: str | None, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_httpx.py").write_text("import httpx\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ConfigError, match=rf"pip install 'esper-morphogenetic\[{named}\]'"):
        extras.load("needs_httpx", extra=extra)


def test_a_missing_module_of_another_kind_is_not_dressed_up() -> None:
    with pytest.raises(ModuleNotFoundError):
        extras.load("esper.no_such_module")

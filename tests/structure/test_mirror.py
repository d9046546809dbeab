"""A reader finds a file's tests under the file's own name."""

from __future__ import annotations

from pathlib import Path

import pytest

from structure import source

UNIT = source.ROOT / "tests" / "unit"
TESTS = sorted(UNIT.rglob("test_*.py"))

# What a test may be about besides one file of the package.
BESIDES_A_FILE = {"test_facade.py"}


def _mirrors(test: Path) -> bool:
    folder = source.PACKAGE / test.parent.relative_to(UNIT)
    subject = test.stem.removeprefix("test_")
    stems = {path.stem for path in folder.glob("*.py")} | {
        path.name for path in folder.glob("*/") if (path / "__init__.py").exists()
    }
    # A long test file may be split: test_optimizer_scheduler.py is about optimizer.py too.
    return any(subject == stem or subject.startswith(f"{stem}_") for stem in stems)


@pytest.mark.parametrize("test", TESTS, ids=source.shown)
def test_a_unit_test_is_named_after_a_file_of_the_package(test: Path) -> None:
    assert test.name in BESIDES_A_FILE or _mirrors(test), (
        f"{source.shown(test)}: no such file in src/esper/{test.parent.relative_to(UNIT)}"
    )


def test_the_unit_tests_were_found() -> None:
    assert len(TESTS) > 20

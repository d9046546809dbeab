from __future__ import annotations

from pathlib import Path

import pytest

from esper.data.source import DataSource


@pytest.fixture
def source(tmp_path: Path) -> DataSource:
    """Folders that hold nothing."""
    return DataSource(root=None, cache=tmp_path / "cache", system=(tmp_path / "share",))

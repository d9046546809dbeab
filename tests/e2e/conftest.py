"""What the end-to-end tests of the dashboard share: a browser, a real run, a server that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from esper.services.nissa.backfill import import_folder
from support.browser import browser
from support.dashboard_server import DashboardServer, dashboard_server, train_short_run

__all__ = ["browser"]


@pytest.fixture(scope="session")
def recorded_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real run in which a kernel grew."""
    return train_short_run(tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="session")
def dashboard(
    recorded_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DashboardServer]:
    """A server that shows the recorded run."""
    file = tmp_path_factory.mktemp("dashboard") / "runs.db"
    with dashboard_server(file) as server:
        server.ask(lambda store: import_folder(store, recorded_run))
        yield server

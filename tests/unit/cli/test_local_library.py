from __future__ import annotations

from pathlib import Path

import pytest

from esper.cli.local_library import own_library, settings
from esper.contracts.errors import ConfigError, LibraryUnavailableError
from support.urza_server import without_library


@pytest.fixture(autouse=True)
def _no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.environ", without_library())
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))


def test_a_library_of_ones_own_lies_in_the_home_folder(tmp_path: Path) -> None:
    assert settings(None).database_url == f"sqlite:///{tmp_path / 'urza' / 'urza.db'}"


def test_what_is_typed_comes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ESPER_URZA_PORT", "1234")
    assert settings(tmp_path).port == 1234
    assert settings(tmp_path, port=0).port == 0
    assert settings(tmp_path, host="localhost").host == "localhost"


def test_the_client_s_variables_are_no_settings_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("URL", "TOKEN", "TOKEN_FILE", "ALLOW_PLAIN_HTTP"):
        monkeypatch.setenv(f"ESPER_URZA_{name}", "1")
    assert settings(None)


def test_a_misspelt_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPER_URZA_PROT", "1234")
    with pytest.raises(ConfigError, match="port"):
        settings(None)


def test_the_stores_are_opened_for_one_piece_of_work(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    with own_library(folder, make=True) as library:
        assert library.verify_audit() == 0
    assert (folder / "urza.db").exists()
    with own_library(folder) as library:
        assert library.verify_audit() == 0


def test_who_only_asks_makes_no_library(tmp_path: Path) -> None:
    folder = tmp_path / "mistyped"
    with pytest.raises(LibraryUnavailableError, match="esper urza migrate"), own_library(folder):
        pass
    assert not folder.exists()

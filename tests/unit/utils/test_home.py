from __future__ import annotations

from pathlib import Path

from esper.utils.home import data_home


def test_the_environment_s_folder_comes_first() -> None:
    assert data_home({"ESPER_HOME": "/data/esper"}) == Path("/data/esper")
    assert data_home({"ESPER_HOME": "~/esper"}) == Path.home() / "esper"


def test_without_it_it_is_the_user_s_data_folder() -> None:
    assert data_home({}).is_absolute()
    assert data_home({"ESPER_HOME": ""}) == data_home({})

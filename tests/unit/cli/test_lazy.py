from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from esper.cli.app import app


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_noun_is_imported_when_it_is_called_and_no_other() -> None:
    run(
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from esper.cli.app import app\n"
        "assert 'esper.cli.runs' not in sys.modules\n"
        "assert CliRunner().invoke(app, ['status', '--help']).exit_code == 0\n"
        "assert 'esper.cli.status' in sys.modules\n"
        "assert 'esper.cli.runs' not in sys.modules\n"
    )


def test_a_module_that_waits_is_imported_at_its_first_use() -> None:
    run(
        "import sys\n"
        "from esper.cli.lazy import later\n"
        "with later():\n"
        "    import torch\n"
        "    from esper.utils import nearest\n"
        "assert not {'torch', 'esper.utils.nearest'} & set(sys.modules)\n"
        "assert nearest.did_you_mean('a', ['a'])\n"
        "import esper.utils.nearest\n"
        "assert nearest.did_you_mean is esper.utils.nearest.did_you_mean\n"
        "assert 'torch' not in sys.modules\n"
        "assert torch.zeros(2).tolist() == [0, 0]\n"
    )


def test_a_module_that_is_there_already_does_not_wait() -> None:
    run(
        "from esper.cli.lazy import later\n"
        "from esper.utils import nearest as real\n"
        "with later():\n"
        "    from esper.utils import nearest\n"
        "assert nearest is real\n"
    )


def test_a_module_that_is_not_there_is_told_at_once() -> None:
    run(
        "from esper.cli.lazy import later\n"
        "try:\n"
        "    with later():\n"
        "        from esper.utils import nowhere\n"
        "except ImportError as error:\n"
        "    assert 'nowhere' in str(error)\n"
        "else:\n"
        "    raise AssertionError('not missed')\n"
    )


def test_a_noun_is_listed_with_the_summary_that_its_own_help_begins_with() -> None:
    root: Any = typer.main.get_command(app)
    for name, summary in root.nouns.items():
        assert root.load(name).help.splitlines()[0] == summary, name
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0, name


def test_a_misspelt_noun_names_the_nearest() -> None:
    assert "Did you mean 'runs'" in CliRunner().invoke(app, ["rusn"]).output


@pytest.mark.parametrize(
    "words",
    [
        ("kernel", "build", "--family", "low-rank", "--host", "linear", "--input", "8", "-o", "k"),
        ("blueprints", "show", "low-rank"),
        ("blueprints", "list"),
        ("tezzeret", "prove", "nothing/small", "--host", "linear", "--input", "8"),
    ],
    ids=" ".join,
)
def test_a_command_needs_nothing_that_another_one_imported(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "esper.cli", *words],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert "Known: none" not in done.stderr
    assert done.returncode == (2 if "nothing/small" in words else 0), done.stderr


PRINTING = (
    ["--version"],
    ["--help"],
    ["train", "--help"],
    ["export", "--help"],
    ["runs", "list"],
    ["runs", "show", "newest"],
    ["status"],
    ["control", "a", "stop", "--redis", "redis://127.0.0.1:1"],
    ["bus", "stats", "--redis", "redis://127.0.0.1:1"],
    ["bus", "replay", "events.seed", "--redis", "redis://127.0.0.1:1"],
    ["kernel", "search", "--urza", "http://127.0.0.1:1"],
    ["kernel", "lineage", "ab" * 32, "--urza", "http://127.0.0.1:1"],
    ["kernel", "promote", "ab" * 32, "a@b", "--urza", "http://127.0.0.1:1"],
    ["kernel", "show", "nowhere"],
    ["kernel", "verify", "nowhere"],
    ["blueprints", "search", "--urza", "http://127.0.0.1:1"],
    ["urza", "migrate"],
    ["urza", "audit"],
    ["urza", "gc", "--dry-run"],
    ["urza", "token", "list"],
    ["urza", "token", "list", "--urza", "http://127.0.0.1:1"],
)


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_a_command_that_only_prints_does_not_import_torch(
    words: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = str(tmp_path_factory.mktemp("home"))
    run(
        "import os, sys\n"
        f"os.environ.update(ESPER_HOME={home!r})\n"
        "import esper.services.urza.client.core as core\n"
        "core.FIRST_DELAY = 0.0\n"
        "from esper.cli.app import app\n"
        "try:\n"
        f"    app({words!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'torch', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )

"""A kernel grows in one run, goes through a library, and races in the next run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from esper.contracts.enums import AdaptationOutcome, Role
from esper.contracts.growth import GrowthReport
from esper.contracts.library import KernelQuery
from esper.services.urza.client.urza_client import UrzaClient
from support import forked
from support.urza_server import ESPER, UrzaServer, urza_server, without_library

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SHORT = {
    "growth.first_check": "0.1",
    "growth.rung": "0.12",
    "growth.ramp": "0.05",
    "growth.settle": "0.05",
    "growth.max_grafts": "1",
}


def train(server: UrzaServer, output: Path, *options: str) -> str:
    settings = [part for pair in SHORT.items() for part in ("--set", "=".join(pair))]
    command = [*ESPER, "train", "-q", "mnist1d", "--steps", "360", "--output", str(output)]
    done = forked.run(
        [*command, *settings, "--urza", server.url, *options],
        env=server.environment(Role.TRAINER),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return " ".join(done.stderr.split())


def entered(folder: Path) -> list[str]:
    lines = (folder / "run.jsonl").read_text(encoding="utf-8").splitlines()
    (record,) = [r for line in lines if (r := json.loads(line))["type"] == "library"]
    found: list[str] = record["entered"]
    return found


def test_a_kernel_goes_from_run_to_run_and_the_library_learns_how_it_did(tmp_path: Path) -> None:
    with urza_server(tmp_path / "library") as server:
        _train_while_the_library_is_away(server, tmp_path / "first")
        _send(server, tmp_path / "first")
        with UrzaClient(server.url, server.tokens[Role.TRAINER]) as client:
            (record,) = client.search(KernelQuery(host="linear", tags={"task": "mnist1d"}), limit=5)
            assert record.proven_gain is not None
            assert record.proven_gain > 0
            kernel_id = record.metadata.kernel_id
            assert kernel_id is not None

            entering = ("--enter-kernels", "2", "--deposit")
            told = train(server, tmp_path / "second", "--seed", "1", *entering)
            assert "1 kernel of the library may enter races" in told
            assert re.search(r"the library took .*\b\d report", told)
            assert entered(tmp_path / "second") == [kernel_id]
            outcomes = client.lineage(kernel_id).outcomes
        assert len({o.run_id for o in outcomes}) == 2
        text = (tmp_path / "second" / "report.json").read_bytes()
        report = GrowthReport.model_validate_json(text)
        (raced,) = [e for r in report.races for e in r.entrants if e.kernel_id == kernel_id]
        assert outcomes[-1].report.layer_name == raced.layer_name
        assert outcomes[-1].report.outcome is not AdaptationOutcome.FAILED


def _train_while_the_library_is_away(server: UrzaServer, output: Path) -> None:
    told = train(replace(server, url="http://127.0.0.1:9"), output, "--deposit")
    assert "the run goes on without" in told
    assert "esper report RUN --send" in told
    assert entered(output) == []


def _send(server: UrzaServer, folder: Path) -> None:
    sent = forked.run(
        [*ESPER, "report", str(folder), "--send", "--urza", server.url],
        env={**without_library(), "ESPER_URZA_TOKEN": server.tokens[Role.TRAINER]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert sent.returncode == 0, sent.stderr
    assert "the library took 1 kernel and 1 report" in " ".join(sent.stderr.split())

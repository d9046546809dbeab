"""One adaptation is one trace, across the processes that take part in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from esper.contracts.enums import Role
from esper.utils.spans import root_of, trace_id_of
from support import forked
from support.nissa_server import nissa_server
from support.otlp_receiver import ReceivedSpan, Receiver, otlp_receiver
from support.servers.valkey import ValkeyServer
from support.urza_server import ESPER, UrzaServer, urza_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SHORT = {
    "growth.first_check": "0.1",
    "growth.rung": "0.12",
    "growth.ramp": "0.05",
    "growth.settle": "0.05",
    "growth.max_grafts": "1",
}


def _train(server: UrzaServer, bus: str, output: Path, receiver: Receiver) -> str:
    """Train a short run in a process of its own; return its id."""
    settings = [part for pair in SHORT.items() for part in ("--set", "=".join(pair))]
    command = [*ESPER, "train", "-q", "mnist1d", "--steps", "360", "--output", str(output)]
    done = forked.run(
        [*command, *settings, "--urza", server.url, "--deposit"],
        env={
            **server.environment(Role.TRAINER),
            **receiver.environment(),
            "ESPER_REDIS_URL": bus,
            "ESPER_HOME": str(output.parent),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    identity = json.loads((output / "identity.json").read_bytes())
    return str(identity["run_id"])


def test_an_adaptation_is_one_trace_from_health_signal_to_fossil_across_processes(
    tmp_path: Path, valkey_server: ValkeyServer
) -> None:
    bus = valkey_server.url
    with (
        otlp_receiver() as receiver,
        urza_server(tmp_path / "library", receiver.environment()) as urza,
        nissa_server(tmp_path / "nissa", "--redis", bus, settings=receiver.environment()) as nissa,
    ):
        run_id = _train(urza, bus, tmp_path / "run", receiver)
        receiver.wait_for("adaptation")
        assert nissa.stop() == 0, nissa.log.read_text()
        receiver.wait_for("POST add_field_report")
        roots = [span for span in receiver.spans if span.name == "adaptation"]
    (kept,) = [root for root in roots if root.attributes["esper.verdict"] == "fossilise"]
    number = [trace_id_of(run_id, n) for n in range(10)].index(kept.trace_id)
    assert kept.span_id == root_of(trace_id_of(run_id, number)).span_id
    assert {"health measured", "fossilized", "verdict: graft", "verdict: fossilise"} <= {
        *kept.events
    }
    trace = [span for span in receiver.spans if span.trace_id == kept.trace_id]
    _one_tree(trace, kept)
    services = {span.service for span in trace}
    assert services == {"esper-nissa", "esper-urza"}
    assert {"race", "rung", "graft", "POST add_field_report"} <= {span.name for span in trace}


def _one_tree(trace: list[ReceivedSpan], root: ReceivedSpan) -> None:
    ids = {span.span_id for span in trace}
    assert len(ids) == len(trace), "a span came twice"
    assert root.parent_id == ""
    assert all(span.parent_id in ids for span in trace if span is not root)
    for span in trace:
        assert span.began <= span.ended

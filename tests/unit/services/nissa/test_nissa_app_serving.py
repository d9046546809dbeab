"""Nissa as a process: it serves, streams while a run goes on, drains, and refuses strangers."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from esper.contracts.enums import TopicNames
from esper.contracts.errors import PlatformError
from esper.contracts.messages import topic_of
from esper.contracts.records import RunLine, RunRecords
from esper.services.nissa.nissa_app import serve
from esper.services.nissa.nissa_config import NissaConfig
from esper.services.oona.link import Link
from esper.services.oona.open import open_bus
from support import forked, logged_runs
from support.alert_lines import component
from support.nissa_server import nissa_server
from support.servers.valkey import ValkeyServer
from support.urza_server import ESPER

pytestmark = pytest.mark.slow


def _events(answer: httpx.Response) -> Iterator[tuple[str, str, str]]:
    """Id, kind and data of each event."""
    found: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line == "" and "data" in found:
            yield found.get("id", ""), found.get("event", ""), found["data"]
            found = {}
        elif name:
            found[name] = value


def _publish(url: str, lines: list[logged_runs.Line]) -> None:
    link = Link(lambda: open_bus(url), sender_id="tolaria/1")
    for number, line in enumerate(lines):
        body = (RunLine(position=10 * number, body=line),)
        link.publish(RunRecords(run_id="run-1", attempt=0, lines=body), topic=topic_of(line))
    link.publish(component(), topic=TopicNames.HEALTH_COMPONENTS)
    link.close(30.0)
    assert dict(link.dropped) == {}


def test_what_comes_over_the_bus_is_streamed_as_it_comes_and_the_stream_ends_with_the_server(
    tmp_path: Path, valkey_server: ValkeyServer
) -> None:
    lines = logged_runs.lines()
    with nissa_server(tmp_path / "nissa", "--redis", valkey_server.url) as nissa:
        _publish(valkey_server.url, lines[:4])
        stream = f"{nissa.url}/api/v1/stream"
        with httpx.Client(timeout=60) as client:
            with client.stream("GET", stream, params={"after": -1}) as heads:
                cursor, kind, data = next(_events(heads))
                assert (kind, data) == ("head", cursor)
            while not client.get(f"{nissa.url}/api/v1/runs").json():
                pass
            with client.stream("GET", stream, params={"run": "newest", "after": -1}) as events:
                found = _events(events)
                first = [next(found) for _ in range(4)]
                rest = threading.Thread(target=_publish, args=(valkey_server.url, lines))
                rest.start()
                first += [next(found) for _ in range(len(lines) - 4)]
                rest.join()
                assert {json.loads(data)["position"] for _, _, data in first} == {
                    10 * number for number in range(len(lines))
                }
                again = {"Last-Event-ID": first[-2][0]}
                with client.stream("GET", stream, params={"run": "run-1"}, headers=again) as more:
                    assert next(_events(more)) == first[-1]
                assert nissa.stop() == 0, nissa.log.read_text()
                assert list(found) == []
    assert "Traceback" not in nissa.log.read_text()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config = NissaConfig(port=port, store=f"sqlite:///{tmp_path / 'runs.db'}")
        with pytest.raises(PlatformError, match=f"cannot listen on 127.0.0.1:{port}"):
            asyncio.run(serve(config))


def test_the_command_says_in_a_line_why_it_does_not_serve_strangers(tmp_path: Path) -> None:
    done = forked.run(
        [*ESPER, "nissa", "serve", "--host", "0.0.0.0"],
        env={"ESPER_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "ESPER_NISSA_TOKEN" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr

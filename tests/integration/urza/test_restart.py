"""A server that goes away and comes back is a pause for a client, not an error."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from threading import Thread

import pytest

from esper.contracts.enums import Role
from esper.execution.error_recovery import ErrorRecoveryManager, RetryConfig
from esper.services.urza.client.urza_client import UrzaClient
from support import forked
from support.urza_server import ESPER, UrzaServer, urza_server, without_library

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def restarted(server: UrzaServer) -> subprocess.Popen[str]:
    port = server.url.rpartition(":")[2]
    command = [*ESPER, "urza", "serve", "--folder", str(server.folder), "--port", port]
    return forked.Popen(
        command,
        env=without_library(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_killed_server_is_waited_for_and_has_lost_nothing(tmp_path: Path) -> None:
    data = b"nothing that was acknowledged is lost"
    with urza_server(tmp_path / "library") as server:
        started: list[subprocess.Popen[str]] = []
        patient = ErrorRecoveryManager(retry=RetryConfig(attempts=40), draw=lambda: 0.05)
        with UrzaClient(server.url, server.tokens[Role.ADMIN], recovery=patient) as client:
            client.put_blob(data)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            again = Thread(target=lambda: started.append(restarted(server)))
            again.start()
            try:
                # While nobody listens, and then while the new process opens the store.
                assert client.put_blob(data) is False
            finally:
                again.join()
                for process in started:
                    process.send_signal(signal.SIGTERM)
                    process.communicate()

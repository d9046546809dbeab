from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

SERVER = """
import asyncio, resource, sys
from starlette.responses import PlainTextResponse
from esper.web.draining import Draining, DrainingServer

async def main():
    app = PlainTextResponse("here")
    tell = lambda url: print("AT", url, flush=True)
    where = {"host": "127.0.0.1", "port": 0, "drain_seconds": 1}
    server = DrainingServer(app, Draining(), name="test", started=tell, **where)
    # As if something else had taken the files that are kept.
    server.server_state.most = 10_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
    await server.serve()

asyncio.run(main())
"""


def test_where_files_run_out_it_goes_on_answering_and_the_log_stays_short(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=errors, text=True
        ) as server,
        contextlib.ExitStack() as callers,
    ):
        assert server.stdout is not None
        lines = iter(server.stdout.readline, "")
        url = next(line.split()[1] for line in lines if line.startswith("AT "))
        port = int(url.rpartition(":")[2])
        for _ in range(100):
            caller = callers.enter_context(socket.create_connection(("127.0.0.1", port)))
            caller.sendall(b"GET / HTTP/1.1\r\nX: ")
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert answer.read() == b"here"
        server.terminate()
        rest = server.communicate(timeout=30)[0]
    written = rest + log.read_text(encoding="utf-8")
    assert "out_of_files" in written
    assert "Traceback" not in written
    assert len(written) < 2000

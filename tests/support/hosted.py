"""A service for tests of `esper up`: answers probes, and misbehaves as its folder's files say.

    python hosted.py FOLDER PORT

`FOLDER/unready` makes it not ready, `FOLDER/deaf` makes it answer nothing, `FOLDER/stubborn` makes
it ignore SIGTERM, `FOLDER/broken` makes it end at once. It adds a line to `FOLDER/told` when it
begins and when it ends in order.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from esper.hosting.service import Service, http_question
from support.servers.server import free_port

PATIENCE = 300.0


def stand_in(folder: Path, name: str = "stand-in") -> Service:
    """The service, with a folder of its own for its files."""
    place, port = folder / name, free_port()
    place.mkdir(parents=True)
    url = f"http://127.0.0.1:{port}"
    return Service(
        name=name,
        command=(sys.executable, __file__, str(place), str(port)),
        address=url,
        port=port,
        log=folder / "logs" / f"{name}.log",
        lives=http_question(url, "/livez"),
        is_ready=http_question(url, "/readyz"),
        environment={"PYTHONPATH": str(Path(__file__).parents[1])},
        stop_seconds=20.0,
    )


def until(reached: Callable[[], bool], *, doing: Callable[[], object] = lambda: None) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        doing()
        time.sleep(0.05)


def main(folder: Path, port: int) -> None:
    def tell(word: str) -> None:
        with (folder / "told").open("a") as file:
            file.write(f"{word} {time.time()}\n")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            while (folder / "deaf").exists():
                time.sleep(0.1)
            unready = self.path == "/readyz" and (folder / "unready").exists()
            self.send_response(503 if unready else 200)
            self.end_headers()

    def stop(number: int, frame: object) -> None:
        if not (folder / "stubborn").exists():
            tell("ended")
            raise SystemExit(0)

    if (folder / "broken").exists():
        sys.exit("it is broken")
    signal.signal(signal.SIGTERM, stop)
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    tell("began")
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

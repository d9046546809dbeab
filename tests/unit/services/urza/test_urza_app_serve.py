"""The server as a process: it starts, stops in order, and refuses what would let strangers in."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from esper.contracts.enums import Role
from esper.contracts.errors import ConfigError, LibraryUnavailableError
from esper.services.urza.urza_app import serve
from esper.services.urza.urza_config import UrzaConfig
from support.urza_app import API, Process, process

DATA = b"x" * 100_000
DIGEST = hashlib.sha256(DATA).hexdigest()


@contextlib.contextmanager
def _half_an_upload(urza: Process) -> Iterator[http.client.HTTPConnection]:
    """An upload of which the server has the first half."""
    place = urlsplit(urza.url)
    upload = http.client.HTTPConnection(place.hostname or "", place.port, timeout=300)
    with contextlib.closing(upload):
        upload.putrequest("PUT", f"{API}/blobs/{DIGEST}")
        upload.putheader("Authorization", f"Bearer {urza.secrets[Role.TRAINER]}")
        upload.putheader("Content-Length", str(len(DATA)))
        upload.endheaders()
        upload.send(DATA[:50_000])
        # The server's own counter says when it has begun: this reading of it, and the upload.
        reader = {"Authorization": f"Bearer {urza.secrets[Role.READER]}"}
        counters = f"{urza.url}/metrics"
        while "in_flight 2.0" not in httpx.get(counters, headers=reader, timeout=300).text:
            time.sleep(0.05)
        yield upload


def _takes_connections(urza: Process) -> bool:
    try:
        httpx.get(f"{urza.url}/livez", timeout=300)
    except httpx.TransportError:
        return False
    return True


@pytest.mark.slow
def test_what_is_under_way_at_sigterm_is_finished_and_nothing_new_is_taken(tmp_path: Path) -> None:
    with process(tmp_path) as urza:
        assert httpx.get(f"{urza.url}/readyz", timeout=300).json() == {"status": "ready"}
        with _half_an_upload(urza) as upload:
            urza.terminate()
            while _takes_connections(urza):
                time.sleep(0.05)
            assert urza.process.poll() is None, "it ended with a request under way"
            upload.send(DATA[50_000:])
            with upload.getresponse() as answer:
                assert answer.status == 201
        status, log = urza.finished()
        assert status == 0, log
        assert "urza stops" in log
        assert all(secret not in log for secret in urza.secrets.values())


@pytest.mark.slow
def test_who_never_finishes_is_not_waited_for_longer_than_the_settings_say(
    tmp_path: Path,
) -> None:
    with process(tmp_path, drain_seconds=1.0) as urza, _half_an_upload(urza):
        urza.terminate()
        status, log = urza.finished()
        assert status == 0, log


@pytest.mark.slow
def test_who_hangs_up_in_the_middle_leaves_nothing_behind_and_is_no_failure(
    tmp_path: Path,
) -> None:
    with process(tmp_path) as urza:
        with _half_an_upload(urza):
            pass
        reader = {"Authorization": f"Bearer {urza.secrets[Role.READER]}"}
        while (
            "in_flight 1.0"
            not in httpx.get(f"{urza.url}/metrics", headers=reader, timeout=300).text
        ):
            time.sleep(0.05)
        blob = f"{urza.url}{API}/blobs/{DIGEST}"
        assert httpx.head(blob, headers=reader, timeout=300).status_code == 404
        urza.terminate()
        status, log = urza.finished()
        assert status == 0
        assert "the server failed" not in log, log
        assert "Traceback" not in log, log


@pytest.mark.slow
def test_a_second_signal_ends_it_now(tmp_path: Path) -> None:
    with process(tmp_path, drain_seconds=1000.0) as urza, _half_an_upload(urza):
        urza.terminate()
        assert urza.process.poll() is None
        time.sleep(0.5)
        urza.terminate()
        status, log = urza.finished()
        assert status == 0, log


def test_it_does_not_serve_others_without_authentication(tmp_path: Path) -> None:
    places = UrzaConfig.default(tmp_path)
    config = UrzaConfig(database_url=places.database_url, blobs=places.blobs, host="0.0.0.0")
    with pytest.raises(ConfigError, match="Set auth to 'token'"):
        serve(config)
    assert not list(tmp_path.iterdir()), "it opened the library before it refused"


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with process(tmp_path / "one") as urza:
        places = UrzaConfig.default(tmp_path / "two")
        port = urlsplit(urza.url).port
        assert port is not None
        config = UrzaConfig(database_url=places.database_url, blobs=places.blobs, port=port)
        with pytest.raises(LibraryUnavailableError, match=f"cannot listen on 127.0.0.1:{port}"):
            serve(config)

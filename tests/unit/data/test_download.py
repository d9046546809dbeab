from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest

from esper.contracts.errors import ChecksumError, DataUnavailableError
from esper.data.download import RemoteFile, fetch, md5_of
from unit.data.http_source import FileServer, serving

CONTENT = bytes(range(256)) * 4000


def remote(server: FileServer, content: bytes = CONTENT, name: str = "data.bin") -> RemoteFile:
    md5 = hashlib.md5(content).hexdigest()
    return RemoteFile(name=name, url=server.address + name, md5=md5)


def test_file_arrives_whole_and_leaves_no_partial_file(tmp_path: Path) -> None:
    with serving({"data.bin": CONTENT}) as server:
        path = fetch(remote(server), tmp_path / "new")
    assert path.read_bytes() == CONTENT
    assert not list((tmp_path / "new").glob("*.part"))


def test_file_that_is_here_is_not_asked_for_again(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(CONTENT)
    with serving({}) as server:
        assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == []


def test_broken_connections_are_taken_up_where_they_broke(tmp_path: Path) -> None:
    with serving({"data.bin": CONTENT}, breaks=2, break_after=300_000) as server:
        assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-"]


def test_download_goes_on_in_a_later_process_from_the_partial_file(tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:12345])
    with serving({"data.bin": CONTENT}) as server:
        assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=12345-"]


def test_complete_partial_file_is_accepted_when_the_server_has_nothing_to_add(
    tmp_path: Path,
) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    with serving({"data.bin": CONTENT}) as server:
        assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_partial_file_of_another_version_is_fetched_once_from_scratch(tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"other" * 100)
    with serving({"data.bin": CONTENT}) as server:
        assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=500-", None]


def test_server_without_ranges_sends_the_file_anew(tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    with serving({"data.bin": CONTENT}) as server:
        server.honours_ranges = False
        assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_wrong_content_is_refused_and_removed(tmp_path: Path) -> None:
    with (
        serving({"data.bin": b"something else"}) as server,
        pytest.raises(ChecksumError, match=r"data\.bin has MD5 .* published one is"),
    ):
        fetch(remote(server), tmp_path)
    assert not (tmp_path / "data.bin").exists()
    assert not (tmp_path / "data.bin.part").exists()


def test_wrong_file_on_disk_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"mine")
    with serving({"data.bin": CONTENT}) as server, pytest.raises(ChecksumError, match="remove"):
        fetch(remote(server), tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == b"mine"


def test_missing_file_names_file_url_folder_and_remedy(tmp_path: Path) -> None:
    with serving({}) as server, pytest.raises(DataUnavailableError) as error:
        fetch(remote(server), tmp_path)
    for part in ("data.bin", server.address, str(tmp_path), "404", "--data-dir"):
        assert part in str(error.value)


def test_offline_names_file_url_folder_and_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/data.bin"
        with pytest.raises(DataUnavailableError) as error:
            fetch(RemoteFile(name="data.bin", url=url, md5="0" * 32), tmp_path)
    for part in ("data.bin", url, str(tmp_path), "refused", "by hand", "--data-dir"):
        assert part in str(error.value)


def test_what_arrived_before_a_lasting_fault_is_kept(tmp_path: Path) -> None:
    with serving({"data.bin": CONTENT}, breaks=9, break_after=1000) as server:
        with pytest.raises(DataUnavailableError, match="goes on where it stopped"):
            fetch(remote(server), tmp_path)
        assert (tmp_path / "data.bin.part").read_bytes() == CONTENT[:4000]
        server.breaks = 0
        assert md5_of(fetch(remote(server), tmp_path)) == remote(server).md5

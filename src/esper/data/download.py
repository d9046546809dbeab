"""Fetching one file over HTTP: resumed where it broke off, checked, put in place in one move.

What arrives is kept in ``NAME.part`` beside the target, so a broken download goes on from there,
in this process or a later one. The target appears only when its digest is right.

`pooch` was looked at: it opens its file anew at every try, so that 170 MB that broke off at the end
come again from the beginning, and it brings `requests`.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from esper.contracts.errors import ChecksumError, DataUnavailableError

_BLOCK = 1 << 18
_TIMEOUT = 30.0
_ATTEMPTS = 4
_PARTIAL = 206
_RANGE_REFUSED = 416


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that a data set needs, and how to know that it is the right one."""

    name: str
    """File name in the data folder."""
    url: str
    """``http``, ``https`` address of the official copy."""
    md5: str
    """MD5 that the publisher gives, lower-case hexadecimal."""


def fetch(remote: RemoteFile, folder: Path) -> Path:
    """Have ``remote`` in ``folder``: at once if it is there, by download otherwise.

    Args:
        remote: what to have.
        folder: where to; made if needed.

    Returns:
        Path of the checked file.

    Raises:
        DataUnavailableError: the server cannot be reached or does not have the file. What had
            arrived is kept and used by the next try.
        ChecksumError: the file (here, or as the server sends it) is not the published one. One
            that is here is left as it is; one that arrived is removed.
    """
    target = folder / remote.name
    if target.exists():
        _check(target, remote, f"remove {target} and run again to fetch it anew")
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if not target.exists():  # another process may have fetched it while we waited
                _download(remote, target)
    except OSError as error:
        raise _unavailable(remote, folder, str(error)) from error
    return target


def md5_of(path: Path) -> str:
    """MD5 of a file, lower-case hexadecimal."""
    with path.open("rb") as file:
        # MD5 guards against accidents: it is the digest that the publishers give.
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _check(path: Path, remote: RemoteFile, remedy: str) -> None:
    found = md5_of(path)
    if found != remote.md5:
        raise ChecksumError(
            f"{remote.name} has MD5 {found}, but the published one is {remote.md5} "
            f"({path.stat().st_size} bytes, from {remote.url}): {remedy}"
        )


def _download(remote: RemoteFile, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    resumed = part.exists() and part.stat().st_size > 0
    _transfer(remote, part)
    if resumed and md5_of(part) != remote.md5:
        part.unlink()  # the beginning may stem from another version of the file: once from scratch
        _transfer(remote, part)
    try:
        _check(part, remote, "the server does not send the published file; try again later")
    except ChecksumError:
        part.unlink()
        raise
    part.replace(target)


def _transfer(remote: RemoteFile, part: Path) -> None:
    """Fill ``part`` to its end, going on after broken connections."""
    for attempt in range(1, _ATTEMPTS + 1):
        before = part.stat().st_size if part.exists() else 0
        try:
            if _receive(remote, part):
                return
            reason = "the connection closed before the end"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == _RANGE_REFUSED and before:
                return  # nothing is left to send: the digest tells whether that is right
            raise _unavailable(remote, part.parent, f"HTTP {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        after = part.stat().st_size if part.exists() else 0
        if after == before or attempt == _ATTEMPTS:  # no progress: trying at once will not help
            raise _unavailable(remote, part.parent, reason)


def _receive(remote: RemoteFile, part: Path) -> bool:
    """One connection. Returns whether the file is complete."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(remote.url)  # noqa: S310 - a constant of this package
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310 - as above
        goes_on = response.status == _PARTIAL and _starts_at(response, have)
        start = have if goes_on else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        with part.open("ab" if goes_on else "wb") as file:
            shutil.copyfileobj(response, file, _BLOCK)
            file.flush()
            os.fsync(file.fileno())
            return total is None or file.tell() == total


def _starts_at(response: http.client.HTTPResponse, offset: int) -> bool:
    content_range: str = response.headers.get("Content-Range", "")
    return content_range.startswith(f"bytes {offset}-")


def _unavailable(remote: RemoteFile, folder: Path, reason: str) -> DataUnavailableError:
    return DataUnavailableError(
        f"{remote.name} is not in {folder} and could not be fetched from {remote.url} ({reason}). "
        f"With a connection, run the same command again: it goes on where it stopped. Without one, "
        f"put the file into {folder} by hand, or name the folder that holds it with --data-dir"
    )
